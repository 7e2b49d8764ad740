"""The scores as a metric of Hugging Face's `evaluate`."""

import numpy as np

from yelp_stars.evaluation.titles import ORDERED
from yelp_stars.scoring.hf_metric import StarScores
from yelp_stars.scoring.metrics import scores


def test_the_metric_gives_the_scores_each_time_without_distances_if_classes_have_no_order():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(50, 5)).astype(np.float32), rng.integers(0, 5, 50)
    metric = StarScores(keep_in_memory=True)
    everything = scores(logits, labels)
    assert metric.compute(predictions=logits, references=labels) == everything
    nominal = metric.compute(predictions=logits, references=labels, ordered=False)
    assert set(everything) - set(nominal) == ORDERED
    assert nominal.items() <= everything.items()
