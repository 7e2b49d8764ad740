"""`stars curve`: known curves are found, extrapolated with intervals that cover, and printed."""

import numpy as np
import pytest
from helpers import ROOT, documented, soak, stars

from yelp_stars.commands.search import curve
from yelp_stars.commands.search.curve import Point
from yelp_stars.data.sampling import Params, check_sizes
from yelp_stars.pipeline.yaml_file import read_yaml

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
@pytest.mark.parametrize("power", curve.POWERS[[10, 20, 30]])
def test_a_curve_without_noise_is_found(floor, gap, power):
    rows = np.array(SIZES)
    accuracies = 1 - floor - gap * (rows / 2000) ** -power
    found = curve.fit(rows, accuracies)
    assert found.floor >= 0
    assert found.gap >= 0
    beyond = np.array([4000, 20000])
    expected = 1 - floor - gap * (beyond / 2000) ** -power
    assert found.accuracy(beyond) == pytest.approx(expected, abs=2e-3)


def test_more_rows_never_lose_accuracy_on_a_fitted_curve():
    rows = np.array(SIZES)
    found = curve.fit(rows, np.array([0.6, 0.5, 0.4, 0.3]))  # runs that become worse
    accuracies = found.accuracy(np.array([100, 1000, 10**9]))
    assert (np.diff(accuracies) >= 0).all()
    assert ((accuracies >= 0) & (accuracies <= 1)).all()


@pytest.mark.slow
def test_the_intervals_cover_the_accuracies_that_more_rows_have():
    covered = np.zeros(3)
    for seed in range(8):
        found = curve.extrapolate(groups(seed, 2, 0.3, 0.1, 0.5), seed)
        truth = [0.7 - 0.1 * factor**-0.5 for factor in (2, 10)]
        points = [*found.extrapolated, found.gains[0]]
        expected = [*truth, truth[0] - 0.6]
        covered += [one.low <= true <= one.high for one, true in zip(points, expected, strict=True)]
    assert (covered >= 6).all()


def test_the_same_runs_give_the_same_numbers_and_farther_is_less_sure():
    runs = groups(0, 2, 0.3, 0.1, 0.5)
    found = curve.extrapolate(runs)
    assert found == curve.extrapolate(runs)
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
    shown = curve.verdict(Point(4000, (low + high) / 2, low, high), 0.01)
    assert shown.startswith(f"{start}: 4,000 training rows would gain ")
    assert "extrapolated" in shown


def test_the_guide_names_sizes_that_the_quickstart_has():
    params = read_yaml(ROOT / "presets" / "quickstart.yaml")
    (command,) = documented("search.md", "Learning curve")
    sizes = command.split()[2:-2]
    assert len(sizes) == curve.FEWEST
    rows = params["download"]["train_size"], params["download"]["test_size"]
    for size in sizes:
        check_sizes(*rows, Params(**{**params["sample"], "train_size": int(size)}))


def test_extrapolated_accuracies_are_labelled_as_such(capsys):
    difficulty = np.random.default_rng(0).random(500)
    groups = {n: np.stack([difficulty > 4 * n**-0.6] * 2) for n in (250, 500, 1000, 2000)}
    curve.show(curve.extrapolate(groups), 2, 500, 0.01)
    shown = capsys.readouterr().out
    lines = [line.split() for line in shown.splitlines()]
    labelled = {line[0]: line[-1] for line in lines if line[-1:] in (["seeds"], ["extrapolated"])}
    assert labelled == {
        **dict.fromkeys(["250", "500", "1,000", "2,000"], "seeds"),
        **dict.fromkeys(["4,000", "20,000"], "extrapolated"),
    }
    assert "fitted on 500 test rows: error = 0." in shown
    assert "whether more data is worth it: " in shown or "More data is " in shown


@pytest.mark.slow
def test_too_few_sizes_and_all_rows_are_one_line(toy_project):
    for sizes in (["100", "200", "400"], ["1", "2", "3", "0"]):
        message = stars("curve", *sizes)
        assert message.startswith("error: the sizes are [")
        assert message.endswith("4 different ones or more are needed")
    message = "error: sample.train_size is 'all'; set a number, at most the "
    message += "rows that the validation sample leaves, such as -S sample.train_size=10000"
    assert stars("curve", "-S", "sample.train_size=all") == message


@pytest.mark.slow
@soak
def test_a_curve_is_measured_and_extrapolated(toy_project, capfd):
    assert stars("curve") == 0
    shown = capfd.readouterr().out
    far = next(line for line in shown.splitlines() if line.strip().startswith("20,000"))
    low, high = (float(far.split()[place]) for place in (2, 4))
    assert low <= 0.9 - 0.2 * 0.523**2 - 4 * 20000**-0.6 <= high  # as toy.py has it
    assert stars("curve") == 0
    assert "in a copy" not in capfd.readouterr().out  # nothing ran again
