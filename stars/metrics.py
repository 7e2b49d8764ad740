"""Scores of star predictions: NumPy in, numbers out."""

from typing import Any

import numpy as np
from scipy.special import softmax
from scipy.stats import binomtest
from sklearn.metrics import (
    accuracy_score,
    cohen_kappa_score,
    confusion_matrix,
    f1_score,
    log_loss,
    mean_absolute_error,
    precision_recall_fscore_support,
)


def scores(logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Score `logits` (rows, classes) against `labels` (rows,), classes 0 to k - 1 in order.

    The accuracy comes with its 95 % interval (Wilson 1927) and the number of rows; `mae` and
    `within_one` take a class as one star; `quadratic_kappa` (Cohen 1968) is None where undefined.
    """
    classes = range(logits.shape[1])
    predicted = logits.argmax(axis=1)
    accuracy = float(accuracy_score(labels, predicted))
    right = int((predicted == labels).sum())
    interval = binomtest(right, len(labels)).proportion_ci(0.95, method="wilson")
    defined = len(np.union1d(labels, predicted)) > 1
    kappa = (
        float(cohen_kappa_score(labels, predicted, labels=list(classes), weights="quadratic"))
        if defined
        else None
    )
    return {
        "n": len(labels),
        "accuracy": accuracy,
        "accuracy_low": float(interval.low),
        "accuracy_high": float(interval.high),
        "macro_f1": float(
            f1_score(labels, predicted, labels=list(classes), average="macro", zero_division=0)
        ),
        "mae": float(mean_absolute_error(labels, predicted)),
        "within_one": float((abs(labels - predicted) <= 1).mean()),
        "quadratic_kappa": kappa,
        "loss": float(
            log_loss(labels, softmax(logits.astype(np.float64), axis=1), labels=list(classes))
        ),
    }


def confusion(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How often each class (row) was predicted as each class (column), (classes, classes)."""
    classes = list(range(logits.shape[1]))
    counts: np.ndarray = confusion_matrix(labels, logits.argmax(axis=1), labels=classes)
    return counts


def per_class(logits: np.ndarray, labels: np.ndarray, names: list[str]) -> list[dict[str, Any]]:
    """Precision, recall, F1 and number of rows of each class."""
    columns = precision_recall_fscore_support(
        labels, logits.argmax(axis=1), labels=list(range(len(names))), zero_division=0
    )
    keys = ("precision", "recall", "f1", "n")
    return [
        {"label": name, **{key: column[place].item() for key, column in zip(keys, columns)}}
        for place, name in enumerate(names)
    ]
