"""Sets of labels that hold the right one in at least, say, 90 % of new rows.

Split conformal prediction (Vovk et al. 2005): the set of a row begins with its most likely class
and grows, class by class, until its mass exceeds a threshold; the threshold is the mass that it
would have taken on validation rows. Ordered classes grow to the likelier neighbour, so that the set
is a range (ordinal adaptive prediction sets: Lu, Angelopoulos and Pomerantz 2022); others grow to
the likeliest class that is left (adaptive prediction sets: Romano et al. 2020).

The promise holds on average over rows that are like the validation rows. No set is empty: where
the most likely class alone is right more often than promised, so are the sets.
"""

import math

import numpy as np

DIGITS = 6


def masses(probabilities: np.ndarray, ordered: bool) -> np.ndarray:
    """Return the mass of a row's set before it takes in each class: (rows, classes).

    0 for the most likely class, which comes first.
    """
    rows, classes = probabilities.shape
    found = np.zeros((rows, classes))
    if not ordered:
        order = np.argsort(-probabilities, axis=1, kind="stable")
        sorted_ = np.take_along_axis(probabilities, order, axis=1)
        before = np.cumsum(sorted_, axis=1) - sorted_
        np.put_along_axis(found, order, before.clip(0, 1), axis=1)
        return found
    # With an impossible class at either end.
    padded = np.pad(probabilities, ((0, 0), (1, 1)), constant_values=-1.0)
    each = np.arange(rows)
    low = high = probabilities.argmax(axis=1)
    mass = probabilities[each, low].copy()
    for _ in range(classes - 1):
        below, above = padded[each, low], padded[each, high + 2]
        down = below >= above
        low, high = low - down, high + ~down
        taken = np.where(down, low, high)
        found[each, taken] = mass
        mass += probabilities[each, taken]
    return found.clip(0, 1)


def threshold(label_masses: np.ndarray, coverage: float) -> float:
    """Return the threshold at which sets of new rows hold their labels, given those of n others.

    It is the mass of rank (n + 1) * coverage, rounded up; 1, which lets in every class, where there
    are too few rows for a promise.
    """
    rank = math.ceil(round((len(label_masses) + 1) * coverage, DIGITS))
    if rank > len(label_masses):
        return 1.0
    mass = float(np.partition(label_masses, rank - 1)[rank - 1])
    rounded_up: float = math.ceil(mass * 10**DIGITS) / 10**DIGITS
    return min(1.0, rounded_up)


def sets(probabilities: np.ndarray, ordered: bool, limit: float) -> np.ndarray:
    """Tell which classes are in the set of each row: (rows, classes) of bool."""
    return masses(probabilities, ordered) <= limit
