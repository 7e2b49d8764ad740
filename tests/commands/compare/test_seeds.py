"""Groups of runs that differ in seeds: intervals that cover both kinds of chance."""

import numpy as np
import pytest
from scipy.stats import ttest_ind

from yelp_stars.commands.compare import seeds


def runs(rng, number, chances, of_seed):
    """Runs that predict each row rightly with some chance, which the seed of a run shifts."""
    shifts = rng.normal(0, of_seed, (number, 1))
    return rng.random((number, len(chances))) < np.clip(chances + shifts, 0, 1)


def simulate(gain: float, numbers: tuple[int, int], of_seed: float, times: int, rows: int = 400):
    """Count how often the interval covers the true gain, and how often it is called real."""
    covered = significant = 0
    for seed in range(times):
        rng = np.random.default_rng(seed)
        chances = rng.beta(2, 2, rows) * 0.8 + 0.05
        better = np.clip(chances + gain, 0, 1)
        groups = runs(rng, numbers[0], chances, of_seed), runs(rng, numbers[1], better, of_seed)
        found = seeds.compare(*groups)
        covered += found.low <= gain <= found.high
        significant += found.p < 0.05
    return covered / times, significant / times


@pytest.mark.slow
@pytest.mark.parametrize(
    ("numbers", "of_seed"), [((3, 3), 0.0), ((2, 5), 0.03), ((1, 4), 0.0), ((1, 4), 0.03)]
)
def test_the_interval_covers_the_gain_and_equal_groups_are_rarely_called_different(
    numbers, of_seed
):
    covered, significant = simulate(0.0, numbers, of_seed, times=1000)
    assert covered >= 0.93
    assert significant <= 0.07
    covered, significant = simulate(0.05, numbers, of_seed, times=400)
    assert covered >= 0.92
    assert significant > 0.1


@pytest.mark.parametrize(("others", "most"), [(2, 0.03), (3, 0.055)])
def test_a_single_run_is_not_too_sure_of_being_different(others, most):
    _, significant = simulate(0.0, (1, others), 0.02, times=2000)
    assert significant <= most


def test_without_rows_that_vary_it_is_welchs_test():
    # Each run is right on its own share of very many rows: only the seeds are left.
    rng = np.random.default_rng(0)
    rows = 200_000
    first, second = (rng.random((5, rows)) < rng.normal(mean, 0.02, (5, 1)) for mean in (0.5, 0.52))
    found = seeds.compare(first, second)
    expected = ttest_ind(second.mean(axis=1), first.mean(axis=1), equal_var=False)
    low, high = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue, rel=0.02)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-3)


@pytest.mark.parametrize("sizes", [(1, 2), (4, 3)])
def test_the_order_of_the_groups_turns_the_sign_and_nothing_else(sizes):
    rng = np.random.default_rng(0)
    first, second = (rng.random((size, 30)) < 0.6 for size in sizes)
    one, two = seeds.compare(first, second), seeds.compare(second, first)
    assert (one.difference, one.low, one.high, one.p) == pytest.approx(
        (-two.difference, -two.high, -two.low, two.p)
    )
    assert one.low <= one.difference <= one.high


def test_runs_that_are_all_alike_do_not_differ():
    same = np.tile(np.arange(20) % 2 == 0, (3, 1))
    found = seeds.compare(same, same)
    assert (found.difference, found.p) == (0.0, 1.0)
    assert found.low == pytest.approx(
        -(1.96**2) / (20 + 1.96**2), abs=1e-3
    )  # Tango's, of no change
    assert found.high == pytest.approx(-found.low)
    assert seeds.spread(same) == 0.0
    assert seeds.spread(same[:1]) is None
    assert seeds.compare(same[:, :1], same[:, :1]).p == 1.0


def test_chance_is_what_two_runs_differ_by_95_times_out_of_100():
    rng = np.random.default_rng(0)
    wider = 0
    for _ in range(2000):
        accuracies = rng.normal(0.6, 0.01, 6)
        right = np.arange(10_000) < (accuracies[:, None] * 10_000).round()
        wider += abs(accuracies[0] - accuracies[1]) > seeds.chance(right[2:])
    assert 0.03 <= wider / 2000 <= 0.07


def flipped(rng, core, number, share):
    """Runs that agree with `core` but for a share of the rows, which differs by seed."""
    return core ^ (rng.random((number, len(core))) < share)


@pytest.mark.slow
def test_the_smallest_difference_is_found_four_times_out_of_five():
    number, rows, share, times, found = 3, 1000, 0.08, 300, 0
    draws = (np.random.default_rng(seed) for seed in range(times))
    smallest = [
        seeds.smallest(flipped(rng, rng.random(rows) < 0.6, number, share)) for rng in draws
    ]
    gain = float(np.median(smallest)) / (1 - 2 * share)
    changed = 2 * share * (1 - share)
    for seed in range(times):
        rng = np.random.default_rng(times + seed)
        core = rng.random(rows) < 0.6
        kept, won = 1 - (changed - gain) / 1.2, (changed + gain) / 0.8
        other = np.where(core, rng.random(rows) < kept, rng.random(rows) < won)
        groups = (flipped(rng, one, number, share) for one in (core, other))
        found += seeds.compare(*groups).p < 0.05
    assert 0.75 <= found / times <= 0.95


@pytest.mark.parametrize(("number", "share"), [(2, 0.88), (5, 0.94)])
def test_the_interval_of_a_mean_covers_as_often_as_the_guide_says_where_runs_differ(number, share):
    covered, rng = 0, np.random.default_rng(0)
    for _ in range(2000):
        accuracies = 0.6 + rng.normal(0, 0.05, number)
        right = rng.random(1000) < accuracies[:, None]  # the same rows are hard for all
        low, high = seeds.mean_interval(right.mean(axis=1), 1000)
        covered += low <= 0.6 <= high
    assert covered / 2000 == pytest.approx(share, abs=0.02)


def test_the_interval_of_a_mean_stays_within_its_range():
    low, high = seeds.mean_interval(np.array([1.0, 1.0]), 20)  # Wilson's: 20 / (20 + 1.96²)
    assert low == pytest.approx(0.839, abs=0.01)
    assert high == 1.0
    low, high = seeds.mean_interval(np.array([0.9, 1.0]), 20)
    assert 0 <= low < 0.95 < high <= 1
