"""Scores of two models and their differences, with a paired bootstrap over rows (Efron 1979)."""

import math
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

TAILS = (0.025, 0.975)
RESAMPLES = 4000
FEWEST = 1000  # resamples of many rows
DRAWS = 20_000_000  # rows drawn in all, if these are more than FEWEST resamples: a second or less
CHUNK = 2**22  # rows drawn at a time


class Difference(NamedTuple):
    """One score of two models."""

    first: float | None
    second: float | None
    difference: float | None
    """The second minus the first."""
    low: float | None
    """Its 95 % interval."""
    high: float | None


def differences(
    labels: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    *,
    ordered: bool,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Difference]:
    """The scores of two models by their log-probabilities (rows, classes) of the same rows.

    All intervals are of the same resamples.
    """
    a, b = first.argmax(axis=1), second.argmax(axis=1)
    n, picked = len(labels), np.arange(len(labels))
    losses = -first[picked, labels], -second[picked, labels]
    # Scores of predicted labels depend on how often each (label, a, b) occurs.
    cells, cell = np.unique(np.stack([labels, a, b]), axis=1, return_inverse=True)
    wanted = [name for name in SCORES if ordered or name not in ORDERED]

    def scores_of(rows: np.ndarray) -> np.ndarray:
        """The scores of both models, (scores, 2, draws), for drawn rows (draws, n)."""
        draws = len(rows)
        place = cell.ravel()[rows] + cells.shape[1] * np.arange(draws)[:, None]
        counts = np.bincount(place.ravel(), minlength=draws * cells.shape[1])
        weights = counts.reshape(draws, -1).T
        found = [SCORES[name](weights, cells[0], cells[1:], first.shape[1]) for name in wanted]
        return np.stack([*found, np.stack([loss[rows].mean(axis=1) for loss in losses])])

    exact = scores_of(picked[None])[:, :, 0].tolist()
    rng = np.random.default_rng(seed)
    left = min(resamples, max(FEWEST, DRAWS // n))
    parts = []
    while left > 0:
        draws = min(left, max(1, CHUNK // n))
        drawn = scores_of(rng.integers(n, size=(draws, n)))
        parts.append(drawn[:, 1] - drawn[:, 0])
        left -= draws
    resampled = np.concatenate(parts, axis=1)
    triples = zip([*wanted, "loss"], exact, resampled, strict=True)
    return {name: _difference(one, two, drawn) for name, (one, two), drawn in triples}


def _difference(first: float, second: float, drawn: np.ndarray) -> Difference:
    """`drawn` are differences of resampled rows; an undefined score, such as kappa, is NaN."""
    drawn = drawn[np.isfinite(drawn)]
    if not (math.isfinite(first) and math.isfinite(second) and len(drawn)):
        known = [score if math.isfinite(score) else None for score in (first, second)]
        return Difference(known[0], known[1], None, None, None)
    low, high = np.quantile(drawn, TAILS).tolist()
    return Difference(first, second, second - first, low, high)


# Each takes weights (cells, draws), the cells' labels, their two predictions (2, cells) and the
# number of classes, and returns a score for both models, (2, draws).


def _macro_f1(
    weights: np.ndarray, labels: np.ndarray, predicted: np.ndarray, classes: int
) -> np.ndarray:
    actual = _sums(labels, classes, weights)
    found = []
    for guess in predicted:
        right = _sums(labels, classes, weights * (guess == labels)[:, None])
        total = actual + _sums(guess, classes, weights)
        f1 = np.divide(2 * right, total, out=np.zeros(total.shape), where=total > 0)
        # As scikit-learn: of the classes that are a label or a prediction.
        found.append(f1.sum(axis=0) / np.maximum((total > 0).sum(axis=0), 1))
    return np.stack(found)


def _mae(
    weights: np.ndarray, labels: np.ndarray, predicted: np.ndarray, classes: int
) -> np.ndarray:
    found: np.ndarray = abs(predicted - labels) @ weights / weights.sum(axis=0)
    return found


def _kappa(
    weights: np.ndarray, labels: np.ndarray, predicted: np.ndarray, classes: int
) -> np.ndarray:
    n = weights.sum(axis=0)
    every = np.arange(classes)
    distance = (every[:, None] - every) ** 2.0
    actual = _sums(labels, classes, weights) / n
    found = []
    for guess in predicted:
        expected = (actual * (distance @ (_sums(guess, classes, weights) / n))).sum(axis=0)
        observed = (guess - labels) ** 2.0 @ weights / n
        with np.errstate(invalid="ignore", divide="ignore"):
            found.append(1 - observed / expected)
    return np.stack(found)


def _sums(groups: np.ndarray, number: int, weights: np.ndarray) -> np.ndarray:
    """The sum of the weights of each group of cells, (number, draws)."""
    cells = np.arange(len(groups))
    members = csr_array((np.ones(len(groups)), (groups, cells)), shape=(number, len(groups)))
    found: np.ndarray = members @ weights
    return found


SCORES = {"macro_f1": _macro_f1, "mae": _mae, "quadratic_kappa": _kappa}
ORDERED = ("mae", "quadratic_kappa")
