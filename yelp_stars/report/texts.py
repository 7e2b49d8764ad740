"""Texts of users in a report: bounded in number and length, every character visible."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from yelp_stars.data import arrow
from yelp_stars.pipeline.text import visible

LONGEST = 600  # characters of a text
MISTAKES = SUSPECTS = 300  # rows of each table
EXAMPLES = 2  # of each class
CLASSES = 20  # with examples, in tables and in pictures


def listed(errors: pa.Table, split: str, raw: Path, most: int) -> list[dict[str, Any]]:
    """The first rows of a split of data/predictions/errors.parquet, with their texts."""
    rows = errors.filter(pa.compute.equal(errors["split"], split)).slice(0, most)
    texts = arrow.read(raw / f"{split}.arrow")["text"].take(rows["row"].combine_chunks())
    return [
        {
            **row,
            "label": visible(row["label"], 60),
            "predicted": visible(row["predicted"], 60),
            "text": visible(text.as_py(), LONGEST),
        }
        for row, text in zip(rows.to_pylist(), texts, strict=True)
    ]


def examples(sampled: Path, raw: Path) -> dict[str, list[dict[str, Any]]]:
    """The first training rows of each class: a seeded sample is in random order."""
    table = arrow.read(sampled / "train.arrow")
    names, labels = arrow.label_names(table.schema), arrow.column(table, "label")
    rows, reviews = arrow.column(table, "row"), arrow.read(raw / "train.arrow")["text"]
    found: dict[str, list[dict[str, Any]]] = {}
    for label, name in enumerate(names[:CLASSES]):
        chosen = rows[np.flatnonzero(labels == label)[:EXAMPLES]].tolist()
        found[visible(name, 60)] = [
            {"row": row, "text": visible(reviews[row].as_py(), LONGEST)} for row in chosen
        ]
    return found
