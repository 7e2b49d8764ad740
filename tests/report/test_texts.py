"""Reviews in a report: led back to their rows."""

import numpy as np
import pyarrow as pa

from yelp_stars.data import arrow
from yelp_stars.data.sources import write_reviews
from yelp_stars.report import texts


def test_rows_have_their_texts(tmp_path):
    write_reviews(
        tmp_path / "test.arrow", [(row % 2, f"text {row}") for row in range(9)], ["bad", "good"]
    )
    file, labels = tmp_path / "test.arrow", {"label": ["bad"] * 3, "predicted": ["good"] * 3}
    rows = pa.table({"row": [5, 3, 8], **labels, "flags": [["leak"], [], []]})
    assert [
        (row["row"], row["flags"], row["text"], row["others"])
        for row in texts.listed(rows, np.arange(9), file, 2)
    ] == [(5, ["leak"], "text 5", []), (3, [], "text 3", [])]
    assert texts.listed(rows.slice(0, 0), np.arange(9), file, 2) == []


def test_one_row_stands_for_those_with_nearly_the_same_text_and_the_same_mistake(tmp_path):
    file, alike = tmp_path / "test.arrow", np.zeros(9, np.int64)
    write_reviews(file, [(row % 2, f"text {row}") for row in range(9)], ["bad", "good"])
    alike[8] = 8
    labels, predicted = (
        ["bad", "bad", "good", "bad", "bad"],
        ["good", "good", "bad", "good", "good"],
    )
    rows = pa.table({"row": [5, 3, 2, 8, 1], "label": labels, "predicted": predicted})
    listed = texts.listed(rows, alike, file, 9)
    assert [(row["row"], row["others"]) for row in listed] == [(5, [3, 1]), (2, []), (8, [])]


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
    assert {name: [row["row"] for row in rows] for name, rows in found.items()} == {
        "bad": [2, 4],
        "good": [7, 5],
    }
    assert found["good"][0]["text"] == "text 7"
