"""`stars seeds`: the same parameters with several seeds. How much does chance alone change?"""

from typing import Any, NamedTuple

import numpy as np
from tabulate import tabulate

from yelp_stars.commands.compare import seeds
from yelp_stars.commands.runs import experiments
from yelp_stars.commands.runs.experiments import SEED, Overrides, Snapshot
from yelp_stars.commands.runs.revisions import read_revision

SEEDS = 2**32
TITLES = ["", "mean", "sd", "lowest", "highest", "rows"]


class Repeats(NamedTuple):
    """Runs that differ only in their seeds."""

    names: list[str]
    validation: np.ndarray
    """Validation accuracy of each run."""
    rows: int
    """Number of validation rows."""


def run(number: int, settings: list[str]) -> None:
    """Run the seeds that are missing, and print what they change."""
    repeats = repeat(experiments.take_snapshot(settings), "seeds", {}, number)
    right = read_right(repeats.names)
    rows = [
        _row("validation", repeats.validation, repeats.rows),
        _row("test", right.mean(axis=1), right.shape[1]),
    ]
    print(f"\n{number} runs that differ only in {SEED}: {', '.join(repeats.names)}\n")
    print(tabulate(rows, TITLES, "plain", disable_numparse=True))
    print(f"\n{advice(right)}")


def repeat(snapshot: Snapshot, prefix: str, overrides: Overrides, number: int) -> Repeats:
    """Run the same parameters with `number` seeds, counting from their own."""
    first = snapshot.params["train"]["seed"]
    names = []
    for offset in range(number):
        seed = (first + offset) % SEEDS
        names.append(experiments.run(snapshot, prefix, {**overrides, SEED: seed}))
    accuracies, rows = zip(*map(experiments.read_score, names))
    return Repeats(names, np.array(accuracies), rows[0])


def read_right(names: list[str]) -> np.ndarray:
    """Return which test rows each experiment predicts correctly, (experiments, rows)."""
    return np.stack([read_revision(name).predictions.right for name in names])


def advice(right: np.ndarray) -> str:
    """Word what runs that differ only in their seeds say about a comparison."""
    runs, rows = right.shape
    return (
        f"By chance, two such runs differ by up to {seeds.chance(right) * 100:.1f} points on "
        f"the test rows, 95 times out of 100.\nThe smallest difference that {runs} seeds of each "
        f"side and {rows:,} rows show, four times out of five: "
        f"{seeds.smallest(right) * 100:.1f} points."
    )


def _row(name: str, accuracies: np.ndarray, rows: int) -> list[Any]:
    shown = [accuracies.mean(), accuracies.std(ddof=1), accuracies.min(), accuracies.max()]
    return [name, *(f"{number:.3f}" for number in shown), f"{rows:,}"]
