"""Compute 95 % intervals, and p-values corrected for multiple tests.

Proportions have Wilson's interval (1927), which holds for few rows and for 0 or 100 %. Other scores
have the percentile bootstrap (Efron 1979): rows are drawn with replacement, by a seed, and the
score is computed again each time.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from yelp_stars.scoring.metrics import decimals, wilson

LEVEL = 0.05  # of tests; intervals have 95 %
TAILS = (LEVEL / 2, 1 - LEVEL / 2)
CHUNK = 2**21  # numbers in memory at a time

Estimate = dict[str, Any]  # value, low, high, n
Statistics = dict[str, np.ndarray]


def estimate(value: float, low: float, high: float, n: int) -> Estimate:
    """Round a score and its interval to the decimals that `n` rows support; None if undefined."""
    numbers = {"value": value, "low": low, "high": high}
    digits = decimals(max(n, 1))
    rounded = {name: round(float(x), digits) for name, x in numbers.items() if np.isfinite(x)}
    return {**dict.fromkeys(numbers), **rounded, "n": n}


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
    statistics: Callable[[np.ndarray], Statistics],
    n: int,
    resamples: int,
    seed: int,
    *,
    width: int = 1,
) -> Statistics:
    """Compute the statistics of rows drawn with replacement: arrays (resamples, ...) by name.

    `statistics` takes drawn row numbers, (draws, n), and returns arrays (draws, ...). It computes
    `width` numbers for a draw at most: so many draws at a time fit into memory.
    """
    rng = np.random.default_rng(seed)
    step = max(1, CHUNK // max(n, width))
    parts = [
        statistics(rng.integers(n, size=(min(step, resamples - start), n)))
        for start in range(0, resamples, step)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def percentiles(resampled: np.ndarray) -> np.ndarray:
    """Return the two ends of the interval of resampled numbers: (resamples, ...) to (2, ...).

    Resamples in which a number is undefined do not count; NaN where it always is.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice")
        return np.nanquantile(resampled, TAILS, axis=0)


def holm(p_values: list[float]) -> list[float]:
    """Holm-adjust p-values (1979); compare them with the unadjusted level."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.asarray(p_values, np.float64)
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(adjusted[order] * factors))
    return [float(p) for p in adjusted]
