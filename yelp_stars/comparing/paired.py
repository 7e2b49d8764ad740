"""Is B better than A? Paired statistics of two models on the same rows: NumPy in, numbers out."""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binomtest, norm

from yelp_stars.evaluation.intervals import LEVEL, Statistics, holm, interval, resample
from yelp_stars.evaluation.slices import Slice
from yelp_stars.pipeline.text import counted
from yelp_stars.scoring.metrics import (
    confusion_matrix,
    losses,
    outwards,
    score_counts,
    second_losses,
)

REACH = float(norm.ppf(1 - LEVEL / 2))  # standard errors of a 95 % interval
POWER = 0.8
RESAMPLES = 4000
MIN_RESAMPLES = 1000  # of many rows
MAX_DRAWN = 20_000_000  # rows in all, if these are more than MIN_RESAMPLES: a second or less

Outcome = Literal["better", "worse", "equivalent", "undecided"]


class Difference(NamedTuple):
    """A score of two models; NaN where it is undefined."""

    first: float
    second: float
    difference: float
    """Second minus first."""
    low: float
    """Its 95 % interval."""
    high: float


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
    """P-value of McNemar's exact test on the rows that only one of them predicts correctly."""
    flips: Flips


def compare(
    labels: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    *,
    ordered: bool,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compare all scores of two models by their logits (rows, classes) of the same rows.

    The interval of the accuracies' difference is Tango's, which holds for few changed rows too:
    there, a bootstrap's has no width. Those of the other differences are of a paired, smoothed
    bootstrap over rows, the same for each score: in an odd row, one model predicts a random class.
    """
    n, classes = first.shape
    models = [
        (logits.argmax(axis=1), losses(logits, labels), second_losses(logits))
        for logits in (first, second)
    ]

    def statistics(rows: np.ndarray, odd: np.ndarray) -> Statistics:
        """Score both models on drawn rows (draws, n): arrays (draws, 2)."""
        scores = []
        for model, (predicted, loss, unlikely) in enumerate(models):
            is_odd = odd // classes == model
            guesses = np.where(is_odd, odd % classes, predicted[rows])
            counts = confusion_matrix(labels[rows], guesses, classes)
            mean_loss = np.where(is_odd, unlikely[rows], loss[rows]).mean(axis=1)
            scores.append({**score_counts(counts, ordered), "loss": mean_loss})
        return {name: np.stack([of[name] for of in scores], axis=1) for name in scores[0]}

    exact = statistics(np.arange(n)[None], np.full((1, n), -1))
    resamples = min(resamples, max(MIN_RESAMPLES, MAX_DRAWN // n))
    resampled = resample(statistics, n, resamples, seed, odd=2 * classes, width=classes**2)
    compared = {}
    for name, scores in exact.items():
        first_score, second_score = scores[0].tolist()
        difference = second_score - first_score
        low, high = interval(difference, np.diff(resampled[name])[:, 0], n).tolist()
        compared[name] = Difference(first_score, second_score, difference, low, high)
    accuracies = compare_accuracy(labels, first.argmax(axis=1), second.argmax(axis=1))
    return accuracies._replace(scores={**compared, **accuracies.scores})


def compare_accuracy(labels: np.ndarray, a: np.ndarray, b: np.ndarray) -> Comparison:
    """Compare the accuracy alone, by the classes (rows,) that two models predict."""
    flips = Flips(
        np.flatnonzero((a == labels) & (b != labels)),
        np.flatnonzero((a != labels) & (b == labels)),
        np.flatnonzero((a != labels) & (b != labels) & (a != b)),
    )
    harmful, beneficial = len(flips.harmful), len(flips.beneficial)
    p = float(binomtest(harmful, harmful + beneficial).pvalue) if harmful + beneficial else 1.0
    first, second = float((a == labels).mean()), float((b == labels).mean())
    low, high = tango(harmful, beneficial, len(labels))
    if p >= LEVEL:  # one test decides: Tango's can be a little surer than McNemar's exact one
        low, high = min(low, 0.0), max(high, 0.0)
    accuracy = Difference(first, second, (beneficial - harmful) / len(labels), low, high)
    return Comparison(len(labels), {"accuracy": accuracy}, p, flips)


def tango(harmful: int, beneficial: int, n: int) -> tuple[float, float]:
    """Return Tango's score interval (1998) of the difference of two accuracies on `n` rows."""
    delta = (beneficial - harmful) / n

    def errors(difference: float) -> float:
        """Return by how many standard errors the difference found exceeds another one."""
        # The share of harmful flips that is most likely with this difference.
        linear = (2 * n + harmful - beneficial) * difference - harmful - beneficial
        constant = -harmful * difference * (1 - difference)
        share = (math.sqrt(max(linear**2 - 8 * n * constant, 0)) - linear) / (4 * n)
        variance = n * (2 * share + difference * (1 - difference))
        return (beneficial - harmful - n * difference) / math.sqrt(max(variance, 1e-12))

    low = brentq(lambda at: errors(at) - REACH, -1, delta) if errors(-1) > REACH else -1.0
    high = brentq(lambda at: errors(at) + REACH, delta, 1) if errors(1) < -REACH else 1.0
    return low, high


def outcome(comparison: Comparison, margin: float) -> Outcome:
    """Decide whether the second model's accuracy is better, worse or equivalent.

    Better or worse: McNemar's p is below 0.05, and the 95 % interval of the difference, which is
    Tango's or reaches to 0, does not hold 0. Equivalent: the interval is within the margin, which
    is stricter than two one-sided tests at 0.05.
    """
    delta, low, high = comparison.scores["accuracy"][2:]
    if comparison.p < LEVEL:
        return "better" if delta > 0 else "worse"
    return "equivalent" if -margin < low and high < margin else "undecided"


def verdict(comparison: Comparison, first: str, second: str, margin: float) -> str:
    """Word the outcome in one sentence; if undecided, with the rows that it would take."""
    rows, decided = counted(comparison.n, "row"), outcome(comparison, margin)
    delta, low, high = comparison.scores["accuracy"][2:]
    if not any(map(len, comparison.flips)):
        return f"{first} and {second} predict the same label for each of {rows}"
    if decided in ("better", "worse"):
        winner, loser = (second, first) if decided == "better" else (first, second)
        low, high = (low, high) if decided == "better" else (-high, -low)
        return (
            f"{winner} is better than {loser} by {abs(delta) * 100:.1f} points "
            f"(95 % interval {in_points(low, high)}, p = {comparison.p:.2g}) on {rows}"
        )
    if decided == "equivalent":
        return (
            f"{first} and {second} are equivalent within {points(margin)} "
            f"(difference {delta * 100:+.1f}, 95 % interval {in_points(low, high, '+')}) on {rows}"
        )
    changed = (len(comparison.flips.harmful) + len(comparison.flips.beneficial)) / comparison.n
    needed = rows_needed(changed, delta or margin)
    what = "this difference" if delta else f"one of {points(margin)}"
    return (
        f"no difference between {first} and {second} that {rows} can show "
        f"({delta * 100:+.1f} points, 95 % interval {in_points(low, high, '+')}, "
        f"p = {comparison.p:.2g}); about {needed:,} would be needed to show {what}"
    )


def in_points(low: float, high: float, sign: str = "") -> str:
    """Write an interval in points, rounded outwards, with the decimals that tell its end from 0."""
    nearest = 100 * min(abs(low), abs(high))
    digits = max(1, math.ceil(-math.log10(nearest))) if low * high > 0 else 1
    ends = (outwards(*end, digits) for end in (("low", low * 100), ("high", high * 100)))
    return " to ".join(f"{end:{sign}.{digits}f}" for end in ends)


def points(share: float) -> str:
    """Write a margin in percentage points: "1 point", "2.5 points"."""
    text = f"{share * 100:g}"
    return f"{text} point{'s' if text != '1' else ''}"


def rows_needed(changed: float, difference: float) -> int:
    """Return the rows with which McNemar's test shows a difference four times out of five.

    `changed` is the share of rows that exactly one of the models gets right. Connor's number (1987)
    is that of the asymptotic test: two rows more by which they differ make up for the exact one.
    Two significant digits, rounded up: the power is 0.80 to 0.88.
    """
    changed = max(changed, abs(difference))
    quantiles = REACH, float(norm.ppf(POWER))
    spread = math.sqrt(changed), math.sqrt(max(changed - difference**2, 0))
    rows = (quantiles[0] * spread[0] + quantiles[1] * spread[1]) ** 2 / difference**2
    rows = math.ceil(rows + 2 / abs(difference))
    unit = 10 ** max(0, len(str(rows)) - 2)
    return math.ceil(rows / unit) * unit


def by_slice(
    labels: np.ndarray, a: np.ndarray, b: np.ndarray, slices: Sequence[Slice]
) -> list[dict[str, Any]]:
    """Compare the accuracy in each slice that has rows, by predicted classes (rows,).

    The p-values are adjusted for the number of slices.
    """
    parts = [part for part in slices if part.inside.any()]
    compared = [compare_accuracy(*(x[part.inside] for x in (labels, a, b))) for part in parts]
    adjusted = holm([comparison.p for comparison in compared])
    return [
        {
            "kind": part.kind,
            "name": part.name,
            "meaning": part.meaning,
            "n": comparison.n,
            "harmful": len(comparison.flips.harmful),
            "beneficial": len(comparison.flips.beneficial),
            **comparison.scores["accuracy"]._asdict(),
            "p": p,
        }
        for part, comparison, p in zip(parts, compared, adjusted, strict=True)
    ]
