"""Add the texts to the rows of a report: mistakes, labels in doubt, examples of each class."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from yelp_stars.data import arrow

LONGEST = 600  # characters of a text
MISTAKES = SUSPECTS = 300  # rows of each table
EXAMPLES = 2  # of each class
CLASSES = 20  # with examples, in tables and in pictures


def listed(rows: pa.Table, reviews: Path, limit: int) -> list[dict[str, Any]]:
    """Return the first rows of a table, with their texts in data/raw."""
    rows = rows.slice(0, limit)
    texts = arrow.read(reviews)["text"].take(rows["row"].combine_chunks())
    return rows.append_column("text", texts).to_pylist()


def examples(sampled: Path, raw: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the first training rows of each class: a seeded sample is in random order."""
    table = arrow.read(sampled / "train.arrow")
    names, labels = arrow.label_names(table.schema), table["label"].to_numpy()
    rows, reviews = table["row"].to_numpy(), arrow.read(raw / "train.arrow")["text"]
    return {
        name: [
            {"row": row, "text": reviews[row].as_py()}
            for row in rows[np.flatnonzero(labels == label)[:EXAMPLES]].tolist()
        ]
        for label, name in enumerate(names[:CLASSES])
    }
