"""The bootstrap of two models' scores: intervals that cover, the same for a seed."""

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn import metrics

from yelp_stars.comparing.bootstrap import differences
from yelp_stars.evaluation.titles import ORDERED


def models(n: int, seed: int, classes: int = 5, gain: float = 1.0):
    """Draw labels, and the logits of two models, of which the second knows more."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    logits = rng.normal(size=(2, n, classes))
    logits[1, np.arange(n), labels] += gain
    return labels, *logits


def test_the_same_seed_gives_the_same_intervals():
    compared = [differences(*models(300, seed=1), ordered=True, resamples=50) for _ in range(2)]
    assert compared[0] == compared[1]
    assert ORDERED | {"accuracy", "loss"} <= {*compared[0]}
    for score in compared[0].values():
        assert score.low < score.difference < score.high


def test_many_classes_and_many_rows_are_compared():
    labels, first, second = models(20_000, seed=1, classes=150)
    found = differences(labels, first, second, ordered=False, resamples=10)
    for side, model in ((0, first), (1, second)):
        expected = metrics.f1_score(labels, model.argmax(axis=1), average="macro")
        assert found["macro_f1"][side] == pytest.approx(expected)


@pytest.mark.slow
def test_the_bootstraps_intervals_cover_a_known_difference_in_95_of_100_experiments():
    """The truth is that of half a million rows."""

    def drawn(n, seed):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 3, n)
        shared = rng.normal(size=(n, 3)) + 1.0 * np.eye(3)[labels]
        noise = rng.normal(size=(2, n, 3))
        return labels, shared + 0.5 * noise[0], shared + 0.8 * noise[1]

    truth = differences(*drawn(500_000, 12345), ordered=True, resamples=1)
    covered = dict.fromkeys(truth, 0)
    for seed in range(1000):
        found = differences(*drawn(300, seed), ordered=True, seed=seed, resamples=300)
        for name, known in truth.items():
            covered[name] += found[name].low <= known.difference <= found[name].high
    assert not {name: times for name, times in covered.items() if not 925 <= times <= 970}


def test_kappa_may_be_undefined_and_unordered_classes_have_no_distance():
    labels = np.zeros(20, int)
    same = log_softmax(np.full((20, 2), [0.7, 0.3]), axis=1)
    found = differences(labels, same, same, ordered=True)
    assert np.isnan(found["quadratic_kappa"]).all()
    assert found["loss"][2:] == (0.0, 0.0, 0.0)
    assert not ORDERED & {*differences(labels, same, same, ordered=False)}
