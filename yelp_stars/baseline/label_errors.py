"""Training rows whose label another model doubts: the first to look at by eye.

Each row is predicted by a model that was fitted without it (k-fold cross-validation), and ranked by
the loss of its label: Northcutt et al. 2021, Confident Learning, with the baseline as the model.
"""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import log_softmax
from sklearn.model_selection import StratifiedKFold

# (texts, their labels, other texts) -> logits of the others, or None if nothing can be fitted
FitPredict = Callable[[list[str], np.ndarray, list[str]], np.ndarray | None]


class Suspects(NamedTuple):
    """Rows in the order in which to look at them."""

    indices: np.ndarray
    """Index of each row among the labels."""
    predicted: np.ndarray
    """Most likely label."""
    probability: np.ndarray
    """Probability of that label."""
    loss: np.ndarray
    """Negative logarithm of the probability of the given label."""


def find(
    texts: list[str],
    labels: np.ndarray,
    n_classes: int,
    fit_predict: FitPredict,
    *,
    folds: int,
    seed: int,
    limit: int,
    ordered: bool,
) -> Suspects:
    """Find the rows whose label a model doubts that was fitted on other rows, at most `limit`.

    A row is not judged if the other rows have none of its class, or no word to learn from.
    """
    logits = np.zeros((len(labels), n_classes), np.float32)
    judged = np.zeros(len(labels), bool)
    largest = int(np.bincount(labels, minlength=1).max())
    if limit and largest > 1:
        # Not more parts than the largest class has rows.
        splitter = StratifiedKFold(min(folds, largest), shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a class with fewer rows than parts
            parts = list(splitter.split(labels, labels))
        for others, held_out in parts:
            chosen = [texts[index] for index in others]
            predicted = fit_predict(chosen, labels[others], [texts[index] for index in held_out])
            if predicted is not None:
                logits[held_out] = predicted
                judged[held_out] = np.isin(labels[held_out], labels[others])
    indices = np.flatnonzero(judged)
    ranked = rank(logits[indices], labels[indices], ordered, limit)
    return ranked._replace(indices=indices[ranked.indices])


def rank(logits: np.ndarray, labels: np.ndarray, ordered: bool, limit: int) -> Suspects:
    """Rank the rows that are predicted differently, worst first, at most `limit`.

    `logits` are of shape (rows, classes), `labels` (rows,). Of `ordered` classes, those come first
    whose prediction is two classes or more away.
    """
    log_probabilities = log_softmax(logits.astype(np.float64), axis=1)
    predicted = logits.argmax(axis=1)
    loss = -log_probabilities[np.arange(len(labels)), labels]
    near = (abs(predicted - labels) < 2) & ordered
    order = np.lexsort((-loss, near))
    order = order[predicted[order] != labels[order]][:limit]
    probability = np.exp(log_probabilities[order, predicted[order]])
    return Suspects(order, predicted[order], probability, loss[order])


def write(
    suspects: Suspects, rows: np.ndarray, labels: np.ndarray, names: list[str], path: Path
) -> None:
    """Write row (its number in data/raw), label, predicted, probability and loss as Parquet."""
    words = pa.array(names, pa.string())
    table = pa.table(
        {
            "row": pa.array(rows[suspects.indices], pa.int64()),
            "label": words.take(pa.array(labels[suspects.indices], pa.int64())),
            "predicted": words.take(pa.array(suspects.predicted, pa.int64())),
            "probability": pa.array(suspects.probability, pa.float32()),
            "loss": pa.array(suspects.loss, pa.float32()),
        }
    )
    table = table.replace_schema_metadata({"yelp_stars": json.dumps({"label_names": names})})
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)
