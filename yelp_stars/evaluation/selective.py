"""What a person gains who checks the least sure predictions: accuracy of the others.

Known as the risk-coverage curve of selective classification (El-Yaniv and Wiener 2010).
"""

from typing import Any

import numpy as np

from yelp_stars.evaluation import intervals
from yelp_stars.scoring.metrics import decimals

SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)  # of the rows, sent to a person


def points(correct: np.ndarray, probability: np.ndarray) -> list[dict[str, Any]]:
    """The accuracy of the surest rows, for each share that a person checks.

    `probability` is that of each row's prediction. A row goes to a person if it is below the
    point's "from".
    """
    order = surest_first(probability)
    table = []
    for share in SHARES:
        kept = order[: len(order) - round(share * len(order))]
        found = intervals.proportion(int(correct[kept].sum()), len(kept))
        from_ = round(float(probability[kept[-1]]), decimals(len(order)))
        table.append({"to_a_person": share, "from": from_, **found})
    return table


def mean_error(wrong: np.ndarray) -> float:
    """The area under the risk-coverage curve, of rows that are in order, the surest first.

    That is the mean of the error of the surest 1, 2, …, n rows: 0 is perfect, and the error of all
    rows is what a random order has.
    """
    return float((np.cumsum(wrong) / np.arange(1, len(wrong) + 1)).mean())


def surest_first(probability: np.ndarray) -> np.ndarray:
    """Row numbers by falling probability."""
    return np.argsort(-probability, kind="stable")
