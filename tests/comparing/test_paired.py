"""Paired statistics: intervals that cover, tests with few false alarms, one plain sentence."""

import re

import numpy as np
import pytest
from helpers import soak
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax
from scipy.stats import norm

from yelp_stars.comparing.paired import (
    Comparison,
    Flips,
    accuracy_difference,
    by_class,
    by_length,
    by_slice,
    compare,
    find_flips,
    mcnemar,
    rows_needed,
    verdict,
)
from yelp_stars.evaluation.slices import Slice


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


def of_counts(*counts: int) -> Comparison:
    """The comparison of two such models, without the scores that a verdict has no use for."""
    labels, first, second = of_correctness(*counts)
    a, b = first.argmax(axis=1), second.argmax(axis=1)
    flips = find_flips(labels, a, b)
    scores = {"accuracy": accuracy_difference(labels, a, b)}
    return Comparison(len(labels), scores, mcnemar(flips), flips)


def simulate(both: float, first: float, second: float, n: int, runs: int):
    """How often the interval covers the true difference, McNemar rejects, and a margin holds."""
    covered = rejected = equivalent = 0
    for seed in range(runs):
        counts = np.random.default_rng(seed).multinomial(
            n, [both, first, second, 1 - both - first - second]
        )
        found = of_counts(*counts)
        accuracy = found.scores["accuracy"]
        covered += accuracy.low <= second - first <= accuracy.high
        rejected += found.p < 0.05
        equivalent += "equivalent" in verdict(found, "A", "B", 0.01)
    return covered / runs, rejected / runs, equivalent / runs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("both", "first", "second", "n"),
    [
        pytest.param(0.5, 0.1, 0.12, 1000, marks=soak),
        (0.5, 0.1, 0.1, 1000),
        (0.5, 0.15, 0.25, 100),
        (0.6, 0.0, 0.3, 200),
    ],
)
def test_the_interval_covers_a_known_difference_in_95_of_100_experiments(both, first, second, n):
    covered, _, _ = simulate(both, first, second, n, runs=2000)
    assert 0.935 <= covered <= 0.965


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "n"), [pytest.param(0.1, 1000, marks=soak), (0.01, 1000), (0.2, 60)]
)
def test_two_equal_models_are_called_different_in_at_most_5_of_100_experiments(first, n):
    covered, rejected, _ = simulate(both=0.5, first=first, second=first, n=n, runs=2000)
    assert covered >= 0.935
    assert rejected <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("n", [50, *(pytest.param(n, marks=soak) for n in (100, 300, 1000)), 5000])
@pytest.mark.parametrize("first", [0.0, 0.005, 0.02])
def test_models_that_differ_by_the_margin_are_called_equivalent_in_at_most_5_of_100_experiments(
    first, n
):
    _, _, equivalent = simulate(both=0.595, first=first, second=first + 0.01, n=n, runs=1000)
    assert equivalent <= 0.05


def test_few_rows_are_never_enough_to_be_equivalent():
    # The accuracies are equal; one row is wrong in another way.
    labels, first, second = models(20, seed=0, gain=0)
    first = np.log(np.eye(5)[labels] * 0.5 + 0.1)
    second = first.copy()
    first[0], second[0] = np.roll(first[0], 1), np.roll(first[0], 2)
    found = compare(labels, first, second, ordered=True)
    assert found.scores["accuracy"].difference == 0
    assert verdict(found, "A", "B", 0.01).startswith("no difference between A and B that 20 rows")


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
    flips = compare(labels, first, second, ordered=True).flips
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
        ((500, 60, 66, 374), 0.035, "A and B are equivalent within 3.5 points (difference +0.6,"),
        ((600, 0, 0, 400), 0.01, "A and B predict the same label for each of 1,000 rows"),
    ],
)
def test_the_verdict_is_one_plain_sentence(counts, margin, start):
    sentence = verdict(compare(*of_correctness(*counts), ordered=False), "A", "B", margin)
    assert sentence.startswith(start)
    assert "\n" not in sentence


@given(
    counts=st.tuples(*[st.integers(0, 60)] * 4).filter(any),
    margin=st.floats(0.001, 0.5),
)
def test_the_verdict_turns_with_its_sides(counts, margin):
    both, first, second, neither = counts
    turned = (both, second, first, neither)
    one, two = (
        verdict(of_counts(*c), *names, margin) for c, names in ((counts, "AB"), (turned, "BA"))
    )
    if " is better than " in one:
        assert one == two
    assert one[:1] in "ABn"
    assert one.split()[:2] == two.split()[:2] or " and " in one
    assert re.search(r"\(95 % interval -?\d+\.\d to -?\d+\.\d", one) or "better" not in one


def test_the_rows_that_it_takes_show_the_difference_four_times_out_of_five():
    n = rows_needed(changed=0.2, difference=0.04)
    _, rejected, _ = simulate(both=0.5, first=0.08, second=0.12, n=n, runs=300)
    assert 0.72 <= rejected <= 0.9
    z = norm.ppf([0.975, 0.8]) @ [0.2**0.5, (0.2 - 0.04**2) ** 0.5]  # Connor 1987
    assert n == pytest.approx(z**2 / 0.04**2, rel=0.05)


def test_each_slice_has_its_flips_and_an_adjusted_p_value():
    labels, first, second = models(400, seed=3)
    a, b = first.argmax(axis=1), second.argmax(axis=1)
    flips = find_flips(labels, a, b)
    parts = [*by_class(labels, list("abcde")), Slice("audit", "leak", "", np.zeros(400, bool))]
    rows = by_slice(labels, a, b, parts)
    assert [row["name"] for row in rows] == list("abcde")  # a slice without rows is left out
    assert sum(row["n"] for row in rows) == 400
    assert sum(row["harmful"] for row in rows) == len(flips.harmful)
    assert sum(row["beneficial"] for row in rows) == len(flips.beneficial)
    for label, row in enumerate(rows):
        inside = labels == label
        of_class = find_flips(labels[inside], a[inside], b[inside])
        assert mcnemar(of_class) <= row["p"] <= 1
        assert row["difference"] == pytest.approx((b[inside] == label).mean() - row["first"])
        assert row["low"] <= row["difference"] <= row["high"]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60))
def test_the_quarters_by_length_have_every_row_once(lengths):
    parts = by_length(["x" * length for length in lengths])
    assert sum(part.inside.astype(int) for part in parts).tolist() == [1] * len(lengths)
    order = [max(np.array(lengths)[part.inside]) for part in parts]
    assert order == sorted(order)
    assert all(f"to {longest} characters" in p.meaning for p, longest in zip(parts, order))


def test_the_interval_of_accuracies_is_tangos():
    # Fagerland et al. 2014, table 2: 1, 1, 7, 12 of 21 children; -0.517 to -0.026.
    labels, first, second = of_correctness(1, 7, 1, 12)
    found = accuracy_difference(labels, first.argmax(axis=1), second.argmax(axis=1))
    assert found.difference == pytest.approx(-0.286, abs=5e-4)
    assert (found.low, found.high) == pytest.approx((-0.517, -0.026), abs=5e-4)


@given(st.tuples(*[st.integers(0, 50)] * 4).filter(any))
def test_the_interval_of_accuracies_holds_the_difference_and_turns_with_its_sides(counts):
    both, first, second, neither = counts
    one, two = (
        accuracy_difference(labels, a.argmax(axis=1), b.argmax(axis=1))
        for labels, a, b in (
            of_correctness(both, first, second, neither),
            of_correctness(both, second, first, neither),
        )
    )
    assert -1 <= one.low <= one.difference + 1e-9
    assert one.difference - 1e-9 <= one.high <= 1
    assert one.low < one.high
    assert (one.low, one.high) == pytest.approx((-two.high, -two.low))


def test_the_same_predictions_have_no_difference():
    labels = np.zeros(20, int)
    same = np.log(np.full((20, 2), [0.7, 0.3]))
    found = compare(labels, same, same, ordered=True)
    assert found.p == 1.0
    assert found.scores["accuracy"][:3] == (1.0, 1.0, 0.0)
    low, high = found.scores["accuracy"][3:]
    assert low == pytest.approx(-high)
    assert low < -0.1  # 20 rows do not show that nothing ever differs
    assert [*found.scores] == ["accuracy", "macro_f1", "mae", "quadratic_kappa", "loss"]
