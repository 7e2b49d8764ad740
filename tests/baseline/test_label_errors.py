"""Suspect labels: out of sample, worst first, and better than chance on planted errors."""

import functools
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers import SHARED, needs_sample
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from yelp_stars.baseline.label_errors import cross_validate, find, write
from yelp_stars.baseline.tfidf import fit_predict
from yelp_stars.evaluation.predictions import Predictions
from yelp_stars.scoring.metrics import losses


def suspects(texts, labels, n_classes=5, folds=5, limit=10):
    """Find suspects by the models of the baseline: their indices and logits."""
    fitted = functools.partial(fit_predict, n_classes=n_classes, max_features=20_000, c=3.0)
    texts, options = np.array(texts, object), {"n_classes": n_classes, "folds": folds, "seed": 0}
    logits, judged = cross_validate(texts, labels, fitted, **options)
    worst = find(logits, judged, labels, limit=limit, ordered=True)
    return worst, logits[worst]


@settings(max_examples=30)
@given(
    logits=arrays(np.float32, (30, 4), elements=st.floats(-5, 5, width=32)),
    labels=arrays(np.int64, 30, elements=st.integers(0, 3)),
    ordered=st.booleans(),
    limit=st.integers(0, 40),
)
def test_suspects_are_predicted_differently_and_the_worst_come_first(
    logits, labels, ordered, limit
):
    judged = np.ones(30, bool)
    indices = find(logits, judged, labels, limit=limit, ordered=ordered)
    predicted = logits.argmax(axis=1)
    assert len(indices) == min(limit, (predicted != labels).sum())
    assert (predicted[indices] != labels[indices]).all()
    far = abs(predicted - labels)[indices] >= 2
    if ordered:
        assert (np.diff(far.astype(int)) <= 0).all()  # two classes or more away first
    loss = losses(logits, labels)[indices]
    for part in (loss[far], loss[~far]) if ordered else (loss,):
        assert (np.diff(part) <= 1e-9).all()


def test_every_row_is_predicted_by_a_model_that_has_not_seen_it():
    texts = np.array([f"review {row}" for row in range(40)], object)
    labels = np.arange(40) % 5
    seen = []

    def record(train, train_labels, others):
        assert not set(train) & set(others)
        assert len(train) == len(train_labels) == 32
        seen.extend(others)
        return np.zeros((len(others), 5), np.float32)

    cross_validate(texts, labels, record, n_classes=5, folds=5, seed=0)
    assert sorted(seen) == sorted(texts)


@pytest.mark.parametrize("labels", [[0] * 9, [0, 1], [0, 1, 1], [0, 1, 2, 3, 4], []])
def test_few_rows_or_one_class_are_no_error(labels):
    texts = [f"good food {row}" for row in range(len(labels))]
    assert len(suspects(texts, np.array(labels, np.int64))[0]) <= len(labels)
    assert not len(suspects(["!"] * len(labels), np.array(labels, np.int64))[0])


def test_the_only_row_of_a_class_is_no_suspect():
    # The models that predict it have never seen its class, so their doubt says nothing.
    texts = ["good food"] * 10 + ["bad food"] * 10 + ["odd service"]
    labels = np.array([4] * 10 + [0] * 10 + [2])
    labels[0] = 0
    assert suspects(texts, labels)[0].tolist() == [0]


@pytest.mark.parametrize(("n_classes", "folds"), [(2, 5), (20, 2), (20, 20)])
def test_a_planted_label_comes_first_whatever_the_classes_and_the_parts(n_classes, folds):
    labels = np.arange(n_classes * 6) % n_classes
    texts = [f"word{label} and thing{label}" for label in labels]
    planted = labels.copy()
    planted[1] = (labels[1] + n_classes // 2) % n_classes
    indices, logits = suspects(texts, planted, n_classes, folds)
    assert indices[0] == 1
    assert logits[0].argmax() == labels[1]


def test_suspects_are_written_with_their_rows_and_labels_by_name(tmp_path):
    logits = np.log(np.array([[0.1, 0.9], [0.8, 0.2]], np.float32))
    labels, rows = np.array([0, 1]), np.array([30, 10])
    doubted = Predictions(rows, [], labels, logits, ["bad", "good"], True)
    write(doubted, tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.to_pydict()["row"] == [30, 10]
    assert table.to_pydict()["label"] == ["bad", "good"]
    assert table.to_pydict()["predicted"] == ["good", "bad"]
    assert np.allclose(table["probability"], [0.9, 0.8])
    assert np.allclose(table["loss"], -np.log([0.1, 0.2]))


@needs_sample
@pytest.mark.slow
def test_planted_wrong_labels_are_found_three_times_as_often_as_by_chance():
    # 2 % wrong labels, two stars or more away; precision at 40.
    lines = (SHARED / "yelp_review_full_sample.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    labels = np.array([row["label"] for row in rows])
    rng = np.random.default_rng(0)
    wrong = rng.choice(len(rows), len(rows) // 50, replace=False)
    planted = labels.copy()
    for row in wrong:
        planted[row] = rng.choice([label for label in range(5) if abs(label - labels[row]) >= 2])
    indices, _ = suspects([row["text"] for row in rows], planted, limit=40)
    assert np.isin(indices, wrong).mean() >= 3 * 0.02
