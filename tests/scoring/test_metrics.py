"""Scores: those of scikit-learn, with as many digits as their rows support."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from yelp_stars.evaluation.titles import ORDERED
from yelp_stars.scoring.hf_metric import StarScores
from yelp_stars.scoring.metrics import (
    calibration_bins,
    confusion_matrix,
    decimals,
    losses,
    rounded,
    score_counts,
    scores,
)


def logits_of(predicted) -> np.ndarray:
    return (4 * np.eye(5, dtype=np.float32))[np.asarray(predicted)]


@pytest.mark.filterwarnings("ignore:A single label")
@pytest.mark.parametrize(("rows", "classes"), [(1, 1), (1, 3), (4, 6), (7, 2), (60, 5)])
def test_the_scores_of_each_draw_are_scikit_learns(rows, classes):
    labels, predicted = np.random.default_rng(0).integers(classes, size=(2, 3, rows))
    counts = confusion_matrix(labels, predicted, classes)
    found = score_counts(counts, ordered=True)
    every = list(range(classes))
    for draw, (y, p) in enumerate(zip(labels, predicted, strict=True)):
        assert (counts[draw] == sklearn_metrics.confusion_matrix(y, p, labels=every)).all()
        expected = {
            "accuracy": sklearn_metrics.accuracy_score(y, p),
            "macro_f1": sklearn_metrics.f1_score(
                y, p, labels=np.unique(y), average="macro", zero_division=0
            ),
            "mae": sklearn_metrics.mean_absolute_error(y, p),
            "within_one": (abs(y - p) <= 1).mean(),
            "quadratic_kappa": np.nan,
        }
        if len({*y, *p}) > 1:
            expected["quadratic_kappa"] = sklearn_metrics.cohen_kappa_score(
                y, p, labels=every, weights="quadratic"
            )
        of_draw = {name: found[name][draw] for name in expected}
        assert of_draw == pytest.approx(expected, nan_ok=True)


def test_the_loss_is_scikit_learns():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(50, 5)), rng.integers(0, 5, 50)
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = sklearn_metrics.log_loss(labels, chances, labels=range(5))
    assert losses(logits, labels).mean() == pytest.approx(expected)


def test_kappa_is_undefined_where_all_rows_are_one_class():
    assert scores(logits_of([3, 3]), np.array([3, 3]))["quadratic_kappa"] is None


@pytest.mark.parametrize(
    ("n", "digits"),
    [(1, 1), (10, 1), (11, 2), (100, 2), (101, 3), (1000, 3), (50_000, 4), (10**7, 4)],
)
def test_a_score_has_the_decimals_that_its_rows_support(n, digits):
    assert decimals(n) == digits


def test_scores_are_rounded_to_the_decimals_of_their_rows():
    exact = scores(logits_of([0, 1, 2] * 5), np.array([0, 1, 1] * 5))
    found = rounded({**exact, "mae": None})
    assert (found["n"], found["accuracy"], found["mae"]) == (15, 0.67, None)


def test_the_calibration_error_of_a_case_worked_by_hand():
    # 0.6 twice, of which one is right, and 0.9, which is right: Guo et al. 2017, equation 3.
    logits = np.log(np.array([[0.6, 0.4], [0.6, 0.4], [0.1, 0.9]], np.float32))
    found = scores(logits, np.array([0, 1, 1]))["calibration_error"]
    assert found == pytest.approx(2 / 3 * 0.1 + 1 / 3 * 0.1)


def test_a_bin_includes_its_upper_end():
    surest = np.array([1 / 3, 0.4, 0.41, 0.5, 1.0])
    assert calibration_bins(surest).tolist() == [4, 5, 6, 7, 14]


def test_the_metric_gives_the_scores_each_time_without_distances_if_classes_have_no_order():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(50, 5)).astype(np.float32), rng.integers(0, 5, 50)
    metric = StarScores(keep_in_memory=True)
    everything = scores(logits, labels)
    assert metric.compute(predictions=logits, references=labels) == everything
    nominal = metric.compute(predictions=logits, references=labels, ordered=False)
    assert set(everything) - set(nominal) == ORDERED
    assert nominal.items() <= everything.items()
