"""Paired statistics: scikit-learn's scores, intervals that cover, tests with few false alarms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax
from scipy.stats import norm
from sklearn import metrics

from yelp_stars.analysis.compare import (
    Flips,
    by_class,
    compare,
    holm,
    mcnemar,
    rows_needed,
    verdict,
)


def models(n: int, seed: int, classes: int = 5, gain: float = 1.0):
    """Labels, and the log-probabilities of two models, of which the second knows more."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    logits = rng.normal(size=(2, n, classes))
    logits[1, np.arange(n), labels] += gain
    return labels, log_softmax(logits[0], axis=1), log_softmax(logits[1], axis=1)


def of_correctness(both: int, first: int, second: int, neither: int):
    """Two models that are both right, one right, or both wrong, on so many rows."""
    counts = [both, first, second, neither]
    labels = np.zeros(sum(counts), int)
    found = []
    for wrong in ([0, 0, 1, 1], [0, 1, 0, 1]):
        predicted = np.repeat(wrong, counts)
        found.append(np.where(np.eye(2)[predicted] == 1, -0.1, -2.5))
    return labels, *found


@given(seed=st.integers(0, 10**6), n=st.integers(2, 80), classes=st.integers(2, 6))
def test_the_scores_are_scikit_learns(seed, n, classes):
    labels, first, second = models(n, seed, classes)
    found = compare(labels, first, second, ordered=True, resamples=20).scores
    for model, side in ((first, 0), (second, 1)):
        guess = model.argmax(axis=1)
        expected = {
            "accuracy": metrics.accuracy_score(labels, guess),
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
    found = compare(labels, first, second, ordered=True, seed=0).scores
    rng = np.random.default_rng(1)
    names = ("quadratic_kappa", "macro_f1", "accuracy")
    drawn = {name: [] for name in names}
    for _ in range(1500):
        rows = rng.integers(0, 300, 300)
        pair = [model[rows].argmax(axis=1) for model in (first, second)]
        scores = (
            [metrics.cohen_kappa_score(labels[rows], g, weights="quadratic") for g in pair],
            [metrics.f1_score(labels[rows], g, average="macro", zero_division=0) for g in pair],
            [metrics.accuracy_score(labels[rows], g) for g in pair],
        )
        for name, (a, b) in zip(names, scores, strict=True):
            drawn[name].append(b - a)
    for name, values in drawn.items():
        low, high = np.quantile(values, [0.025, 0.975])
        assert found[name].low == pytest.approx(low, abs=0.015)
        assert found[name].high == pytest.approx(high, abs=0.015)


def simulate(both: float, first: float, second: float, n: int, runs: int):
    """How often the interval covers the true difference, McNemar rejects, and a margin holds."""
    covered = rejected = equivalent = 0
    for seed in range(runs):
        counts = np.random.default_rng(seed).multinomial(
            n, [both, first, second, 1 - both - first - second]
        )
        found = compare(*of_correctness(*counts), ordered=False, seed=seed, resamples=1000)
        accuracy = found.scores["accuracy"]
        covered += accuracy.low <= second - first <= accuracy.high
        rejected += found.p < 0.05
        equivalent += "equivalent" in verdict(found, "A", "B", 0.01)
    return covered / runs, rejected / runs, equivalent / runs


@pytest.mark.slow
def test_the_interval_covers_a_known_difference_in_95_of_100_experiments():
    covered, _, _ = simulate(both=0.5, first=0.1, second=0.12, n=1000, runs=2000)
    assert 0.935 <= covered <= 0.965


@pytest.mark.slow
def test_two_equal_models_are_called_different_in_at_most_5_of_100_experiments():
    covered, rejected, _ = simulate(both=0.5, first=0.1, second=0.1, n=1000, runs=2000)
    assert 0.935 <= covered <= 0.965
    assert rejected <= 0.05


@pytest.mark.slow
def test_models_that_differ_by_the_margin_are_called_equivalent_in_at_most_5_of_100_experiments():
    _, _, equivalent = simulate(both=0.595, first=0.005, second=0.015, n=1000, runs=1000)
    assert equivalent <= 0.05


def test_mcnemars_test_is_exact():
    # Fagerland et al. 2013, table 2: 1 and 7 discordant pairs, p = 0.0703.
    assert mcnemar(Flips(np.arange(1), np.arange(7), np.arange(0))) == pytest.approx(
        0.0703, abs=5e-5
    )
    assert mcnemar(Flips(*[np.arange(0)] * 3)) == 1.0


def test_flips_are_the_rows_that_changed():
    labels = np.array([0, 0, 1, 1, 2])
    first = np.log(np.eye(3)[[0, 1, 1, 0, 2]] * 0.8 + 0.1)
    second = np.log(np.eye(3)[[1, 0, 1, 2, 2]] * 0.8 + 0.1)
    flips = compare(labels, first, second, ordered=True, resamples=10).flips
    assert [part.tolist() for part in flips] == [[0], [1], [3]]


@pytest.mark.parametrize(
    ("counts", "margin", "start"),
    [
        ((500, 60, 120, 320), 0.01, "B is better than A by 6.0 points (95 % interval 3."),
        ((500, 120, 60, 320), 0.01, "A is better than B by 6.0 points (95 % interval 3."),
        ((9000, 30, 32, 938), 0.01, "A and B are equivalent within 1 point (difference +0.0, 95 %"),
        ((500, 60, 66, 374), 0.01, "no difference between A and B that 1,000 rows can show (+0.6"),
        ((500, 60, 60, 380), 0.01, "no difference between A and B that 1,000 rows can show (+0.0"),
        ((500, 60, 66, 374), 0.05, "A and B are equivalent within 5 points (difference +0.6, 95"),
        ((600, 0, 0, 400), 0.01, "A and B predict the same label for each of 1,000 rows"),
    ],
)
def test_the_verdict_is_one_plain_sentence(counts, margin, start):
    sentence = verdict(compare(*of_correctness(*counts), ordered=False), "A", "B", margin)
    assert sentence.startswith(start)
    assert "\n" not in sentence


@pytest.mark.slow
def test_the_rows_that_it_takes_show_the_difference_four_times_out_of_five():
    n = rows_needed(changed=0.2, difference=0.04)
    _, rejected, _ = simulate(both=0.5, first=0.08, second=0.12, n=n, runs=300)
    assert 0.72 <= rejected <= 0.9
    z = norm.ppf([0.975, 0.8]) @ [0.2**0.5, (0.2 - 0.04**2) ** 0.5]  # Connor 1987
    assert n == pytest.approx(z**2 / 0.04**2, rel=0.05)


def test_holms_adjustment_is_the_textbooks():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_each_class_has_its_flips_and_an_adjusted_p_value():
    labels, first, second = models(400, seed=3)
    flips = compare(labels, first, second, ordered=True, resamples=10).flips
    rows = by_class(labels, flips, ["a", "b", "c", "d", "e"])
    assert sum(row["n"] for row in rows) == 400
    assert sum(row["harmful"] for row in rows) == len(flips.harmful)
    assert sum(row["beneficial"] for row in rows) == len(flips.beneficial)
    assert all(0 <= row["p"] <= 1 for row in rows)


def test_the_same_predictions_have_no_difference_and_kappa_may_be_undefined():
    labels = np.zeros(20, int)
    same = np.log(np.full((20, 2), [0.7, 0.3]))
    found = compare(labels, same, same, ordered=True)
    assert found.p == 1.0
    assert found.scores["accuracy"][:3] == (1.0, 1.0, 0.0)
    assert found.scores["quadratic_kappa"] == (None, None, None, None, None)
    assert "mae" not in compare(labels, same, same, ordered=False).scores
