"""Is B better than A? Paired statistics of two models on the same rows: NumPy in, numbers out."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binomtest, norm

from yelp_stars.comparing.bootstrap import Difference, differences
from yelp_stars.evaluation.intervals import holm
from yelp_stars.evaluation.slices import QUARTERS, Slice

LEVEL = 0.05
REACH = float(norm.ppf(1 - LEVEL / 2))  # standard errors of a 95 % interval
POWER = 0.8


class Flips(NamedTuple):
    """Rows that the second model predicts differently: their indices."""

    harmful: np.ndarray
    """The first was right, the second is wrong."""
    beneficial: np.ndarray
    """The other way round."""
    both_wrong: np.ndarray
    """Both are wrong, in different ways."""


class Comparison(NamedTuple):
    """Two models on the same `n` rows."""

    n: int
    scores: dict[str, Difference]
    p: float
    """Of McNemar's exact test on the rows that one of the two predicts rightly."""
    flips: Flips


def compare(
    labels: np.ndarray, first: np.ndarray, second: np.ndarray, *, ordered: bool
) -> Comparison:
    """Compare two models by their log-probabilities (rows, classes) of the same rows.

    The interval of the accuracies' difference is Tango's, which holds for few changed rows too:
    there, a bootstrap's has no width. Those of the other differences are a bootstrap's.
    """
    a, b = first.argmax(axis=1), second.argmax(axis=1)
    flips = find_flips(labels, a, b)
    scores = {
        "accuracy": accuracy_difference(labels, a, b),
        **differences(labels, first, second, ordered=ordered),
    }
    return Comparison(len(labels), scores, mcnemar(flips), flips)


def find_flips(labels: np.ndarray, a: np.ndarray, b: np.ndarray) -> Flips:
    """The rows on which two models predict different classes."""
    return Flips(
        np.flatnonzero((a == labels) & (b != labels)),
        np.flatnonzero((a != labels) & (b == labels)),
        np.flatnonzero((a != labels) & (b != labels) & (a != b)),
    )


def mcnemar(flips: Flips) -> float:
    """The p-value of McNemar's exact test: are harmful and beneficial flips equally likely?"""
    harmful, beneficial = len(flips.harmful), len(flips.beneficial)
    if harmful + beneficial == 0:
        return 1.0
    return float(binomtest(harmful, harmful + beneficial).pvalue)


def accuracy_difference(labels: np.ndarray, a: np.ndarray, b: np.ndarray) -> Difference:
    """The accuracies of two models, with Tango's score interval (1998) of their difference."""
    flips = find_flips(labels, a, b)
    harmful, beneficial, n = len(flips.harmful), len(flips.beneficial), len(labels)
    first, second = float((a == labels).mean()), float((b == labels).mean())
    delta = (beneficial - harmful) / n

    def errors(difference: float) -> float:
        """By how many standard errors what was found is above a difference."""
        # The share of harmful flips that is most likely with this difference.
        linear = (2 * n + harmful - beneficial) * difference - harmful - beneficial
        constant = -harmful * difference * (1 - difference)
        share = (math.sqrt(max(linear**2 - 8 * n * constant, 0)) - linear) / (4 * n)
        variance = n * (2 * share + difference * (1 - difference))
        return (beneficial - harmful - n * difference) / math.sqrt(max(variance, 1e-12))

    low = brentq(lambda at: errors(at) - REACH, -1, delta) if errors(-1) > REACH else -1.0
    high = brentq(lambda at: errors(at) + REACH, delta, 1) if errors(1) < -REACH else 1.0
    return Difference(first, second, second - first, low, high)


def verdict(comparison: Comparison, first: str, second: str, margin: float) -> str:
    """One sentence: which is better, or that they are equivalent, or how many rows it would take.

    Better: McNemar's p is below 0.05. Equivalent: the 95 % interval of the difference is within
    the margin, which is stricter than two one-sided tests at 0.05.
    """
    accuracy, n = comparison.scores["accuracy"], comparison.n
    delta, low, high = (value or 0.0 for value in accuracy[2:])  # an accuracy is never undefined
    if not any(map(len, comparison.flips)):
        return f"{first} and {second} predict the same label for each of {n:,} rows"
    if comparison.p < LEVEL:
        better, worse = (second, first) if delta > 0 else (first, second)
        low, high = (low, high) if delta > 0 else (-high, -low)
        return (
            f"{better} is better than {worse} by {abs(delta) * 100:.1f} points "
            f"(95 % interval {low * 100:.1f} to {high * 100:.1f}, p = {comparison.p:.2g}) "
            f"on {n:,} rows"
        )
    if -margin < low and high < margin:
        return (
            f"{first} and {second} are equivalent within {points(margin)} "
            f"(difference {delta * 100:+.1f}, 95 % interval {low * 100:+.1f} to "
            f"{high * 100:+.1f}) on {n:,} rows"
        )
    changed = (len(comparison.flips.harmful) + len(comparison.flips.beneficial)) / n
    needed = rows_needed(changed, delta or margin)
    what = "this difference" if delta else f"one of {points(margin)}"
    return (
        f"no difference between {first} and {second} that {n:,} rows can show "
        f"({delta * 100:+.1f} points, 95 % interval {low * 100:+.1f} to {high * 100:+.1f}, "
        f"p = {comparison.p:.2g}); about {needed:,} would be needed to show {what}"
    )


def points(share: float) -> str:
    """A margin in percentage points: "1 point", "2.5 points"."""
    text = f"{share * 100:g}"
    return f"{text} point{'s' if text != '1' else ''}"


def rows_needed(changed: float, difference: float) -> int:
    """Rows with which McNemar's test shows a difference of accuracies four times out of five.

    `changed` is the share of rows that exactly one of the models predicts rightly (Connor 1987).
    Two significant digits.
    """
    changed = max(changed, abs(difference))
    quantiles = REACH, float(norm.ppf(POWER))
    spread = math.sqrt(changed), math.sqrt(max(changed - difference**2, 0))
    rows = (quantiles[0] * spread[0] + quantiles[1] * spread[1]) ** 2 / difference**2
    return int(float(f"{math.ceil(rows):.2g}"))


def by_class(labels: np.ndarray, names: Sequence[str]) -> list[Slice]:
    """The rows of each class."""
    return [Slice("class", name, "", labels == label) for label, name in enumerate(names)]


def by_length(texts: Sequence[str]) -> list[Slice]:
    """Quarters by length in characters."""
    lengths = np.array([len(text) for text in texts])
    edges = np.quantile(lengths, (0.25, 0.5, 0.75), method="higher")
    quarter = np.searchsorted(edges, lengths, side="left")
    found = []
    for number, name in enumerate(QUARTERS):
        inside = quarter == number
        if inside.any():
            shown = lengths[inside]
            meaning = f"{shown.min():,} to {shown.max():,} characters"
            found.append(Slice("length", name, meaning, inside))
    return found


def by_slice(
    labels: np.ndarray, a: np.ndarray, b: np.ndarray, slices: Sequence[Slice]
) -> list[dict[str, Any]]:
    """Flips and the accuracies' difference in each slice that has rows.

    The p-values are adjusted for the number of slices.
    """
    table: list[dict[str, Any]] = []
    for part in slices:
        if part.inside.any():
            inside = labels[part.inside], a[part.inside], b[part.inside]
            flips = find_flips(*inside)
            table.append(
                {
                    "kind": part.kind,
                    "name": part.name,
                    "meaning": part.meaning,
                    "n": len(inside[0]),
                    "harmful": len(flips.harmful),
                    "beneficial": len(flips.beneficial),
                    **accuracy_difference(*inside)._asdict(),
                    "p": mcnemar(flips),
                }
            )
    adjusted = holm([row["p"] for row in table])
    return [{**row, "p": p} for row, p in zip(table, adjusted, strict=True)]
