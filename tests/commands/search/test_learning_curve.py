"""The learning curve: known curves are found, and the intervals cover what they extrapolate to."""

import numpy as np
import pytest

from yelp_stars.commands.search import learning_curve
from yelp_stars.commands.search.learning_curve import Point

SIZES = (250, 500, 1000, 2000)


def groups(seed: int, runs: int, floor: float, gap: float, power: float):
    """Runs on 1,000 test rows, each of its own difficulty; seeds shift the error by 1 point."""
    rng = np.random.default_rng(seed)
    difficulty = rng.random(1000)
    errors = {size: floor + gap * (size / SIZES[-1]) ** -power for size in SIZES}
    return {
        size: np.stack([difficulty > error + rng.normal(0, 0.01) for _ in range(runs)])
        for size, error in errors.items()
    }


@pytest.mark.parametrize(("floor", "gap"), [(0, 0.2), (0.3, 0.01), (0.5, 0.1)])
@pytest.mark.parametrize("power", learning_curve.POWERS[[10, 20, 30]])
def test_a_curve_without_noise_is_found(floor, gap, power):
    rows = np.array(SIZES)
    accuracies = 1 - floor - gap * (rows / 2000) ** -power
    found = learning_curve.fit(rows, accuracies)
    assert found.floor >= 0
    assert found.gap >= 0
    beyond = np.array([4000, 20000])
    expected = 1 - floor - gap * (beyond / 2000) ** -power
    assert found.accuracy(beyond) == pytest.approx(expected, abs=2e-3)


def test_more_rows_never_lose_accuracy_on_a_fitted_curve():
    rows = np.array(SIZES)
    found = learning_curve.fit(rows, np.array([0.6, 0.5, 0.4, 0.3]))  # runs that become worse
    accuracies = found.accuracy(np.array([100, 1000, 10**9]))
    assert (np.diff(accuracies) >= 0).all()
    assert ((accuracies >= 0) & (accuracies <= 1)).all()


@pytest.mark.slow
def test_the_intervals_cover_the_accuracies_that_more_rows_have():
    covered = np.zeros(3)
    for seed in range(8):
        found = learning_curve.extrapolate(groups(seed, 2, 0.3, 0.1, 0.5), [2, 10], seed)
        truth = [0.7 - 0.1 * factor**-0.5 for factor in (2, 10)]
        points = [*found.extrapolated, found.gains[0]]
        expected = [*truth, truth[0] - 0.6]
        covered += [one.low <= true <= one.high for one, true in zip(points, expected, strict=True)]
    assert (covered >= 6).all()


def test_the_same_runs_give_the_same_numbers_and_farther_is_less_sure():
    runs = groups(0, 2, 0.3, 0.1, 0.5)
    found = learning_curve.extrapolate(runs, [2, 10])
    assert found == learning_curve.extrapolate(runs, [2, 10])
    assert [point.rows for point in found.measured] == list(SIZES)
    assert [point.rows for point in found.extrapolated] == [4000, 20000]
    near, far = (point.high - point.low for point in found.extrapolated)
    assert far > near


@pytest.mark.parametrize(
    ("low", "high", "start"),
    [
        (0.012, 0.03, "More data is worth it"),
        (0.0, 0.008, "More data is not worth it"),
        (0.002, 0.03, "These runs do not show whether more data is worth it"),
    ],
)
def test_the_verdict_is_that_of_the_interval_and_says_that_it_is_extrapolated(low, high, start):
    shown = learning_curve.verdict(Point(4000, (low + high) / 2, low, high), 0.01)
    assert shown.startswith(f"{start}: 4,000 training rows would gain ")
    assert "extrapolated" in shown
