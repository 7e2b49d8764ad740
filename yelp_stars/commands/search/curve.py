"""`stars curve`: accuracy against training rows. Is more data worth it?"""

import numpy as np
from tabulate import tabulate

from yelp_stars.commands.runs import experiments
from yelp_stars.commands.runs.experiments import ROWS
from yelp_stars.commands.search import learning_curve
from yelp_stars.commands.search.learning_curve import Fitted, Point
from yelp_stars.commands.search.repeats import read_right, repeat
from yelp_stars.pipeline.errors import UserError

SHARES = (8, 4, 2, 1)  # of the training rows, unless sizes are given
FACTORS = [2, 10]  # how far the curve is extrapolated
FEWEST = 4  # sizes: the curve has three parameters


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
    fitted = learning_curve.extrapolate(groups, FACTORS)
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
        f"(rows / {largest:,})^-{power:.2f}\n{learning_curve.verdict(fitted.gains[0], margin)}"
    )


def _row(point: Point) -> list[str]:
    low, high = np.clip([point.low, point.high], 0, 1)
    return [f"{point.rows:,}", f"{point.accuracy:.3f}", f"{low:.3f} to {high:.3f}"]
