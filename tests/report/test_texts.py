"""Texts of users in a report: bounded, every character visible, led back to their rows."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from yelp_stars.data import arrow
from yelp_stars.data.sources import write_reviews
from yelp_stars.pipeline.text import HIDDEN, visible
from yelp_stars.report import texts


@given(st.text(st.characters(codec="utf-8")), st.integers(1, 30))
def test_a_shown_text_is_short_and_has_no_hidden_character(text, longest):
    shown = visible(text, longest)
    assert not HIDDEN.search(shown)
    assert len(shown) <= longest
    if len(text) <= longest and not HIDDEN.search(text):
        assert shown == text


def test_what_turns_text_around_is_shown_as_a_code():
    assert (
        visible("good \u202edoog\u202c\u0000\ufeff", texts.LONGEST)
        == "good \\u202edoog\\u202c\\u0000\\ufeff"
    )
    assert visible("line\nnext\tcell é 好 👩‍🍳", texts.LONGEST) == "line\nnext\tcell é 好 👩‍🍳"
    invisible = "\xad\u2028\u3164\U000e0041"
    assert visible(invisible, texts.LONGEST) == "\\u00ad\\u2028\\u3164\\ue0041"
    assert len(visible("\u202e" * 50_000, texts.LONGEST)) == texts.LONGEST
    assert visible("x" * 50_000, texts.LONGEST) == "x" * (texts.LONGEST - 1) + "…"


def test_mistakes_and_suspects_have_the_texts_of_their_rows(tmp_path):
    for split in ("train", "test"):
        reviews = [(row % 2, f"{split} {row}") for row in range(9)]
        write_reviews(tmp_path / f"{split}.arrow", reviews, ["bad", "good"])
    errors = pa.table(
        {
            "row": [5, 3, 8, 2],
            "split": ["test", "test", "train", "train"],
            "label": ["good"] * 4,
            "predicted": ["bad"] * 4,
            "probability": [0.9] * 4,
            "loss": [2.0] * 4,
            "flags": [["leak"], [], [], []],
        }
    )
    found = texts.listed(errors, "test", tmp_path, 300)
    assert [row["text"] for row in found] == ["test 5", "test 3"]
    assert found[0]["flags"] == ["leak"]
    assert [row["text"] for row in texts.listed(errors, "train", tmp_path, 1)] == ["train 8"]
    assert texts.listed(errors.slice(0, 0), "test", tmp_path, 300) == []


def test_examples_are_the_first_rows_of_each_class_of_the_sample(tmp_path):
    reviews = [(row % 2, f"text {row}") for row in range(8)]
    write_reviews(tmp_path / "train.arrow", reviews, ["bad", "good"])
    sampled = tmp_path / "sample"
    sampled.mkdir()
    rows = np.array([7, 2, 5, 4, 1, 0])
    columns = {"label": pa.int64(), "row": pa.int64()}
    schema = arrow.make_schema(columns, ["bad", "good"], ordered=True)
    batch = pa.record_batch([pa.array(rows % 2), pa.array(rows)], schema=schema)
    arrow.write(sampled / "train.arrow", schema, [batch])
    found = texts.examples(sampled, tmp_path)
    assert {name: [row["row"] for row in each] for name, each in found.items()} == {
        "bad": [2, 4],
        "good": [7, 5],
    }
    assert found["good"][0]["text"] == "text 7"
