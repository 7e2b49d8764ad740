"""Compute 95 % intervals, and p-values corrected for multiple tests.

Proportions have Wilson's interval (1927), which holds for few rows and for 0 or 100 %. Other scores
have a smoothed bootstrap: rows are drawn with replacement, by a seed, and the score is computed
again each time (Efron 1979), but on average one row of a draw is odd: it has a random class. That
is a pseudo-count for what few rows do not show, such as mistakes and rare classes (Fienberg and
Holland 1973). docs/evaluation.md has the coverage, `python -m benchmarks.coverage` simulates it.
"""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import ndtr, stdtrit

from yelp_stars.scoring.metrics import decimals, rounded, wilson

LEVEL = 0.05  # of tests; intervals have 95 %
TAILS = (LEVEL / 2, 1 - LEVEL / 2)
CHUNK = 2**21  # numbers in memory at a time

Estimate = dict[str, Any]  # value, low, high, n
Statistics = dict[str, np.ndarray]


def estimate(value: float, low: float, high: float, n: int) -> Estimate:
    """Round a score and its interval to the decimals that `n` rows support; None if undefined."""
    numbers = {"value": value, "low": low, "high": high}
    known = {name: float(x) if np.isfinite(x) else None for name, x in numbers.items()}
    return rounded({**known, "n": n})


def share_of(successes: np.ndarray) -> Estimate:
    """Estimate the share of rows, bool, that are true."""
    return proportion(int(successes.sum()), len(successes))


def proportion(successes: int, n: int) -> Estimate:
    """Estimate a proportion with Wilson's interval; None where there are no rows."""
    if not n:
        return estimate(np.nan, np.nan, np.nan, 0)
    return estimate(successes / n, *wilson(successes, n), n)


def written(score: Estimate, scale: float = 1) -> str:
    """Write a score with its interval: "0.626 [0.596, 0.655]"."""
    if score["value"] is None:
        return "undefined"
    digits = max(0, decimals(score["n"]) - (2 if scale == 100 else 0))
    value, low, high = (f"{scale * score[key]:.{digits}f}" for key in ("value", "low", "high"))
    return f"{value} % [{low}, {high}]" if scale == 100 else f"{value} [{low}, {high}]"


def resample(
    statistics: Callable[[np.ndarray, np.ndarray], Statistics],
    n: int,
    resamples: int,
    seed: int,
    *,
    odd: int,
    width: int = 1,
) -> Statistics:
    """Compute the statistics of rows drawn with replacement: arrays (resamples, ...) by name.

    `statistics` takes drawn row numbers, (draws, n), and as many numbers that say how a row is odd:
    -1 if it is not, else, on average in one row of a draw, 0 to `odd` - 1 at random. It returns
    arrays (draws, ...), and computes `width` numbers for a draw at most: so many draws at a time
    fit into memory.
    """
    # One of each, so that the numbers do not depend on how many draws there are at a time.
    rows, chance, kind = np.random.default_rng(seed).spawn(3)
    step = max(1, CHUNK // max(n, width))
    parts = []
    for start in range(0, resamples, step):
        shape = min(step, resamples - start), n
        kinds = np.full(shape, -1)
        is_odd = chance.random(shape) < 1 / n
        kinds[is_odd] = kind.integers(odd, size=int(is_odd.sum()))
        parts.append(statistics(rows.integers(n, size=shape), kinds))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def interval(exact: Any, resampled: np.ndarray, n: int) -> np.ndarray:
    """Return the two ends of the interval of scores of `n` rows: (resamples, ...) to (2, ...).

    Percentiles, farther out with few rows, as those of a t distribution are (Hesterberg 2015). An
    end that the bootstrap's bias has moved inwards moves out by twice that bias (Efron and
    Tibshirani 1993, chapter 10), within what was drawn: a score that resamples make lower, such as
    macro-F1, is itself too low. NaN where the score is undefined.
    """
    n = max(2, n)
    tail = ndtr(math.sqrt(n / (n - 1)) * stdtrit(n - 1, TAILS[0]))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN|Mean of empty")
        low, high = np.nanquantile(resampled, (tail, 1 - tail), axis=0)
        bias = 2 * (np.nanmean(resampled, axis=0) - exact)
        low = np.maximum(low - np.maximum(bias, 0), np.nanmin(resampled, axis=0))
        high = np.minimum(high - np.minimum(bias, 0), np.nanmax(resampled, axis=0))
    return np.stack([np.minimum(low, exact), np.maximum(high, exact)])


def holm(p_values: list[float]) -> list[float]:
    """Holm-adjust p-values (1979); compare them with the unadjusted level."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.asarray(p_values, np.float64)
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(adjusted[order] * factors))
    return [float(p) for p in adjusted]
