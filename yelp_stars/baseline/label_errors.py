"""Training rows whose label another model doubts: the first to look at by eye.

Each row is predicted by a model that was fitted without it (k-fold cross-validation), and ranked by
the loss of its label: Northcutt et al. 2021, Confident Learning, with the baseline as the model.
"""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.model_selection import StratifiedKFold

from yelp_stars.evaluation.predictions import Predictions, labelled
from yelp_stars.scoring.metrics import losses

# (items, their labels, other items) -> logits of the others, or None if nothing can be fitted
FitPredict = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray | None]


def cross_validate(
    items: np.ndarray,
    labels: np.ndarray,
    fit_predict: FitPredict,
    *,
    n_classes: int,
    folds: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Predict each row by a model that was fitted on other rows: logits (rows, classes).

    Return also which rows are judged, bool: not those of which the other rows have no row of the
    same class, or nothing to learn from.
    """
    logits = np.zeros((len(labels), n_classes), np.float32)
    judged = np.zeros(len(labels), bool)
    largest = int(np.bincount(labels, minlength=1).max())
    if largest > 1:
        # Not more parts than the largest class has rows.
        splitter = StratifiedKFold(min(folds, largest), shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a class with fewer rows than parts
            parts = list(splitter.split(labels, labels))
        for others, held_out in parts:
            predicted = fit_predict(items[others], labels[others], items[held_out])
            if predicted is not None:
                logits[held_out] = predicted
                judged[held_out] = np.isin(labels[held_out], labels[others])
    return logits, judged


def find(
    logits: np.ndarray, judged: np.ndarray, labels: np.ndarray, *, limit: int, ordered: bool
) -> np.ndarray:
    """Find the judged rows that are predicted differently, at most `limit`: indices, worst first.

    Of `ordered` classes, those come first whose prediction is two classes or more away.
    """
    predicted = logits.argmax(axis=1)
    near = (abs(predicted - labels) < 2) & ordered
    order = np.lexsort((-losses(logits, labels), near))
    return order[(judged & (predicted != labels))[order]][:limit]


def write(suspects: Predictions, path: Path) -> None:
    """Write row (its number in data/raw), label, predicted, probability and loss as Parquet."""
    loss = pa.array(losses(suspects.logits, suspects.labels), pa.float32())
    table = pa.table({**labelled(suspects), "loss": loss})
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)
