"""Runs that differ only in their seeds: what chance changes, and whether a group is better.

Two things are random: which rows are in the test sample, and the seed of each run. An interval that
ignores one of them is too short.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.stats import t

from yelp_stars.comparing import paired
from yelp_stars.comparing.paired import POWER
from yelp_stars.evaluation.intervals import LEVEL


class Gap(NamedTuple):
    """Mean difference in accuracy between two groups of runs."""

    difference: float
    low: float
    """Its 95 % interval."""
    high: float
    p: float


def spread(right: np.ndarray) -> float | None:
    """Return the standard deviation of the accuracies of runs, (runs, rows); None of one run."""
    return float(right.mean(axis=1).std(ddof=1)) if len(right) > 1 else None


def chance(right: np.ndarray) -> float:
    """Return the largest difference of two such runs, 95 times out of 100."""
    quantile = float(t.ppf(1 - LEVEL / 2, len(right) - 1))
    return quantile * math.sqrt(2) * (spread(right) or 0.0)


def compare(first: np.ndarray, second: np.ndarray) -> Gap:
    """Compare the mean accuracies of two groups of runs; `first` says which row is right, by run.

    The variance of the difference has three parts: that of the seeds of each group, and that of the
    rows, less what the seeds add to it. Their degrees of freedom are combined as Welch (1947) does.
    A group of one run is taken to vary as the other does: one of the two needs several. The degrees
    of freedom are then the other's alone, as Welch's are too sure: equal models with p < 0.05 are
    1 to 5.5 %, not up to 8.7 %. If the single run varies more than the others do, they are more.
    """
    rows = first.shape[1]
    difference = second.mean(axis=0) - first.mean(axis=0)
    if len(first) > 1 and len(second) > 1:
        parts = [(first, 1 / len(first)), (second, 1 / len(second))]
    else:
        parts = [(max(first, second, key=len), 1 / len(first) + 1 / len(second))]
    variances = [share * float(group.mean(axis=1).var(ddof=1)) for group, share in parts]
    freedom = [len(group) - 1 for group, _ in parts]
    noise = sum(share * float(group.var(axis=0, ddof=1).mean()) for group, share in parts)
    of_rows = float(difference.var(ddof=1)) if rows > 1 else 0.0
    variances.append(max(0.0, of_rows - noise) / rows)
    freedom.append(max(1, rows - 1))
    delta = float(difference.mean())
    if sum(variances) == 0:  # the runs of a group are alike, and each row says the same
        return of_one(first[0], second[0])
    deviation, degrees = _welch(variances, freedom)
    if len(parts) == 1:
        degrees = freedom[0]
    reach = float(t.ppf(1 - LEVEL / 2, degrees)) * deviation
    p = 2 * float(t.sf(abs(delta) / deviation, degrees))
    return Gap(delta, delta - reach, delta + reach, p)


def of_one(first: np.ndarray, second: np.ndarray) -> Gap:
    """Compare two runs row by row, by which rows each has right, (rows,)."""
    compared = paired.compare_accuracy(np.ones(len(first), bool), first, second)
    return Gap(*compared.scores["accuracy"][2:], compared.p)


def _welch(variances: list[float], freedom: list[int]) -> tuple[float, float]:
    """Combine parts of a variance: the standard deviation and its degrees (Welch 1947)."""
    total = sum(variances)
    pairs = zip(variances, freedom, strict=True)
    return math.sqrt(total), total**2 / sum(variance**2 / degrees for variance, degrees in pairs)


def smallest(right: np.ndarray) -> float:
    """Return the smallest difference that two groups of as many runs show, four times out of five.

    The other group is taken to vary as this one does, and to predict as many rows differently,
    whatever the seed, as another seed of this one does. Two or three runs say little about their
    spread: the number is then rough, and rather too low.
    """
    runs, rows = right.shape
    of_seeds = 2 * float(right.mean(axis=1).var(ddof=1)) / runs
    changed = 2 * float(right.var(axis=0, ddof=1).mean())
    if of_seeds + changed == 0:
        return 0.0
    # The degrees of freedom if one group varies much more than the other: the fewest.
    deviation, degrees = _welch([of_seeds, changed / rows], [runs - 1, max(1, rows - 1)])
    quantiles = t.ppf([1 - LEVEL / 2, POWER], degrees)
    return float(quantiles.sum()) * deviation


def mean_interval(accuracies: np.ndarray, rows: int) -> tuple[float, float]:
    """Return the interval, about 95 %, of the mean accuracy of several runs on the same rows.

    The rows count as if the runs did not average any of their noise out. Their part is that of
    Wilson's interval (1927), which holds near 0 and 1, too. Simulated, with 50 to 1,000 rows, an
    accuracy of 0.5 to 0.99, and runs that differ by less than the rows: 93.5 % and more; 90 % with
    100 rows and one of 0.995. Runs that differ by more than the rows: 88 % with two, as their
    spread is a guess, 93 % with three, 94 % with five.
    """
    runs, mean = len(accuracies), float(accuracies.mean())
    z = float(t.ppf(1 - LEVEL / 2, np.inf))
    weight = 1 + z**2 / rows
    centre = (mean + z**2 / (2 * rows)) / weight
    of_seeds = float(accuracies.var(ddof=1)) / runs
    of_rows = (mean * (1 - mean) / rows + z**2 / (4 * rows**2)) / weight**2
    deviation, degrees = _welch([of_seeds, of_rows], [runs - 1, max(1, rows - 1)])
    reach = float(t.ppf(1 - LEVEL / 2, degrees)) * deviation
    return max(0.0, centre - reach), min(1.0, centre + reach)
