"""Score the other predictions when a person checks the least certain ones.

Known as the risk-coverage curve of selective classification (El-Yaniv and Wiener 2010).
"""

from typing import Any

import numpy as np

from yelp_stars.evaluation import intervals
from yelp_stars.scoring.metrics import decimals

SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)  # of the rows, sent to a person


def points(correct: np.ndarray, probability: np.ndarray) -> list[dict[str, Any]]:
    """Return the accuracy of the surest rows, for each share that a person checks.

    `probability` is that of each row's prediction. A row goes to a person if it is below the
    point's "from".
    """
    order = surest_first(probability)
    table = []
    for share in SHARES:
        rest = order[: len(order) - round(share * len(order))]
        accuracy = intervals.proportion(int(correct[rest].sum()), len(rest))
        from_ = round(float(probability[rest[-1]]), decimals(len(order)))
        table.append({"to_a_person": share, "from": from_, **accuracy})
    return table


def mean_error(wrong: np.ndarray) -> np.ndarray:
    """Return the area under the risk-coverage curve of rows (..., n) in order, the surest first.

    That is the mean of the error of the surest 1, 2, …, n rows: 0 is perfect, and the error of all
    rows is what a random order has.
    """
    errors = np.cumsum(wrong, axis=-1) / np.arange(1, wrong.shape[-1] + 1)
    return errors.mean(axis=-1)


def surest_first(probability: np.ndarray) -> np.ndarray:
    """Return row numbers by falling probability."""
    return np.argsort(-probability, kind="stable")
