"""Scores of two models and their differences, with a paired bootstrap over rows (Efron 1979)."""

import math
from typing import NamedTuple

import numpy as np

from yelp_stars.evaluation.intervals import Statistics, percentiles, resample
from yelp_stars.scoring.metrics import confusion_matrix, losses, score_counts

RESAMPLES = 4000
MIN_RESAMPLES = 1000  # of many rows
MAX_DRAWN = 20_000_000  # rows in all, if these are more than MIN_RESAMPLES: a second or less


class Difference(NamedTuple):
    """A score of two models; NaN where it is undefined."""

    first: float
    second: float
    difference: float
    """Second minus first."""
    low: float
    """Its 95 % interval."""
    high: float


def differences(
    labels: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    *,
    ordered: bool,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Difference]:
    """Compare the scores of two models by their logits (rows, classes) of the same rows.

    All intervals are of the same resamples.
    """
    n, classes = first.shape
    models = [(logits.argmax(axis=1), losses(logits, labels)) for logits in (first, second)]

    def statistics(rows: np.ndarray) -> Statistics:
        """Score both models on drawn rows (draws, n): arrays (draws, 2)."""
        scores = [
            {
                **score_counts(confusion_matrix(labels[rows], predicted[rows], classes), ordered),
                "loss": loss[rows].mean(axis=1),
            }
            for predicted, loss in models
        ]
        return {name: np.stack([of[name] for of in scores], axis=1) for name in scores[0]}

    exact = statistics(np.arange(n)[None])
    resamples = min(resamples, max(MIN_RESAMPLES, MAX_DRAWN // n))
    resampled = resample(statistics, n, resamples, seed, width=classes**2)
    compared = {}
    for name, scores in exact.items():
        first_score, second_score = scores[0].tolist()
        difference = second_score - first_score
        low, high = percentiles(resampled[name][:, 1] - resampled[name][:, 0]).tolist()
        if math.isnan(difference):
            low = high = math.nan
        compared[name] = Difference(first_score, second_score, difference, low, high)
    return compared
