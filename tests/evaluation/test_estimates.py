"""Estimates: scikit-learn's scores, intervals that cover, ranges and areas as by hand."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import softmax
from sklearn import metrics as sklearn_metrics

from yelp_stars.evaluation import estimates, intervals
from yelp_stars.evaluation.predictions import Predictions
from yelp_stars.evaluation.titles import ORDERED
from yelp_stars.scoring import calibration, conformal
from yelp_stars.scoring.metrics import calibration_error, rounded, scores

NAMES = ["1 star", "2 stars", "3 stars", "4 stars", "5 stars"]


def drawn(rng: np.random.Generator, rows: int, factor: float = 2.0, classes: int = 5):
    """Logits of a model of stars that is `factor` times too sure, and labels."""
    center = rng.integers(classes, size=(rows, 1)) + rng.normal(scale=0.6, size=(rows, 1))
    logits = -((np.arange(classes) - center) ** 2)
    truth = softmax(logits, axis=1).cumsum(axis=1)
    labels = (truth > rng.random((rows, 1))).argmax(axis=1)
    return (factor * logits).astype(np.float32), labels


@pytest.fixture(scope="module")
def model():
    """Logits and labels of test rows, and what validation rows have fitted."""
    rng = np.random.default_rng(0)
    return *drawn(rng, 800), calibration.fit(*drawn(rng, 4000), True)


def estimated(model, ordered: bool = True, resamples: int = 1000, seed: int = 0):
    logits, labels, fitted = model
    tested = Predictions(np.arange(len(labels)), [], labels, logits, NAMES, ordered)
    return estimates.details(tested, fitted, resamples=resamples, seed=seed)


def test_every_score_that_is_committed_has_its_interval(model):
    logits, labels, _ = model
    found = estimated(model)["scores"]
    expected = rounded(scores(logits, labels))
    for name in ("n", "accuracy_low", "accuracy_high"):
        del expected[name]
    assert {name: score["value"] for name, score in found.items()} == expected
    for name, score in found.items():
        assert score["low"] <= score["value"] <= score["high"], name
        assert score["n"] == 800
    nominal = estimated(model, ordered=False, resamples=20)
    assert set(found) - set(nominal["scores"]) == ORDERED
    assert not nominal["ranges"]["contiguous"]


def test_the_interval_of_a_score_is_that_of_scipys_bootstrap_of_scikit_learns_score(model):
    logits, labels, _ = model
    found = estimated(model)["scores"]["macro_f1"]
    expected = stats.bootstrap(
        (labels, logits.argmax(axis=1)),
        lambda y, p: sklearn_metrics.f1_score(y, p, average="macro"),
        paired=True, vectorized=False, n_resamples=500, method="percentile", rng=1,
    ).confidence_interval  # fmt: skip
    assert (found["low"], found["high"]) == pytest.approx(expected, abs=0.015)


def test_precision_and_recall_of_a_class_have_wilsons_intervals(model):
    logits, labels, _ = model
    predicted = logits.argmax(axis=1)
    columns = sklearn_metrics.precision_recall_fscore_support(labels, predicted)
    for label, found in enumerate(estimated(model)["per_class"]):
        assert found["label"] == NAMES[label]
        right = int(((predicted == label) & (labels == label)).sum())
        for name, values in {"precision": predicted, "recall": labels}.items():
            assert found[name] == intervals.proportion(right, int((values == label).sum()))
        assert found["f1"]["value"] == round(columns[2][label], 3)
        assert found["f1"]["low"] < found["f1"]["value"] < found["f1"]["high"]


def test_the_temperature_lowers_loss_and_calibration_error_and_changes_no_prediction(model):
    found = estimated(model)
    for name in ("loss", "calibration_error"):
        assert found["calibration"][name]["before"] == found["scores"][name]
        assert found["calibration"][name]["after"]["value"] < found["scores"][name]["value"]
    assert found["calibration"]["temperature"] == pytest.approx(2, rel=0.2)
    for when, rows in found["calibration"]["bins"].items():
        assert sum(row["n"] for row in rows) == 800
        assert all(row["low"] <= row["accuracy"] <= row["high"] for row in rows)
        error = sum(row["n"] / 800 * abs(row["accuracy"] - row["probability"]) for row in rows)
        expected = found["calibration"]["calibration_error"][when]["value"]
        assert error == pytest.approx(expected, abs=0.02)


def test_ranges_cover_what_they_promise_and_are_counted(model):
    logits, labels, fitted = model
    found = estimated(model)["ranges"]
    assert found["coverage"]["low"] <= 0.9 <= found["coverage"]["high"]
    sets = conformal.sets(softmax(logits, axis=1), True, fitted.conformal_threshold)
    assert found["coverage"]["value"] == round(sets[np.arange(800), labels].mean(), 3)
    assert found["mean_width"]["value"] == round(sets.sum(axis=1).mean(), 3)
    assert sum(found["widths"].values()) == 800
    assert [*found["widths"]] == ["1", "2", "3", "4", "5"]


def test_risk_and_coverage_of_a_case_worked_by_hand():
    # Of ten rows, the surest eight are right.
    probability = np.arange(1, 11) / 10
    points = estimates.risk_coverage(np.arange(10) >= 2, probability)
    assert [point["to_a_person"] for point in points] == [0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert [point["n"] for point in points] == [10, 9, 8, 7, 6, 5]
    assert [point["value"] for point in points] == [0.8, 0.9, 1, 1, 1, 1]
    assert [point["from"] for point in points] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert estimates.mean_error(np.array([0, 1, 0, 1])) == (0 + 1 / 2 + 1 / 3 + 1 / 2) / 4


def test_the_area_of_a_resample_is_that_of_its_rows_in_order(model):
    logits, labels, fitted = model
    probability = softmax(logits / fitted.temperature, axis=1).max(axis=1)
    predicted = logits.argmax(axis=1)

    def area(rows, odd):
        order = np.argsort(-probability[rows], axis=1, kind="stable")
        wrong = np.where(odd < 0, labels[rows], odd) != predicted[rows]
        return {"area": estimates.mean_error(np.take_along_axis(wrong, order, axis=1))}

    exact = area(np.arange(800)[None], np.full((1, 800), -1))["area"][0]
    resampled = intervals.resample(area, 800, 1000, 0, odd=5)["area"]
    low, high = intervals.interval(exact, resampled, 800)
    found = estimated(model)["risk_coverage"]["area"]
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=2e-3)
    assert found["value"] == round(float(exact), 3)


def test_a_threshold_of_the_table_sends_the_same_rows_to_a_person_as_predict_does(model):
    logits, _, fitted = model
    calibrated = softmax(logits.astype(np.float64) / fitted.temperature, axis=1).max(axis=1)
    for point in estimated(model)["risk_coverage"]["points"][1:]:
        below = calibrated.round(6) < point["from"]  # as `stars predict --fail-below` has it
        assert below.mean() == pytest.approx(point["to_a_person"], abs=0.01)


@given(rows=st.integers(1, 12), seed=st.integers(0, 999), classes=st.integers(1, 4))
@settings(max_examples=30)
def test_any_rows_give_numbers_that_json_can_hold(rows, seed, classes):
    rng = np.random.default_rng(seed)
    fitted = calibration.fit(*drawn(rng, 5, classes=classes), True)
    logits, labels = drawn(rng, rows, float(rng.choice([0, 1, 300])), classes)
    tested = Predictions(np.arange(rows), [], labels, logits, NAMES[:classes], bool(seed % 2))
    found = estimates.details(tested, fitted, resamples=20, seed=seed)
    json.dumps(found, allow_nan=False)
    for score in found["scores"].values():
        if score["value"] is not None:
            assert score["low"] <= score["high"]


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_the_interval_of_the_calibration_error_covers_that_of_endless_rows(factor):
    rng = np.random.default_rng(0)
    truth = calibration_error(*drawn(rng, 1_000_000, factor))
    fitted, covered = calibration.fit(*drawn(rng, 400, factor), True), 0
    for sample in range(100):
        logits, labels = drawn(rng, 400, factor)
        scored = estimated((logits, labels, fitted), resamples=200, seed=sample)["scores"]
        found = scored["calibration_error"]
        covered += found["low"] - 5e-4 <= truth <= found["high"] + 5e-4
    assert covered >= 92
