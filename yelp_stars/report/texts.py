"""Texts of users in a report: bounded in number and length, every character visible."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from yelp_stars.data import arrow

LONGEST = 600  # characters of a text
MISTAKES = SUSPECTS = 300  # rows of each table
EXAMPLES = 2  # of each class
CLASSES = 20  # with examples, in tables and in pictures
# What changes the direction of the text around it, or is not visible at all: controls, soft hyphen,
# fillers, separators, marks of direction, the tags that repeat ASCII. Not the joiners of emoji.
HIDDEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    r"\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
    r"\U000e0000-\U000e007f]"
)


def shown(text: str, longest: int = LONGEST) -> str:
    """A text cut to `longest` characters, with codes for characters that nobody sees."""
    visible = HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text[: longest + 1])
    return visible if len(visible) <= longest else visible[: longest - 1] + "…"


def listed(errors: pa.Table, split: str, raw: Path, most: int) -> list[dict[str, Any]]:
    """The first rows of a split of data/predictions/errors.parquet, with their texts."""
    rows = errors.filter(pa.compute.equal(errors["split"], split)).slice(0, most)
    texts = arrow.read(raw / f"{split}.arrow")["text"].take(rows["row"].combine_chunks())
    return [
        {
            **row,
            "label": shown(row["label"], 60),
            "predicted": shown(row["predicted"], 60),
            "text": shown(text.as_py()),
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
        found[shown(name, 60)] = [
            {"row": row, "text": shown(reviews[row].as_py())} for row in chosen
        ]
    return found
