"""`stars curve`: accuracy against training rows, fitted and extrapolated. Is more data worth it?

error = a + b·n^-c, the form of Hestness et al. (2017).
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls
from tabulate import tabulate

from yelp_stars.commands.runs import experiments
from yelp_stars.commands.runs.experiments import ROWS
from yelp_stars.commands.search.repeats import read_right, repeat
from yelp_stars.evaluation import intervals
from yelp_stars.pipeline.errors import UserError

SHARES = (8, 4, 2, 1)  # of the training rows, unless sizes are given
FACTORS = [2, 10]  # how far the curve is extrapolated
FEWEST = 4  # sizes: the curve has three parameters
POWERS = np.geomspace(0.05, 2, 40)
RESAMPLES = 500


class Curve(NamedTuple):
    """error = floor + gap · (rows / largest)^-power."""

    floor: float
    """Error that more rows of the same kind do not remove."""
    gap: float
    """Error that they do remove, at the largest measured number of rows."""
    power: float
    largest: int

    def accuracy(self, rows: np.ndarray) -> np.ndarray:
        """Return the accuracy at numbers of training rows."""
        return np.maximum(0, 1 - self.floor - self.gap * (rows / self.largest) ** -self.power)


class Point(NamedTuple):
    """An accuracy with its 95 % interval."""

    rows: int
    accuracy: float
    low: float
    high: float


class Fitted(NamedTuple):
    """A fitted learning curve and its extrapolation."""

    curve: Curve
    measured: list[Point]
    extrapolated: list[Point]
    gains: list[Point]
    """Accuracy of each extrapolated point, minus that at the largest measured one."""


def run(sizes: list[int], number: int, margin: float, settings: list[str]) -> None:
    """Run the sizes that are missing, and print the curve and what it says."""
    snapshot = experiments.take_snapshot(settings)
    shares = (experiments.training_rows(snapshot) // share for share in SHARES)
    sizes = sorted({*sizes} or {*shares})
    if len(sizes) < FEWEST or sizes[0] < 1:
        raise UserError(f"the sizes are {sizes}: {FEWEST} different ones or more are needed")
    groups = {}
    for size in reversed(sizes):  # more rows than there are fail at once, and not at the end
        groups[size] = read_right(repeat(snapshot, "curve", {ROWS: size}, number).names)
    fitted = extrapolate(groups)
    show(fitted, number, groups[sizes[0]].shape[1], margin)


def show(fitted: Fitted, number: int, test_rows: int, margin: float) -> None:
    """Print a curve as a table, and whether more training rows are worth it."""
    rows = [[*_row(point), f"measured, {number} seeds"] for point in fitted.measured]
    rows += [[*_row(point), "extrapolated"] for point in fitted.extrapolated]
    titles = ["training rows", "accuracy", "95 % interval", ""]
    aligned = ("right", "right", "left", "left")
    table = tabulate(rows, titles, "plain", disable_numparse=True, colalign=aligned)
    floor, gap, power, largest = fitted.curve
    print(
        f"\n{table}\n\nfitted on {test_rows:,} test rows: error = {floor:.3f} + {gap:.3f} · "
        f"(rows / {largest:,})^-{power:.2f}\n{verdict(fitted.gains[0], margin)}"
    )


def _row(point: Point) -> list[str]:
    low, high = np.clip([point.low, point.high], 0, 1)
    return [f"{point.rows:,}", f"{point.accuracy:.3f}", f"{low:.3f} to {high:.3f}"]


def fit(rows: np.ndarray, accuracies: np.ndarray) -> Curve:
    """Fit by least squares; neither `floor` nor `gap` is below 0, `power` is one of `POWERS`."""
    largest = int(rows.max())
    ones = np.ones(len(rows))
    found = []
    for power in POWERS:
        (floor, gap), residual = nnls(
            np.column_stack([ones, (rows / largest) ** -power]), 1 - accuracies
        )
        found.append((residual, Curve(float(floor), float(gap), float(power), largest)))
    return min(found)[1]


def extrapolate(groups: dict[int, np.ndarray], seed: int = 0) -> Fitted:
    """Fit the runs of each number of training rows, and extrapolate to multiples of the largest.

    `groups` is the correctness of each run's predictions, bool, (runs, test rows). The intervals
    are those of a bootstrap: it draws the test rows, the same for all runs, and the spread of the
    seeds, which is taken to be the same for any number of training rows.
    """
    rows = np.array(sorted(groups))
    beyond = np.array([factor * rows[-1] for factor in FACTORS])
    right = np.stack([groups[size] for size in rows])  # (sizes, runs, test rows)
    means = right.mean(axis=1)
    spread = np.sqrt(right.mean(axis=2).var(axis=1, ddof=1).mean() / right.shape[1])
    rng = np.random.default_rng(seed)

    def extended(accuracies: np.ndarray) -> np.ndarray:
        """Return the accuracies, those of the fitted curve beyond them, and their gains."""
        curve = fit(rows, accuracies)
        more = curve.accuracy(beyond)
        return np.concatenate([accuracies, more, more - curve.accuracy(rows[-1:])])

    resampled = []
    for _ in range(RESAMPLES):
        drawn = rng.integers(means.shape[1], size=means.shape[1])
        noise = spread * rng.normal(size=len(rows))
        resampled.append(extended(means[:, drawn].mean(axis=1) + noise))
    low, high = np.quantile(np.stack(resampled), intervals.TAILS, axis=0)
    values = extended(means.mean(axis=1)), low, high
    sizes = [*rows, *beyond, *beyond]
    points = [Point(int(n), *map(float, each)) for n, *each in zip(sizes, *values, strict=True)]
    measured, extrapolated = points[: len(rows)], points[len(rows) : -len(beyond)]
    return Fitted(fit(rows, means.mean(axis=1)), measured, extrapolated, points[-len(beyond) :])


def verdict(gain: Point, margin: float) -> str:
    """Word whether more training rows are worth it, by the gain of some number of them."""
    by = (
        f"{gain.rows:,} training rows would gain {gain.accuracy * 100:.1f} points of accuracy "
        f"(95 % interval {gain.low * 100:.1f} to {gain.high * 100:.1f}, extrapolated)"
    )
    if gain.low > margin:
        return f"More data is worth it: {by}"
    if gain.high < margin:
        return f"More data is not worth it: {by}"
    return f"These runs do not show whether more data is worth it: {by}"
