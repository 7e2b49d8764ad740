"""Compute the scores of a model with intervals, from logits and labels."""

from typing import Any

import numpy as np
from scipy.special import softmax

from yelp_stars.evaluation import intervals
from yelp_stars.evaluation.intervals import Estimate, Statistics, estimate, proportion, share_of
from yelp_stars.evaluation.predictions import Predictions
from yelp_stars.scoring import conformal, metrics
from yelp_stars.scoring.calibration import Calibration
from yelp_stars.scoring.metrics import BINS

PROPORTIONS = ("accuracy", "within_one")  # of rows: with Wilson's interval
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)  # of the rows, the least sure, sent to a person


def details(
    tested: Predictions, fitted: Calibration, *, resamples: int, seed: int
) -> dict[str, Any]:
    """Estimate everything with its interval: scores, classes, calibration, ranges, risk.

    All bootstrap intervals are of the same resamples.
    """
    logits, labels, ordered = tested.logits, tested.labels, tested.ordered
    predicted, correct = tested.predicted, tested.right
    n, classes = logits.shape
    scaled = {"before": logits, "after": logits.astype(np.float64) / fitted.temperature}
    losses = {when: metrics.losses(values, labels) for when, values in scaled.items()}
    chances = {when: softmax(values.astype(np.float64), 1) for when, values in scaled.items()}
    surest = {when: values.max(axis=1) for when, values in chances.items()}
    bins = {when: metrics.calibration_bins(values) for when, values in surest.items()}
    unlikely = {when: metrics.second_losses(values) for when, values in scaled.items()}
    sets = conformal.sets(chances["before"], ordered, fitted.conformal_threshold)
    width = sets.sum(axis=1)
    # As people meet them: `stars predict --fail-below` compares calibrated probabilities.
    order = np.argsort(-surest["after"], kind="stable")
    rank = np.argsort(order)

    def statistics(rows: np.ndarray, odd: np.ndarray) -> Statistics:
        """Score drawn rows; an odd one has a random label, a random width, the second's loss."""
        actual, guesses = np.where(odd < 0, labels[rows], odd), predicted[rows]
        right = actual == guesses
        counts = metrics.confusion_matrix(actual, guesses, classes)
        drawn = {
            **metrics.score_counts(counts, ordered),
            "f1": metrics.f1(counts),
            "mean_width": np.where(odd < 0, width[rows], odd + 1).mean(axis=1),
            "area": mean_error(np.sort(2 * rank[rows] + ~right, axis=1) % 2),
        }
        for when in scaled:
            loss = np.where(odd < 0, losses[when][rows], unlikely[when][rows])
            surplus = right - surest[when][rows]
            drawn[f"loss {when}"] = loss.mean(axis=1)
            drawn[f"gaps {when}"] = metrics.bincounts(bins[when][rows], BINS, surplus) / n
        return drawn

    as_they_are = np.arange(n)[None], np.full((1, n), -1)
    exact = {name: values[0] for name, values in statistics(*as_they_are).items()}
    resampled = intervals.resample(statistics, n, resamples, seed, odd=classes, width=classes**2)

    def bootstrapped(name: str) -> Estimate:
        low, high = intervals.interval(exact[name], resampled[name], n)
        return estimate(exact[name], low, high, n)

    counts = metrics.confusion_matrix(labels, predicted, classes)
    scores = {
        name: proportion(round(score * n), n) if name in PROPORTIONS else bootstrapped(name)
        for name, score in metrics.score_counts(counts, ordered).items()
    }
    loss = {when: bootstrapped(f"loss {when}") for when in scaled}
    error = {when: _of_gaps(exact[f"gaps {when}"], resampled[f"gaps {when}"], n) for when in scaled}
    low_f1, high_f1 = intervals.interval(exact["f1"], resampled["f1"], n)
    return {
        "scores": {**scores, "loss": loss["before"], "calibration_error": error["before"]},
        "per_class": [
            {
                "label": name,
                "precision": share_of(correct[predicted == label]),
                "recall": share_of(correct[labels == label]),
                "f1": estimate(exact["f1"][label], low_f1[label], high_f1[label], n),
            }
            for label, name in enumerate(tested.names)
        ],
        "calibration": {
            "temperature": fitted.temperature,
            "fitted_on": fitted.n,
            "loss": loss,
            "calibration_error": error,
            "bins": {when: reliability(surest[when], correct) for when in scaled},
        },
        "ranges": {
            "contiguous": ordered,
            "promised": fitted.coverage,
            "threshold": fitted.conformal_threshold,
            "coverage": share_of(sets[np.arange(n), labels]),
            "mean_width": bootstrapped("mean_width"),
            "widths": {str(size): int((width == size).sum()) for size in range(1, classes + 1)},
        },
        "risk_coverage": {
            "area": bootstrapped("area"),
            "points": risk_coverage(correct, surest["after"]),
        },
    }


def reliability(surest: np.ndarray, correct: np.ndarray) -> list[dict[str, Any]]:
    """Return mean probability and accuracy of each bin that has rows; equal if calibrated."""
    table, bins = [], metrics.calibration_bins(surest)
    for number in np.unique(bins):
        inside = bins == number
        accuracy = share_of(correct[inside])
        probability = round(float(surest[inside].mean()), metrics.decimals(accuracy["n"]))
        table.append({"probability": probability, "accuracy": accuracy.pop("value"), **accuracy})
    return table


def risk_coverage(correct: np.ndarray, probability: np.ndarray) -> list[dict[str, Any]]:
    """Return the accuracy of the surest rows, for each share that a person checks.

    This is the risk-coverage curve of selective classification (El-Yaniv and Wiener 2010).
    `probability` is that of each row's prediction. A row goes to a person if it is below the
    point's "from".
    """
    order = np.argsort(-probability, kind="stable")
    table = []
    for share in SHARES:
        rest = order[: len(order) - round(share * len(order))]
        accuracy = share_of(correct[rest])
        from_ = round(float(probability[rest[-1]]), metrics.decimals(len(order)))
        table.append({"to_a_person": share, "from": from_, **accuracy})
    return table


def mean_error(wrong: np.ndarray) -> np.ndarray:
    """Return the area under the risk-coverage curve of rows (..., n) in order, the surest first.

    That is the mean of the error of the surest 1, 2, …, n rows: 0 is perfect, and the error of all
    rows is what a random order has.
    """
    errors = np.cumsum(wrong, axis=-1) / np.arange(1, wrong.shape[-1] + 1)
    return errors.mean(axis=-1)


def _of_gaps(gaps: np.ndarray, resampled: np.ndarray, n: int) -> Estimate:
    """Estimate the calibration error from the gaps of its bins: (BINS,) and (resamples, BINS).

    The error is a sum of absolute values: noise makes it larger, and that of a resample even more.
    The low end subtracts what the gaps vary by, summed (the triangle inequality), and so reaches 0
    for a calibrated model; the high end is the percentile. Together they cover at least 95 %.
    """
    error, noise = abs(gaps).sum(), abs(resampled - gaps).sum(axis=1)
    tail = intervals.TAILS[1]
    low = max(0.0, error - float(np.quantile(noise, tail)))
    return estimate(error, low, float(np.quantile(abs(resampled).sum(axis=1), tail)), n)
