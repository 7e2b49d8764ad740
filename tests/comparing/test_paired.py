"""Paired statistics: intervals that cover, tests with few false alarms, one plain sentence."""

import re

import numpy as np
import pytest
from helpers import soak
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax
from scipy.stats import binom
from sklearn import metrics

from yelp_stars.comparing.paired import (
    Comparison,
    by_slice,
    compare,
    compare_accuracy,
    outcome,
    rows_needed,
    tango,
    verdict,
)
from yelp_stars.evaluation.slices import Slice, by_class
from yelp_stars.evaluation.titles import ORDERED

COUNTS = st.tuples(*[st.integers(0, 60)] * 4).filter(any)


def of_counts(both: int, first: int, second: int, neither: int) -> Comparison:
    """Compare two models that are both right, one right, or both wrong, on so many rows."""
    counts = [both, first, second, neither]
    labels = np.zeros(sum(counts), int)
    a, b = (np.repeat(wrong, counts) for wrong in ([0, 0, 1, 1], [0, 1, 0, 1]))
    return compare_accuracy(labels, a, b)


def simulate(both: float, first: float, second: float, n: int, runs: int):
    """Count how often the interval covers the truth, McNemar rejects, and a margin holds."""
    covered = rejected = equivalent = 0
    for seed in range(runs):
        counts = np.random.default_rng(seed).multinomial(
            n, [both, first, second, 1 - both - first - second]
        )
        found = of_counts(*counts)
        accuracy = found.scores["accuracy"]
        covered += accuracy.low <= second - first <= accuracy.high
        rejected += found.p < 0.05
        equivalent += outcome(found, 0.01) == "equivalent"
    return covered / runs, rejected / runs, equivalent / runs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "second", "n"),
    [(0.15, 0.25, 100), (0.0, 0.3, 200), (0.01, 0.01, 1000), (0.2, 0.2, 60)],
)
def test_intervals_cover_the_truth_and_equal_models_are_seldom_called_different(first, second, n):
    covered, rejected, _ = simulate(both=0.5, first=first, second=second, n=n, runs=2000)
    assert covered >= 0.935
    if first == second:
        assert rejected <= 0.05
    else:
        assert covered <= 0.965


@pytest.mark.slow
@pytest.mark.parametrize("n", [pytest.param(n, marks=soak) for n in (50, 300, 1000)] + [5000])
@pytest.mark.parametrize("first", [0.0, 0.02])
def test_models_that_differ_by_the_margin_are_called_equivalent_in_at_most_5_of_100_experiments(
    first, n
):
    _, _, equivalent = simulate(both=0.595, first=first, second=first + 0.01, n=n, runs=1000)
    assert equivalent <= 0.05


def test_few_rows_are_never_enough_to_be_equivalent():
    # The accuracies are equal; one row is wrong in another way.
    labels = np.zeros(20, int)
    a, b = labels.copy(), labels.copy()
    a[0], b[0] = 1, 2
    found = compare_accuracy(labels, a, b)
    assert found.scores["accuracy"].difference == 0
    assert outcome(found, 0.01) == "undecided"


def test_mcnemars_test_is_exact_and_the_interval_of_accuracies_tangos():
    # Fagerland et al. 2013 and 2014, table 2: of 21 children, 1 and 7 discordant pairs.
    assert of_counts(1, 1, 7, 12).p == pytest.approx(0.0703, abs=5e-5)
    assert of_counts(1, 0, 0, 1).p == 1.0
    found = of_counts(1, 7, 1, 12).scores["accuracy"]
    assert found.difference == pytest.approx(-0.286, abs=5e-4)
    assert tango(7, 1, 21) == pytest.approx((-0.517, -0.026), abs=5e-4)
    # The exact test says that this may be chance: so does the interval.
    assert (found.low, found.high) == (tango(7, 1, 21)[0], 0.0)


def test_flips_are_the_rows_that_changed():
    labels = np.array([0, 0, 1, 1, 2])
    flips = compare_accuracy(labels, np.array([0, 1, 1, 0, 2]), np.array([1, 0, 1, 2, 2])).flips
    assert [part.tolist() for part in flips] == [[0], [1], [3]]


@pytest.mark.parametrize(
    ("counts", "margin", "decided", "start"),
    [
        ((500, 60, 120, 320), 0.01, "better", "B is better than A by 6.0 points (95 % interval 3."),
        ((500, 120, 60, 320), 0.01, "worse", "A is better than B by 6.0 points (95 % interval 3."),
        (
            (9000, 30, 32, 938), 0.01, "equivalent",
            "A and B are equivalent within 1 point (difference +0.0, 95 % interval -0.",
        ),
        (
            (500, 60, 66, 374), 0.035, "equivalent",
            "A and B are equivalent within 3.5 points (difference +0.6, 95 % interval -1.",
        ),
        (
            (500, 60, 66, 374), 0.01, "undecided",
            "no difference between A and B that 1,000 rows can show (+0.6 points, 95 % interval -1",
        ),
        ((600, 0, 0, 400), 0.01, "equivalent", "A and B predict the same label for each of 1,000 "),
    ],
)  # fmt: skip
def test_the_verdict_words_the_outcome_in_one_sentence(counts, margin, decided, start):
    compared = of_counts(*counts)
    assert outcome(compared, margin) == decided
    assert verdict(compared, "A", "B", margin).startswith(start)


@given(counts=COUNTS, margin=st.floats(0.001, 0.5))
@settings(max_examples=50)
def test_the_outcome_and_the_interval_turn_with_their_sides(counts, margin):
    both, first, second, neither = counts
    one, two = of_counts(*counts), of_counts(both, second, first, neither)
    turned = {"better": "worse", "worse": "better"}
    decided = outcome(one, margin)
    assert outcome(two, margin) == turned.get(decided, decided)
    if decided in turned:
        assert verdict(one, "A", "B", margin) == verdict(two, "B", "A", margin)
    (*_, delta, low, high), other = one.scores["accuracy"], two.scores["accuracy"]
    assert -1 <= low <= delta + 1e-9
    assert delta - 1e-9 <= high <= 1
    assert (low, high) == pytest.approx((-other.high, -other.low))


@given(counts=COUNTS | st.tuples(st.integers(0, 5000), *[st.integers(0, 12)] * 2, st.just(9)))
@settings(max_examples=200)
def test_better_and_worse_are_said_if_and_only_if_the_interval_excludes_zero(counts):
    found = of_counts(*counts)
    low, high = found.scores["accuracy"][3:]
    decided = outcome(found, 0.01)
    assert (decided == "better", decided == "worse") == (low > 0, high < 0)
    assert (found.p < 0.05) == (decided in ("better", "worse"))
    written = re.search(r"interval (\S+) to ([^,)]+)", verdict(found, "A", "B", 0.01))
    if written:
        assert (float(written[1]) > 0) == (decided in ("better", "worse"))


@pytest.mark.parametrize(
    "counts", [(900, 0, 5, 95), (900, 5, 0, 95), (10, 1, 7, 12), (50, 3, 11, 9)]
)
def test_where_the_exact_test_decides_nothing_the_interval_reaches_zero(counts):
    low, high = of_counts(*counts).scores["accuracy"][3:]
    assert 0 in (low, high)
    assert 0 not in tango(counts[1], counts[2], sum(counts))


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        (0.02, 0.01), (0.05, 0.01), (0.05, 0.02), (0.05, 0.04), (0.1, 0.02), (0.1, 0.04),
        (0.2, 0.04), (0.2, 0.08), (0.3, 0.08),
    ],
)  # fmt: skip
def test_with_the_rows_that_it_takes_the_exact_test_has_a_power_of_80_percent(changed, difference):
    n, power = rows_needed(changed, difference), 0.0
    for flips in range(1, n + 1):
        chance = binom.pmf(flips, n, changed)
        if chance > 1e-9:
            most = binom.isf(0.025, flips, 0.5) + 1  # fewer say nothing
            better = (1 + difference / changed) / 2
            power += chance * (
                binom.sf(most - 1, flips, better) + binom.cdf(flips - most, flips, better)
            )
    assert 0.8 <= power <= 0.9


def test_the_rows_that_it_takes_show_the_difference_four_times_out_of_five():
    n = rows_needed(changed=0.2, difference=0.04)
    _, rejected, _ = simulate(both=0.5, first=0.08, second=0.12, n=n, runs=300)
    assert 0.72 <= rejected <= 0.9


def test_each_slice_has_its_flips_and_an_adjusted_p_value():
    labels, a, b = np.random.default_rng(3).integers(5, size=(3, 400))
    parts = [*by_class(labels, list("abcde")), Slice("audit", "leak", "", np.zeros(400, bool))]
    rows = by_slice(labels, a, b, parts)
    assert [row["name"] for row in rows] == list("abcde")  # a slice without rows is left out
    for label, row in enumerate(rows):
        inside = labels == label
        of_class = compare_accuracy(labels[inside], a[inside], b[inside])
        assert of_class.p <= row["p"] <= 1
        assert row["n"] == inside.sum()
        assert row["harmful"] == len(of_class.flips.harmful)
        assert row["difference"] == of_class.scores["accuracy"].difference


def models(n: int, seed: int, classes: int = 5, gain: float = 1.0):
    """Draw labels, and the logits of two models, of which the second knows more."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    logits = rng.normal(size=(2, n, classes))
    logits[1, np.arange(n), labels] += gain
    return labels, *logits


def test_the_same_seed_gives_the_same_intervals():
    compared = [compare(*models(300, seed=1), ordered=True, resamples=50).scores for _ in range(2)]
    assert compared[0] == compared[1]
    assert ORDERED | {"accuracy", "loss"} <= {*compared[0]}
    for score in compared[0].values():
        assert score.low < score.difference < score.high


def test_many_classes_and_many_rows_are_compared():
    labels, first, second = models(20_000, seed=1, classes=150)
    found = compare(labels, first, second, ordered=False, resamples=10).scores
    for side, model in ((0, first), (1, second)):
        expected = metrics.f1_score(labels, model.argmax(axis=1), average="macro")
        assert found["macro_f1"][side] == pytest.approx(expected)


@pytest.mark.slow
def test_the_intervals_cover_a_known_difference_in_95_of_100_experiments():
    """The truth is that of half a million rows."""

    def drawn(n, seed):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 3, n)
        shared = rng.normal(size=(n, 3)) + 1.0 * np.eye(3)[labels]
        noise = rng.normal(size=(2, n, 3))
        return labels, shared + 0.5 * noise[0], shared + 0.8 * noise[1]

    truth = compare(*drawn(500_000, 12345), ordered=True, resamples=1).scores
    covered = dict.fromkeys(truth, 0)
    for seed in range(1000):
        found = compare(*drawn(300, seed), ordered=True, seed=seed, resamples=300).scores
        for name, known in truth.items():
            covered[name] += found[name].low <= known.difference <= found[name].high
    assert not {name: times for name, times in covered.items() if not 925 <= times <= 970}


def test_kappa_may_be_undefined_and_unordered_classes_have_no_distance():
    labels = np.zeros(20, int)
    same = log_softmax(np.full((20, 2), [0.7, 0.3]), axis=1)
    found = compare(labels, same, same, ordered=True).scores
    assert np.isnan(found["quadratic_kappa"]).all()
    assert found["loss"].low < found["loss"].difference == 0 < found["loss"].high
    assert not ORDERED & {*compare(labels, same, same, ordered=False).scores}
