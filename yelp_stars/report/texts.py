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

    `alike` has a number for each row of the split, the same for those with nearly the same text: of
    these, the first one with a label and a prediction stands for the others, and has their rows.
    """
    groups: dict[Any, dict[str, Any]] = {}
    for row in rows.to_pylist():
        key = alike[row["row"]], row["label"], row["predicted"]
        if key in groups:
            groups[key]["others"].append(row["row"])
        else:
            groups[key] = {**row, "others": []}
    shown = list(groups.values())[:limit]
    texts = predictions.read_texts(reviews, np.array([row["row"] for row in shown], np.int64))
    return [row | {"text": text} for row, text in zip(shown, texts, strict=True)]


def classes_shown(per_class: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the scores of all classes, or of the weakest ones of many."""
    if len(per_class) <= CLASSES:
        return per_class
    return sorted(per_class, key=lambda row: row["f1"]["value"] or 0)[:CLASSES]


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
