"""Scores of star predictions: NumPy in, numbers out.

What depends on predicted classes alone is computed from confusion counts by `score_counts`: the
scores of a test set, their intervals and the comparison of two models share each definition. A new
score also needs a title in yelp_stars/evaluation/titles.py; CONTRIBUTING.md has the recipe.
"""

import math
from typing import Any

import numpy as np
from scipy.special import log_softmax, ndtri, softmax

BINS = 15  # of equal width, for the calibration error


def scores(logits: np.ndarray, labels: np.ndarray, ordered: bool = True) -> dict[str, Any]:
    """Score `logits` (rows, classes) against `labels` (rows,), classes 0 to k - 1.

    The accuracy comes with its 95 % interval (Wilson 1927) and the number of rows. A score that is
    undefined is None.
    """
    counts = confusion_matrix(labels, logits.argmax(axis=1), logits.shape[1])
    of_counts = {name: float(score) for name, score in score_counts(counts, ordered).items()}
    low, high = wilson(int(counts.trace()), len(labels))
    return {
        "n": len(labels),
        "accuracy": of_counts.pop("accuracy"),
        "accuracy_low": low,
        "accuracy_high": high,
        **{name: None if math.isnan(score) else score for name, score in of_counts.items()},
        "loss": float(losses(logits, labels).mean()),
        "calibration_error": calibration_error(logits, labels),
    }


def score_counts(counts: np.ndarray, ordered: bool) -> dict[str, np.ndarray]:
    """Score confusion counts (..., classes, classes), actual by predicted: arrays (...).

    Macro-F1 is the mean over the classes that rows have, as no row shows how well a model finds
    another: scikit-learn's, with `labels=np.unique(y_true)`. Classes that are `ordered` also have
    `mae` and `within_one`, which count the distance between two adjacent classes as one star, and
    `quadratic_kappa` (Cohen 1968), NaN where it is undefined.
    """
    n = counts.sum(axis=(-2, -1))
    scores = {
        "accuracy": np.trace(counts, axis1=-2, axis2=-1) / n,
        "macro_f1": np.nanmean(f1(counts), axis=-1),
    }
    if ordered:
        classes = np.arange(counts.shape[-1])
        distance = abs(classes[:, None] - classes)
        actual, predicted = counts.sum(axis=-1), counts.sum(axis=-2)
        by_chance = (actual @ distance**2 * predicted).sum(axis=-1) / n
        observed = np.tensordot(counts, distance**2)
        scores |= {
            "mae": np.tensordot(counts, distance) / n,
            "within_one": np.tensordot(counts, distance <= 1) / n,
            "quadratic_kappa": 1 - observed / np.where(by_chance > 0, by_chance, np.nan),
        }
    return scores


def f1(counts: np.ndarray) -> np.ndarray:
    """Compute the F1 of each class, (..., classes), from confusion counts; NaN if no row has it."""
    actual = counts.sum(axis=-1)
    total = np.where(actual > 0, actual + counts.sum(axis=-2), np.nan)
    return 2 * counts.diagonal(axis1=-2, axis2=-1) / total


def losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the negative log-probability of each row's label, (rows,)."""
    log_probabilities = log_softmax(logits.astype(np.float64), axis=1)
    return -log_probabilities[np.arange(len(labels)), labels]


def second_losses(logits: np.ndarray) -> np.ndarray:
    """Return the loss of each row, (rows,), if its label were the second likeliest class."""
    return losses(logits, logits.argsort(axis=1)[:, -min(2, logits.shape[1])])


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a proportion (Wilson 1927)."""
    z = float(ndtri(0.975))
    centre, weight = successes + z**2 / 2, n + z**2
    reach = z * math.sqrt(successes * (n - successes) / n + z**2 / 4)
    return max(0.0, (centre - reach) / weight), min(1.0, (centre + reach) / weight)


def calibration_error(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the expected calibration error (Guo et al. 2017) of logits (rows, classes)."""
    surest = softmax(logits.astype(np.float64), axis=1).max(axis=1)
    surplus = (logits.argmax(axis=1) == labels) - surest
    return float(abs(np.bincount(calibration_bins(surest), surplus)).sum() / len(labels))


def calibration_bins(surest: np.ndarray) -> np.ndarray:
    """Return the bin, 0 to `BINS` - 1, of the probability of each row's prediction, (rows,)."""
    return (np.ceil(surest * BINS).astype(np.int64) - 1).clip(0, BINS - 1)


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Count each class predicted as each class: (..., n) twice to (..., classes, classes)."""
    cells = labels * classes + predicted
    counts = bincounts(cells.reshape(-1, cells.shape[-1]), classes**2)
    return counts.reshape(*cells.shape[:-1], classes, classes)


def bincounts(values: np.ndarray, length: int, weights: np.ndarray | None = None) -> np.ndarray:
    """Apply `np.bincount` to each row of `values` (draws, n) below `length`: (draws, length)."""
    draws = len(values)
    cells = values + length * np.arange(draws)[:, None]
    flat = None if weights is None else weights.ravel()
    return np.bincount(cells.ravel(), flat, draws * length).reshape(draws, length)


def decimals(n: int) -> int:
    """Return the decimals, at most 4, that a score of `n` rows supports: one row moves the last.

    Further digits are noise that differs between CPUs, and would dirty git after every run.
    """
    return min(4, max(1, math.ceil(math.log10(n))))


def rounded(scores: dict[str, Any]) -> dict[str, Any]:
    """Round `scores` to the decimals that their "n" supports."""
    digits = decimals(max(1, scores["n"]))
    return {
        name: outwards(name, value, digits) if isinstance(value, float) else value
        for name, value in scores.items()
    }


def outwards(name: str, value: float, digits: int) -> float:
    """Round a number, or an end of an interval outwards: to the nearest, it would cover less."""
    scale, slack = 10**digits, 1e-6  # 0.29 * 100 is 28.999999999999996
    if name.endswith("low"):
        return math.floor(value * scale + slack) / scale
    if name.endswith("high"):
        return math.ceil(value * scale - slack) / scale
    return round(value, digits)
