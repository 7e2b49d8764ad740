"""Scores: worked by hand, in their ranges, with as many digits as their rows support."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yelp_stars.scoring.metrics import (
    calibration_bins,
    confusion_matrix,
    decimals,
    per_class,
    rounded,
    scores,
)

ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)


def logits_of(predicted) -> np.ndarray:
    return (4 * np.eye(5, dtype=np.float32))[np.asarray(predicted)]


def test_scores_of_a_case_worked_by_hand():
    found = scores(logits_of([0, 1, 2, 3]), np.array([0, 1, 4, 4]))
    assert found["n"] == 4
    assert found["accuracy"] == 0.5
    # Wilson's interval for 2 of 4.
    assert (found["accuracy_low"], found["accuracy_high"]) == pytest.approx((0.15, 0.85), abs=2e-3)
    assert found["mae"] == 0.75
    assert found["within_one"] == 0.75
    assert found["macro_f1"] == pytest.approx(0.4)
    right, wrong = np.log(1 + 4 * np.exp(-4)), np.log(np.exp(4) + 4)
    assert found["loss"] == pytest.approx((right + wrong) / 2, rel=1e-6)


@given(rows=ROWS)
def test_scores_stay_in_their_ranges(rows):
    labels, predicted = map(np.array, zip(*rows, strict=True))
    found = scores(logits_of(predicted), labels)
    assert 0 <= found["accuracy_low"] <= found["accuracy"] <= found["accuracy_high"] <= 1
    assert found["accuracy"] <= found["within_one"] <= 1
    assert 0 <= found["mae"] <= 4
    kappa = found["quadratic_kappa"]
    assert kappa is None or -1 <= kappa <= 1.0000001
    assert confusion_matrix(logits_of(predicted), labels).sum() == len(rows)


def test_kappa_is_undefined_where_all_rows_are_one_class():
    assert scores(logits_of([3, 3]), np.array([3, 3]))["quadratic_kappa"] is None


@pytest.mark.parametrize(
    ("n", "digits"),
    [(1, 1), (10, 1), (11, 2), (20, 2), (100, 2), (101, 3), (1000, 3), (50_000, 4), (10**7, 4)],
)
def test_a_score_has_the_decimals_that_its_rows_support(n, digits):
    assert decimals(n) == digits


@given(rows=ROWS)
@settings(max_examples=30)
def test_rounded_scores_are_the_exact_ones_rounded(rows):
    labels, predicted = map(np.array, zip(*rows, strict=True))
    exact = scores(logits_of(predicted), labels)
    found = rounded(exact)
    assert list(found) == list(exact)
    assert found["n"] == len(rows)
    for name in set(exact) - {"n"}:
        value = exact[name]
        assert found[name] == (None if value is None else round(value, decimals(len(rows))))


def test_the_confusion_matrix_counts_actual_rows_by_predicted_columns():
    counts = confusion_matrix(logits_of([0, 1, 1, 4]), np.array([0, 0, 1, 3]))
    expected = np.zeros((5, 5), int)
    expected[[0, 0, 1, 3], [0, 1, 1, 4]] = 1
    assert counts.tolist() == expected.tolist()


def test_per_class_scores_name_each_class():
    found = per_class(logits_of([0, 0, 1]), np.array([0, 1, 1]), ["a", "b", "c", "d", "e"])
    assert [row["label"] for row in found] == ["a", "b", "c", "d", "e"]
    assert (found[1]["precision"], found[1]["recall"], found[1]["n"]) == (1.0, 0.5, 2)


def test_per_class_scores_have_the_decimals_of_all_rows():
    labels = np.arange(30) % 5
    predicted = np.where(np.arange(30) % 7 == 0, 0, labels)
    for row in per_class(logits_of(predicted), labels, list("abcde")):
        for name in ("precision", "recall", "f1"):
            assert row[name] == round(row[name], decimals(30))


def test_the_calibration_error_of_a_case_worked_by_hand():
    # 0.6 twice, of which one is right, and 0.9, which is right: Guo et al. 2017, equation 3.
    logits = np.log(np.array([[0.6, 0.4], [0.6, 0.4], [0.1, 0.9]], np.float32))
    found = scores(logits, np.array([0, 1, 1]))["calibration_error"]
    assert found == pytest.approx(2 / 3 * 0.1 + 1 / 3 * 0.1)


@pytest.mark.parametrize(
    ("probability", "number"), [(1 / 3, 4), (0.4, 5), (0.41, 6), (1.0, 14), (0.5, 7)]
)
def test_a_bin_includes_its_upper_end(probability, number):
    rest = (1 - probability) / 4
    assert calibration_bins(np.array([[probability, *[rest] * 4]]))[0] == number
