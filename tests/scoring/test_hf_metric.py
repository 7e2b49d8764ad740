"""The scores as a metric of Hugging Face's `evaluate`."""

import evaluate
import numpy as np

from yelp_stars.scoring.hf_metric import StarScores
from yelp_stars.scoring.metrics import scores


def test_the_metric_gives_the_same_scores_offline():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(50, 5)).astype(np.float32), rng.integers(0, 5, 50)
    metric = StarScores(keep_in_memory=True)
    assert isinstance(metric, evaluate.Metric)
    assert metric.compute(predictions=logits, references=labels) == scores(logits, labels)


def test_classes_without_an_order_have_no_distances():
    logits, labels = np.eye(5, dtype=np.float32), np.array([0, 1, 2, 3, 3])
    found = StarScores(keep_in_memory=True).compute(
        predictions=logits, references=labels, ordered=False
    )
    everything = scores(logits, labels)
    assert found == scores(logits, labels, ordered=False)
    assert set(everything) - set(found) == {"mae", "within_one", "quadratic_kappa"}
    assert found.items() <= everything.items()


def test_the_metric_scores_every_call_anew():
    logits, metric = np.eye(5, dtype=np.float32), StarScores(keep_in_memory=True)
    found = [
        metric.compute(predictions=logits, references=labels)["accuracy"]
        for labels in (np.arange(5), np.zeros(5, int))
    ]
    assert found == [1.0, 0.2]
