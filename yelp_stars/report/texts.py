"""Add the texts to the rows of a report: mistakes, labels in doubt, examples of each class."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from yelp_stars.data import arrow
from yelp_stars.evaluation import predictions

LONGEST = 600  # characters of a text
MISTAKES = SUSPECTS = 300  # rows of each table
EXAMPLES = 2  # of each class
CLASSES = 20  # with examples, in tables and in pictures


def listed(rows: pa.Table, alike: np.ndarray, reviews: Path, limit: int) -> list[dict[str, Any]]:
    """Return the first rows of a table, with their texts in data/raw.

    `alike` has the same number for all rows of the split with nearly the same text: the first of
    these with a label and a prediction stands for the others, whose rows it has.
    """
    groups: dict[Any, list[dict[str, Any]]] = {}
    for row in rows.to_pylist():
        groups.setdefault((alike[row["row"]], row["label"], row["predicted"]), []).append(row)
    shown = [
        first | {"others": [row["row"] for row in others]}
        for first, *others in list(groups.values())[:limit]
    ]
    texts = predictions.read_texts(reviews, np.array([row["row"] for row in shown], np.int64))
    return [row | {"text": text} for row, text in zip(shown, texts, strict=True)]


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
