"""Scores: scikit-learn's numbers, with interval and sample size, without a network."""

import evaluate
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stars import evaluate_module, pictures
from stars.metrics import confusion, per_class, scores

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
    assert confusion(logits_of(predicted), labels).sum() == len(rows)


def test_kappa_is_undefined_where_all_rows_are_one_class():
    assert scores(logits_of([3, 3]), np.array([3, 3]))["quadratic_kappa"] is None


def test_the_evaluate_module_gives_the_same_scores_offline():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(50, 5)).astype(np.float32), rng.integers(0, 5, 50)
    metric = evaluate.load(evaluate_module.__file__, keep_in_memory=True)
    assert metric.compute(predictions=logits, references=labels) == scores(logits, labels)


def test_per_class_scores_name_each_class():
    found = per_class(logits_of([0, 0, 1]), np.array([0, 1, 1]), ["a", "b", "c", "d", "e"])
    assert [row["label"] for row in found] == ["a", "b", "c", "d", "e"]
    assert (found[1]["precision"], found[1]["recall"], found[1]["n"]) == (1.0, 0.5, 2)


def test_a_picture_has_the_same_bytes_and_escapes_names(tmp_path):
    names = ["<script>alert(1)</script>", "$x^2$ & co"]
    for name in ("a.svg", "b.svg"):
        pictures.confusion_matrix(np.array([[3, 1], [0, 2]]), names, "title", tmp_path / name)
    text = (tmp_path / "a.svg").read_text("utf-8")
    assert text == (tmp_path / "b.svg").read_text("utf-8")
    assert "<script" not in text
    assert "<dc:date>" not in text
