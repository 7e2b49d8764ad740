"""Where a model is worse: its accuracy by length, by flags of the audit, by patterns in the text.

A slice is worse than the rest if Fisher's exact test says so at the level of 5 %, corrected for the
number of slices (Holm 1979).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import fisher_exact

from yelp_stars.evaluation import intervals

LEVEL = 0.05
QUARTERS = ("shortest quarter", "second quarter", "third quarter", "longest quarter")
AUDITED = {
    "leak": "the text, or nearly the same, is in train",
    "near_duplicate": "nearly the same text comes before it in test",
}


class Slice(NamedTuple):
    """Some of the rows."""

    kind: str
    """length, truncated, audit or pattern."""
    name: str
    meaning: str
    inside: np.ndarray
    """Which rows, bool."""


def by_length(lengths: np.ndarray, max_length: int) -> list[Slice]:
    """Quarters by length in tokens, and the rows that have `max_length` of them."""
    edges = np.quantile(lengths, (0.25, 0.5, 0.75), method="higher")
    quarter = np.searchsorted(edges, lengths, side="left")
    found = []
    for number, name in enumerate(QUARTERS):
        inside = quarter == number
        shown = lengths[inside]
        meaning = f"{shown.min()} to {shown.max()} tokens" if len(shown) else "no rows"
        found.append(Slice("length", name, meaning, inside))
    cut = f"{max_length} tokens, the largest length: what exceeds it is cut off"
    return [*found, Slice("truncated", "truncated", cut, lengths >= max_length)]


def by_flag(flags: Mapping[str, np.ndarray]) -> list[Slice]:
    """The rows that the audit found in the other split, or twice in this one."""
    return [
        Slice("audit", name, meaning, flags[name])
        for name, meaning in AUDITED.items()
        if name in flags
    ]


def by_pattern(patterns: Mapping[str, str], matches: Mapping[str, np.ndarray]) -> list[Slice]:
    """The rows whose text matches a pattern."""
    return [Slice("pattern", name, patterns[name], matches[name]) for name in patterns]


def score(correct: np.ndarray, slices: list[Slice]) -> list[dict[str, Any]]:
    """Accuracy of each slice and of the rest, and whether the slice is worse."""
    table: list[dict[str, Any]] = []
    p_values = []
    for part in slices:
        inside, rest = correct[part.inside], correct[~part.inside]
        right, wrong = int(inside.sum()), int((~inside).sum())
        others = int(rest.sum())
        p_values.append(_p_worse(right, wrong, others, len(rest) - others))
        table.append(
            {
                "kind": part.kind,
                "name": part.name,
                "meaning": part.meaning,
                "accuracy": intervals.proportion(right, len(inside)),
                "accuracy_of_the_rest": intervals.proportion(others, len(rest)),
            }
        )
    for row, p in zip(table, intervals.holm(p_values), strict=True):
        row["p_worse"] = float(f"{p:.2g}")
        row["worse"] = p < LEVEL
    return table


def _p_worse(right: int, wrong: int, other_right: int, other_wrong: int) -> float:
    """The p-value of Fisher's exact test, one-sided; 1 where there is nothing to compare."""
    counts = [[right, wrong], [other_right, other_wrong]]
    return float(fisher_exact(counts, alternative="less").pvalue)
