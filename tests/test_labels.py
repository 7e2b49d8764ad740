"""Labels by name, texts that any UTF-8 file can hold, Yelp's escapes."""

import pytest
from helpers import read_reviews
from hypothesis import given
from hypothesis import strategies as st

from yelp_stars.data import arrow
from yelp_stars.data.labels import (
    class_names,
    map_labels,
    unescape,
    unescape_texts,
    validate_text,
    write_reviews,
)
from yelp_stars.data.readers import Row
from yelp_stars.pipeline.errors import UserError

LABELS = {"good": "positive", "bad": "negative", "awful": "negative", 7: "positive"}


def mapped(*values, labels=LABELS):
    rows = (Row(f"a.csv line {number}", value, "x") for number, value in enumerate(values, 1))
    return [label for label, _ in map_labels(rows, labels)]


def test_labels_are_mapped_from_numbers_or_words_to_names():
    assert class_names(LABELS) == ["positive", "negative"]
    assert mapped("bad", "awful", "good", "7", 7, 7.0) == [1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("value", ["ok", "", None, True, 7.5, 8, float("nan"), [7], {"a": 7}])
def test_a_value_that_is_not_a_label_is_reported_with_its_location(value):
    with pytest.raises(UserError) as caught:
        mapped("bad", value, labels={**LABELS, "True": "positive"})
    assert str(caught.value) == (
        f"a.csv line 2 has the label {str(value)!r}; add it to download.labels, "
        f"which has good, bad, awful, 7, True"
    )


def test_a_value_that_was_added_to_the_labels_is_mapped():
    assert mapped("ok", labels={**LABELS, "ok": "neutral"}) == [2]


def test_a_long_or_broken_label_is_one_short_line():
    for value in ("x" * 5000, "two\nlines"):
        with pytest.raises(UserError) as caught:
            mapped(value)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 200


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_a_valid_text_is_unchanged(text):
    assert validate_text(text, "a.csv line 1") == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "has None where a text is expected; fix or remove the row"),
        (3, "has 3 where a text is expected; fix or remove the row"),
        (["x"], "has ['x'] where a text is expected; fix or remove the row"),
        ("x\0y", "has a NUL byte in its text; remove it"),
        ("x\ud800", "has an unpaired surrogate in its text; fix it"),
    ],
)
def test_an_invalid_text_is_reported_with_its_location(text, message):
    with pytest.raises(UserError) as caught:
        validate_text(text, "a.jsonl line 9")
    assert str(caught.value) == f"a.jsonl line 9 {message}"


def test_yelps_escapes_are_undone():
    assert unescape(r"a\nb \"c\" " "d" "") == 'a\nb "c" d'
    assert unescape('say ""hi""') == 'say "hi"'
    assert list(unescape_texts([(1, r"a\nb"), (0, "plain")])) == [(1, "a\nb"), (0, "plain")]


def test_reviews_are_written_in_order_with_their_class_names(tmp_path):
    rows = [(row % 3, f"review {row}") for row in range(2500)]
    write_reviews(tmp_path / "a.arrow", iter(rows), ["bad", "fair", "good"])
    assert read_reviews(tmp_path / "a.arrow") == rows
    assert arrow.label_names(arrow.read_schema(tmp_path / "a.arrow")) == ["bad", "fair", "good"]
