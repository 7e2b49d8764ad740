"""Paired bootstrap: scikit-learn's scores, intervals that cover, the same numbers every time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax
from sklearn import metrics

from yelp_stars.comparing.bootstrap import differences


def models(n: int, seed: int, classes: int = 5, gain: float = 1.0):
    """Labels, and the log-probabilities of two models, of which the second knows more."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    logits = rng.normal(size=(2, n, classes))
    logits[1, np.arange(n), labels] += gain
    return labels, log_softmax(logits[0], axis=1), log_softmax(logits[1], axis=1)


@given(seed=st.integers(0, 10**6), n=st.integers(2, 80), classes=st.integers(2, 6))
def test_the_scores_are_scikit_learns(seed, n, classes):
    labels, first, second = models(n, seed, classes)
    found = differences(labels, first, second, ordered=True, resamples=20)
    for model, side in ((first, 0), (second, 1)):
        guess = model.argmax(axis=1)
        expected = {
            "macro_f1": metrics.f1_score(labels, guess, average="macro", zero_division=0),
            "mae": metrics.mean_absolute_error(labels, guess),
            "loss": metrics.log_loss(labels, np.exp(model), labels=range(classes)),
        }
        for name, value in expected.items():
            assert found[name][side] == pytest.approx(value)
        if len({*labels, *guess}) > 1:
            kappa = metrics.cohen_kappa_score(
                labels, guess, labels=range(classes), weights="quadratic"
            )
            assert found["quadratic_kappa"][side] == pytest.approx(kappa)


@pytest.mark.slow
def test_an_interval_is_that_of_resampled_rows():
    labels, first, second = models(300, seed=1)
    found = differences(labels, first, second, ordered=True, seed=0)
    rng = np.random.default_rng(1)
    scores = {
        "quadratic_kappa": lambda y, p: metrics.cohen_kappa_score(
            y, p.argmax(axis=1), weights="quadratic"
        ),
        "macro_f1": lambda y, p: metrics.f1_score(
            y, p.argmax(axis=1), average="macro", zero_division=0
        ),
        "mae": lambda y, p: metrics.mean_absolute_error(y, p.argmax(axis=1)),
        "loss": lambda y, p: metrics.log_loss(y, np.exp(p), labels=range(5)),
    }
    drawn = {name: [] for name in scores}
    for _ in range(500):
        rows = rng.integers(0, 300, 300)
        for name, score in scores.items():
            drawn[name].append(score(labels[rows], second[rows]) - score(labels[rows], first[rows]))
    for name, values in drawn.items():
        low, high = np.quantile(values, [0.025, 0.975])
        width = high - low
        assert found[name].low == pytest.approx(low, abs=0.15 * width), name
        assert found[name].high == pytest.approx(high, abs=0.15 * width), name


def test_the_same_seed_gives_the_same_intervals_in_chunks_too(monkeypatch):
    labels, first, second = models(300, seed=1)
    compared = [differences(labels, first, second, ordered=True, resamples=50) for _ in range(2)]
    assert compared[0] == compared[1]
    monkeypatch.setattr("yelp_stars.comparing.bootstrap.CHUNK", 700)
    assert differences(labels, first, second, ordered=True, resamples=50) == compared[0]


def test_many_classes_and_many_rows_are_compared():
    labels, first, second = models(20_000, seed=1, classes=150)
    found = differences(labels, first, second, ordered=False, resamples=10)
    for side, model in ((0, first), (1, second)):
        guess = model.argmax(axis=1)
        expected = metrics.f1_score(labels, guess, average="macro", zero_division=0)
        assert found["macro_f1"][side] == pytest.approx(expected)


@pytest.mark.slow
def test_the_bootstraps_intervals_cover_a_known_difference_in_95_of_100_experiments():
    """The truth is that of half a million rows."""

    def drawn(n, seed):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 3, n)
        shared = rng.normal(size=(n, 3)) + 1.0 * np.eye(3)[labels]
        noise = rng.normal(size=(2, n, 3))
        models = shared + 0.5 * noise[0], shared + 0.8 * noise[1]
        return labels, *(log_softmax(model, axis=1) for model in models)

    truth = differences(*drawn(500_000, 12345), ordered=True, resamples=1)
    covered = dict.fromkeys(truth, 0)
    for seed in range(1000):
        found = differences(*drawn(300, seed), ordered=True, seed=seed, resamples=300)
        for name, known in truth.items():
            covered[name] += found[name].low <= known.difference <= found[name].high
    assert not {name: times for name, times in covered.items() if not 925 <= times <= 970}


def test_kappa_may_be_undefined_and_unordered_classes_have_no_distance():
    labels = np.zeros(20, int)
    same = np.log(np.full((20, 2), [0.7, 0.3]))
    found = differences(labels, same, same, ordered=True)
    assert found["quadratic_kappa"] == (None, None, None, None, None)
    assert found["loss"][2:] == (0.0, 0.0, 0.0)
    assert {*differences(labels, same, same, ordered=False)} == {"macro_f1", "loss"}
