"""Scores of star predictions: NumPy in, numbers out."""

import math
from typing import Any

import numpy as np
from scipy.special import softmax
from scipy.stats import binomtest
from sklearn import metrics as sklearn_metrics

BINS = 15  # of equal width, for the calibration error


def scores(logits: np.ndarray, labels: np.ndarray, ordered: bool = True) -> dict[str, Any]:
    """Score `logits` (rows, classes) against `labels` (rows,), classes 0 to k - 1.

    The accuracy comes with its 95 % interval (Wilson 1927) and the number of rows. Classes that
    are `ordered` also have `mae` and `within_one`, which count the distance between two adjacent
    classes as one star, and `quadratic_kappa` (Cohen 1968), None where it is undefined.
    `calibration_error` is the expected calibration error (Guo et al. 2017) in `BINS` bins.
    """
    classes = list(range(logits.shape[1]))
    predicted = logits.argmax(axis=1)
    low, high = wilson(int((predicted == labels).sum()), len(labels))
    macro_f1 = sklearn_metrics.f1_score(
        labels, predicted, labels=classes, average="macro", zero_division=0
    )
    probabilities = softmax(logits.astype(np.float64), axis=1)
    return {
        "n": len(labels),
        "accuracy": float(sklearn_metrics.accuracy_score(labels, predicted)),
        "accuracy_low": low,
        "accuracy_high": high,
        "macro_f1": float(macro_f1),
        **(_distances(labels, predicted, classes) if ordered else {}),
        "loss": float(sklearn_metrics.log_loss(labels, probabilities, labels=classes)),
        "calibration_error": float(abs(calibration_gaps(probabilities, labels)).sum()),
    }


def wilson(successes: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a proportion (Wilson 1927)."""
    interval = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def calibration_bins(probabilities: np.ndarray) -> np.ndarray:
    """The bin of each row by the probability of its prediction, 0 to `BINS` - 1."""
    bins: np.ndarray = np.ceil(probabilities.max(axis=1) * BINS).astype(np.int64) - 1
    return bins.clip(0, BINS - 1)


def calibration_gaps(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Accuracy less probability of each bin, times its share of the rows, of shape (BINS,)."""
    correct = probabilities.argmax(axis=1) == labels
    gaps: np.ndarray = np.bincount(
        calibration_bins(probabilities), correct - probabilities.max(axis=1), BINS
    )
    return gaps / len(labels)


def _distances(labels: np.ndarray, predicted: np.ndarray, classes: list[int]) -> dict[str, Any]:
    """The scores that count how far a prediction is off."""
    kappa = None
    if len(np.union1d(labels, predicted)) > 1:
        kappa = float(
            sklearn_metrics.cohen_kappa_score(
                labels, predicted, labels=classes, weights="quadratic"
            )
        )
    return {
        "mae": float(sklearn_metrics.mean_absolute_error(labels, predicted)),
        "within_one": float((abs(labels - predicted) <= 1).mean()),
        "quadratic_kappa": kappa,
    }


def decimals(n: int) -> int:
    """The decimals that a score of `n` rows supports: one row moves the last one. At most 4.

    Further digits are noise that differs between CPUs, and would dirty git after every run.
    """
    return min(4, max(1, math.ceil(math.log10(n))))


def rounded(scores: dict[str, Any]) -> dict[str, Any]:
    """`scores` with the decimals that their "n" supports."""
    digits = decimals(scores["n"])
    return {
        name: round(value, digits) if isinstance(value, float) else value
        for name, value in scores.items()
    }


def confusion_matrix(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Count each class (row) predicted as each class (column): (classes, classes)."""
    counts: np.ndarray = sklearn_metrics.confusion_matrix(
        labels, logits.argmax(axis=1), labels=list(range(logits.shape[1]))
    )
    return counts


def per_class(logits: np.ndarray, labels: np.ndarray, names: list[str]) -> list[dict[str, Any]]:
    """Precision, recall, F1 and number of rows of each class, rounded as for all rows."""
    columns = sklearn_metrics.precision_recall_fscore_support(
        labels, logits.argmax(axis=1), labels=list(range(len(names))), zero_division=0
    )
    digits = decimals(len(labels))
    precision, recall, f1, n = (column.tolist() for column in columns)
    return [
        {
            "label": name,
            "precision": round(precision[label], digits),
            "recall": round(recall[label], digits),
            "f1": round(f1[label], digits),
            "n": n[label],
        }
        for label, name in enumerate(names)
    ]
