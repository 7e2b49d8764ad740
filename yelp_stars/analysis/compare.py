"""Is B better than A? Paired statistics of two models on the same rows: NumPy in, numbers out."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import binomtest, norm

RESAMPLES = 4000
CHUNK = 2**22  # numbers in memory at a time
LEVEL = 0.05
POWER = 0.8


class Difference(NamedTuple):
    """One score of two models."""

    first: float | None
    second: float | None
    difference: float | None
    """The second minus the first."""
    low: float | None
    """Its 95 % interval, by a paired percentile bootstrap over rows (Efron 1979)."""
    high: float | None


class Flips(NamedTuple):
    """Rows that the second model predicts differently."""

    harmful: np.ndarray
    """The first was right, the second is wrong: indices of rows."""
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
    labels: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    *,
    ordered: bool,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compare two models by their log-probabilities (rows, classes) of the same rows."""
    a, b = first.argmax(axis=1), second.argmax(axis=1)
    rng = np.random.default_rng(seed)
    # Scores of predicted labels depend on how often each (label, a, b) occurs: to draw these
    # counts is to draw rows, in a fraction of the time.
    cells, counts = np.unique(np.stack([labels, a, b]), axis=1, return_counts=True)
    drawn = rng.multinomial(len(labels), counts / len(labels), resamples)
    scores = {}
    for name, score in SCORES.items():
        if ordered or name not in ORDERED:
            exact, resampled = (score(w, cells[0], cells[1:]) for w in (counts[None], drawn))
            scores[name] = _difference(
                float(exact[0, 0]), float(exact[1, 0]), resampled[1] - resampled[0]
            )
    picked = np.arange(len(labels)), labels
    losses = -first[picked], -second[picked]
    means = _bootstrap_means(losses[1] - losses[0], rng, resamples)
    scores["loss"] = _difference(float(losses[0].mean()), float(losses[1].mean()), means)
    flips = Flips(
        np.flatnonzero((a == labels) & (b != labels)),
        np.flatnonzero((a != labels) & (b == labels)),
        np.flatnonzero((a != labels) & (b != labels) & (a != b)),
    )
    return Comparison(len(labels), scores, mcnemar(flips), flips)


def mcnemar(flips: Flips) -> float:
    """The p-value of McNemar's exact test: are harmful and beneficial flips equally likely?"""
    harmful, beneficial = len(flips.harmful), len(flips.beneficial)
    if harmful + beneficial == 0:
        return 1.0
    return float(binomtest(harmful, harmful + beneficial).pvalue)


def _difference(first: float, second: float, drawn: np.ndarray) -> Difference:
    """`drawn` are differences of resampled rows; a score of no meaning, such as kappa, is NaN."""
    drawn = drawn[np.isfinite(drawn)]
    if math.isnan(first) or math.isnan(second) or not len(drawn):
        known = [None if math.isnan(score) else score for score in (first, second)]
        return Difference(known[0], known[1], None, None, None)
    low, high = np.quantile(drawn, [LEVEL / 2, 1 - LEVEL / 2]).tolist()
    return Difference(first, second, second - first, low, high)


def _bootstrap_means(values: np.ndarray, rng: np.random.Generator, resamples: int) -> np.ndarray:
    """Means of `values` drawn with replacement, of shape (resamples,)."""
    rows = max(1, CHUNK // len(values))
    parts = []
    for start in range(0, resamples, rows):
        size = (min(rows, resamples - start), len(values))
        parts.append(values[rng.integers(0, len(values), size)].mean(axis=1))
    return np.concatenate(parts)


# Each takes weights (draws, cells), the cells' labels and their two predictions, (2, cells), and
# returns a score for both models, (2, draws).


def _accuracy(weights: np.ndarray, labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    found: np.ndarray = (predicted == labels) @ weights.T / weights.sum(axis=1)
    return found


def _mae(weights: np.ndarray, labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    found: np.ndarray = abs(predicted - labels) @ weights.T / weights.sum(axis=1)
    return found


def _macro_f1(weights: np.ndarray, labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    classes = np.arange(max(labels.max(), predicted.max()) + 1)
    actual = (labels == classes[:, None]) @ weights.T
    found = []
    for guess in predicted:
        right = ((labels == classes[:, None]) & (guess == labels)) @ weights.T
        total = actual + (guess == classes[:, None]) @ weights.T
        f1 = np.divide(2 * right, total, out=np.zeros(total.shape), where=total > 0)
        # As scikit-learn: of the classes that are a label or a prediction.
        found.append(f1.sum(axis=0) / np.maximum((total > 0).sum(axis=0), 1))
    return np.stack(found)


def _kappa(weights: np.ndarray, labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    n = weights.sum(axis=1)
    classes = np.arange(max(labels.max(), predicted.max()) + 1)
    distance = (classes[:, None] - classes) ** 2.0
    actual = (labels == classes[:, None]) @ weights.T / n
    found = []
    for guess in predicted:
        guessed = (guess == classes[:, None]) @ weights.T / n
        expected = np.einsum("id,ij,jd->d", actual, distance, guessed)
        observed = (guess - labels) ** 2.0 @ weights.T / n
        with np.errstate(invalid="ignore", divide="ignore"):
            found.append(1 - observed / expected)
    return np.stack(found)


SCORES = {"accuracy": _accuracy, "macro_f1": _macro_f1, "mae": _mae, "quadratic_kappa": _kappa}
ORDERED = ("mae", "quadratic_kappa")


def verdict(comparison: Comparison, first: str, second: str, margin: float) -> str:
    """One sentence: which is better, or that they are equivalent, or how many rows it would take.

    Better: McNemar's p is below 0.05. Equivalent: the 95 % interval of the difference is within
    the margin.
    """
    accuracy, n = comparison.scores["accuracy"], comparison.n
    delta, low, high = (value or 0.0 for value in accuracy[2:])  # an accuracy is never NaN
    if not any(map(len, comparison.flips)):
        return f"{first} and {second} predict the same label for each of {n:,} rows"
    if comparison.p < LEVEL and delta:
        better, worse = (second, first) if delta > 0 else (first, second)
        low, high = sorted((abs(low), abs(high))) if low * high > 0 else (low, high)
        return (
            f"{better} is better than {worse} by {abs(delta) * 100:.1f} points "
            f"(95 % interval {low * 100:.1f} to {high * 100:.1f}, p = {comparison.p:.2g}) "
            f"on {n:,} rows"
        )
    if -margin < low and high < margin:
        return (
            f"{first} and {second} are equivalent within {margin * 100:g} "
            f"point{'s' if margin != 0.01 else ''} "
            f"(difference {delta * 100:+.1f}, 95 % interval {low * 100:+.1f} to "
            f"{high * 100:+.1f}) on {n:,} rows"
        )
    changed = (len(comparison.flips.harmful) + len(comparison.flips.beneficial)) / n
    needed = rows_needed(changed, delta or margin)
    what = (
        "this difference"
        if delta
        else f"one of {margin * 100:g} point{'s' if margin != 0.01 else ''}"
    )
    return (
        f"no difference between {first} and {second} that {n:,} rows can show "
        f"({delta * 100:+.1f} points, 95 % interval {low * 100:+.1f} to {high * 100:+.1f}, "
        f"p = {comparison.p:.2g}); about {needed:,} would be needed to show {what}"
    )


def rows_needed(changed: float, difference: float) -> int:
    """Rows with which McNemar's test shows a difference of accuracies four times out of five.

    `changed` is the share of rows that exactly one of the models predicts rightly (Connor 1987).
    Two significant digits.
    """
    changed = max(changed, abs(difference))
    quantiles = norm.ppf(1 - LEVEL / 2), norm.ppf(POWER)
    spread = math.sqrt(changed), math.sqrt(max(changed - difference**2, 0))
    rows = (quantiles[0] * spread[0] + quantiles[1] * spread[1]) ** 2 / difference**2
    return int(float(f"{math.ceil(rows):.2g}"))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for the number of tests (Holm 1979)."""
    order = np.argsort(p_values)
    adjusted, largest = np.ones(len(p_values)), 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = largest
    found: list[float] = adjusted.tolist()
    return found


def by_class(labels: np.ndarray, flips: Flips, names: Sequence[str]) -> list[dict[str, Any]]:
    """Harmful and beneficial flips of each class, with p-values adjusted for their number."""
    rows: list[dict[str, Any]] = []
    for label, name in enumerate(names):
        of_class = [part[labels[part] == label] for part in flips]
        rows.append(
            {
                "label": name,
                "n": int((labels == label).sum()),
                "harmful": len(of_class[0]),
                "beneficial": len(of_class[1]),
                "p": mcnemar(Flips(*of_class)),
            }
        )
    adjusted = holm([row["p"] for row in rows])
    return [{**row, "p": p} for row, p in zip(rows, adjusted, strict=True)]
