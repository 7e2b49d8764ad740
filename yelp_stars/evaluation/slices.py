"""Compute accuracy by length, by flags of the audit, and by patterns in the text.

A slice is worse than the rest if Fisher's exact test says so at the level of 5 %, corrected for the
number of slices (Holm 1979).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import fisher_exact

from yelp_stars.evaluation.intervals import LEVEL, holm, share_of

QUARTERS = ("shortest quarter", "second quarter", "third quarter", "longest quarter")
AUDITED = {
    "leak": "the text, or nearly the same, is in train",
    "near_duplicate": "nearly the same text comes before it in test",
}


class Slice(NamedTuple):
    """Some of the rows."""

    kind: str
    """Kind: class, length, truncated, audit or pattern."""
    name: str
    meaning: str
    inside: np.ndarray
    """Rows of the slice, bool."""


def by_class(labels: np.ndarray, names: Sequence[str]) -> list[Slice]:
    """Slice rows by their class."""
    return [Slice("class", name, "", labels == label) for label, name in enumerate(names)]


def by_length(texts: Sequence[str]) -> list[Slice]:
    """Slice rows into quarters by length in characters, which any two models count alike."""
    lengths = np.array([len(text) for text in texts])
    edges = np.quantile(lengths, (0.25, 0.5, 0.75), method="higher")
    quarters = np.searchsorted(edges, lengths, side="left")
    slices = []
    for number, name in enumerate(QUARTERS):
        inside = quarters == number
        shown = lengths[inside]
        meaning = f"{shown.min():,} to {shown.max():,} characters" if len(shown) else "no rows"
        slices.append(Slice("length", name, meaning, inside))
    return slices


def truncated(lengths: np.ndarray, max_length: int) -> Slice:
    """Slice off the rows that have `max_length` tokens."""
    cut = f"{max_length} tokens, the largest length: what exceeds it is cut off"
    return Slice("truncated", "truncated", cut, lengths >= max_length)


def by_flag(flags: Mapping[str, np.ndarray]) -> list[Slice]:
    """Slice rows that the audit found in the other split, or twice in this one."""
    return [
        Slice("audit", name, meaning, flags[name])
        for name, meaning in AUDITED.items()
        if name in flags
    ]


def by_pattern(matches: Mapping[str, np.ndarray]) -> list[Slice]:
    """Slice rows whose text matches a pattern, by the patterns' names."""
    meaning = "the text matches evaluate.slices.{}"
    return [Slice("pattern", name, meaning.format(name), rows) for name, rows in matches.items()]


def score(correct: np.ndarray, slices: list[Slice]) -> list[dict[str, Any]]:
    """Score each slice and the rest of the rows, and decide whether the slice is worse.

    `correct` says which rows are predicted rightly, (rows,) of bool.
    """
    table: list[dict[str, Any]] = []
    p_values = []
    for part in slices:
        inside, rest = correct[part.inside], correct[~part.inside]
        counts = [[int(rows.sum()), int((~rows).sum())] for rows in (inside, rest)]
        # One-sided; 1 where there is nothing to compare.
        p_values.append(float(fisher_exact(counts, alternative="less").pvalue))
        table.append(
            {
                "kind": part.kind,
                "name": part.name,
                "meaning": part.meaning,
                "accuracy": share_of(inside),
                "accuracy_of_the_rest": share_of(rest),
            }
        )
    for row, p in zip(table, holm(p_values), strict=True):
        row["p_worse"] = float(f"{p:.2g}")
        row["worse"] = p < LEVEL
    return table
