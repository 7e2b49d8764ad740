"""The scores as a metric of Hugging Face's `evaluate`."""

import numpy as np

from yelp_stars.evaluation.titles import ORDERED
from yelp_stars.scoring.hf_metric import StarScores
from yelp_stars.scoring.metrics import scores


def test_each_call_of_the_metric_gives_the_same_scores_offline():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(50, 5)).astype(np.float32), rng.integers(0, 5, 50)
    metric = StarScores(keep_in_memory=True)
    assert metric.compute(predictions=logits, references=labels) == scores(logits, labels)
    assert metric.compute(predictions=logits, references=labels[::-1]) == scores(
        logits, labels[::-1]
    )


def test_classes_without_an_order_have_no_distances():
    logits, labels = np.eye(5, dtype=np.float32), np.array([0, 1, 2, 3, 3])
    found = StarScores(keep_in_memory=True).compute(
        predictions=logits, references=labels, ordered=False
    )
    everything = scores(logits, labels)
    assert set(everything) - set(found) == ORDERED
    assert found.items() <= everything.items()
