"""How sure a score is: 95 % intervals, and p-values corrected for their number.

Proportions have Wilson's interval (1927), which holds for few rows and for 0 or 100 %. Other scores
have the percentile bootstrap (Efron 1979): rows are drawn with replacement, by a seed, and the
score is computed anew each time.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from yelp_stars.scoring.metrics import decimals, wilson

LEVEL = 0.95
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)

Estimate = dict[str, Any]  # value, low, high, n


def estimate(value: float, low: float, high: float, n: int) -> Estimate:
    """A score with its interval, in the decimals that its rows support; None if undefined."""
    numbers = {"value": value, "low": low, "high": high}
    digits = decimals(max(n, 1))
    rounded = {name: round(float(x), digits) for name, x in numbers.items() if np.isfinite(x)}
    return {**dict.fromkeys(numbers), **rounded, "n": n}


def proportion(successes: int, n: int) -> Estimate:
    """A proportion with Wilson's interval; None where there are no rows."""
    if not n:
        return estimate(np.nan, np.nan, np.nan, 0)
    return estimate(successes / n, *wilson(successes, n), n)


def resample(
    statistic: Callable[[np.ndarray], np.ndarray], n: int, resamples: int, seed: int
) -> np.ndarray:
    """`statistic` of the rows that each resample draws: (resamples, numbers).

    `statistic` takes the drawn row numbers, of shape (n,), and returns numbers.
    """
    rng = np.random.default_rng(seed)
    return np.stack([statistic(rng.integers(n, size=n)) for _ in range(resamples)])


def percentiles(resampled: np.ndarray) -> np.ndarray:
    """The two ends of the interval of each number, (2, numbers).

    Resamples in which a number is undefined do not count; NaN where it always is.
    """
    ends = np.full((2, resampled.shape[1]), np.nan)
    defined = ~np.isnan(resampled)
    for column in np.flatnonzero(defined.any(axis=0)):
        ends[:, column] = np.quantile(resampled[defined[:, column], column], TAILS)
    return ends


def holm(p_values: list[float]) -> list[float]:
    """Adjust p-values for their number (Holm 1979): compare them with the level itself."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.asarray(p_values, np.float64)
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(adjusted[order] * factors))
    return [float(p) for p in adjusted]
