"""Successive halving (Jamieson and Talwalkar 2016): few training rows first, more for the best."""

from typing import NamedTuple

FACTOR = 3  # times the rows, for a third of the trials
FEWEST = 50  # training rows, or all if there are fewer


class Rung(NamedTuple):
    """A round of a search, whose trials have the same number of training rows."""

    rows: int
    keep: int
    """Number of trials that reach the next rung, or the final."""


def plan(trials: int, finalists: int, rows: int) -> list[Rung]:
    """Plan the rungs before the finalists: each has fewer trials, with more rows."""
    keeps = []
    while trials > finalists:
        trials = max(finalists, -(-trials // FACTOR))
        keeps.append(trials)
    fewest = min(FEWEST, rows)
    sizes = [max(fewest, rows // FACTOR ** (len(keeps) - number)) for number in range(len(keeps))]
    return [Rung(size, keep) for size, keep in zip(sizes, keeps, strict=True)]


def best(accuracies: dict[int, float], keep: int) -> list[int]:
    """Return the trials of the highest accuracies, best first; of equal ones, the first drawn."""
    return sorted(accuracies, key=lambda trial: (-accuracies[trial], trial))[:keep]
