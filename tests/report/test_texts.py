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
    rows = pa.table({"row": [5, 3, 8], "flags": [["leak"], [], []]})
    assert texts.listed(rows, tmp_path / "test.arrow", 2) == [
        {"row": 5, "flags": ["leak"], "text": "text 5"},
        {"row": 3, "flags": [], "text": "text 3"},
    ]
    assert texts.listed(rows.slice(0, 0), tmp_path / "test.arrow", 2) == []


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
