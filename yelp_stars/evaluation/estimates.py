"""The scores of a model with their intervals, from logits and labels."""

from typing import Any

import numpy as np
from scipy.special import log_softmax, softmax

from yelp_stars.evaluation import intervals, selective
from yelp_stars.evaluation.intervals import Estimate, estimate, proportion
from yelp_stars.scoring import calibration, conformal
from yelp_stars.scoring.calibration import Calibration
from yelp_stars.scoring.metrics import BINS, calibration_bins


def details(
    logits: np.ndarray,
    labels: np.ndarray,
    names: list[str],
    ordered: bool,
    fitted: Calibration,
    *,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Everything with its interval: scores, classes, calibration, ranges, risk and coverage.

    All bootstrap intervals are of the same resamples.
    """
    n, classes = logits.shape
    each = np.arange(n)
    predicted = logits.argmax(axis=1)
    correct, cells = predicted == labels, labels * classes + predicted
    scaled = logits.astype(np.float64) / fitted.temperature
    probabilities = [softmax(values.astype(np.float64), axis=1) for values in (logits, scaled)]
    log_probabilities = [log_softmax(values.astype(np.float64), 1) for values in (logits, scaled)]
    losses = np.stack([-values[each, labels] for values in log_probabilities])
    bins = [calibration_bins(values) for values in probabilities]
    surplus = [correct - values.max(axis=1) for values in probabilities]
    sets = conformal.sets(probabilities[0], ordered, fitted.conformal_threshold)
    width = sets.sum(axis=1)
    surest = probabilities[0].max(axis=1)
    order = selective.surest_first(surest)
    place = np.empty(n, np.int64)
    place[order] = each
    wrong = ~correct[order]

    def statistic(rows: np.ndarray) -> np.ndarray:
        counts = np.bincount(cells[rows], minlength=classes**2).reshape(classes, classes)
        drawn = np.bincount(place[rows], minlength=n)
        return np.concatenate(
            [
                _of_counts(counts),
                losses[:, rows].mean(axis=1),
                [width[rows].mean(), selective.mean_error(np.repeat(wrong, drawn))],
                *(np.bincount(b[rows], s[rows], BINS) / n for b, s in zip(bins, surplus)),
            ]
        )

    # The calibration errors are the last 2 * BINS numbers, see `_of_gaps`.
    exact = statistic(each)
    resampled = intervals.resample(statistic, n, resamples, seed)
    low, high = intervals.percentiles(resampled)
    found = [estimate(*numbers, n) for numbers in zip(exact, low, high, strict=True)]
    macro_f1, mae, kappa, *f1 = found[: 3 + classes]
    loss, scaled_loss, mean_width, area = found[3 + classes : 7 + classes]
    first, second = 7 + classes, 7 + classes + BINS
    error, scaled_error = (
        _of_gaps(exact[start : start + BINS], resampled[:, start : start + BINS], n)
        for start in (first, second)
    )
    distances = {
        "mae": mae,
        "within_one": proportion(int((abs(predicted - labels) <= 1).sum()), n),
        "quadratic_kappa": kappa,
    }
    return {
        "scores": {
            "accuracy": proportion(int(correct.sum()), n),
            "macro_f1": macro_f1,
            **(distances if ordered else {}),
            "loss": loss,
            "calibration_error": error,
        },
        "per_class": [
            {
                "label": name,
                "precision": _share(correct, predicted == label),
                "recall": _share(correct, labels == label),
                "f1": f1[label],
            }
            for label, name in enumerate(names)
        ],
        "calibration": {
            "temperature": fitted.temperature,
            "fitted_on": fitted.n,
            "loss": {"before": loss, "after": scaled_loss},
            "calibration_error": {"before": error, "after": scaled_error},
            "bins": {
                "before": calibration.reliability(logits, labels),
                "after": calibration.reliability(scaled, labels),
            },
        },
        "ranges": {
            "contiguous": ordered,
            "promised": fitted.coverage,
            "threshold": fitted.conformal_threshold,
            "coverage": proportion(int(sets[each, labels].sum()), n),
            "mean_width": mean_width,
            "widths": {str(size): int((width == size).sum()) for size in range(1, classes + 1)},
        },
        "risk_coverage": {"area": area, "points": selective.points(correct, surest)},
    }


def _share(correct: np.ndarray, of: np.ndarray) -> Estimate:
    return proportion(int(correct[of].sum()), int(of.sum()))


def _of_counts(counts: np.ndarray) -> np.ndarray:
    """Macro-F1, mean absolute error, quadratic kappa and the F1 of each class.

    `counts` is the confusion matrix, actual by predicted. A class that no row has or is predicted
    as has an F1 of 0; kappa is NaN where it is undefined.
    """
    actual, predicted = counts.sum(axis=1), counts.sum(axis=0)
    f1 = 2 * counts.diagonal() / np.maximum(actual + predicted, 1)
    classes = np.arange(len(counts))
    distance = abs(classes[:, None] - classes)
    n = counts.sum()
    by_chance = (distance**2 * np.outer(actual, predicted)).sum() / n
    kappa = 1 - (distance**2 * counts).sum() / by_chance if by_chance else np.nan
    numbers: np.ndarray = np.array([f1.mean(), (distance * counts).sum() / n, kappa, *f1])
    return numbers


def _of_gaps(gaps: np.ndarray, resampled: np.ndarray, n: int) -> Estimate:
    """The calibration error of the gaps of the bins, with its interval.

    The error is a sum of absolute values: noise makes it larger, and that of a resample even more.
    The low end subtracts what the gaps vary by, summed (the triangle inequality), and so reaches 0
    for a calibrated model; the high end is the percentile. Together they cover at least 95 %.
    """
    error, noise = abs(gaps).sum(), abs(resampled - gaps).sum(axis=1)
    tail = intervals.TAILS[1]
    low = max(0.0, error - float(np.quantile(noise, tail)))
    return estimate(error, low, float(np.quantile(abs(resampled).sum(axis=1), tail)), n)
