"""`stars search`: seeded trials, few training rows first, the finalists over several seeds."""

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tabulate import tabulate

from yelp_stars.commands.compare import seeds
from yelp_stars.commands.runs import experiments
from yelp_stars.commands.runs.experiments import ROWS, Overrides, Snapshot
from yelp_stars.commands.search.repeats import Repeats, repeat
from yelp_stars.commands.search.space import check_trials, draw, read_space
from yelp_stars.pipeline.errors import UserError

OWN = 0  # the trial with the current parameters
# Successive halving (Jamieson and Talwalkar 2016): few training rows first, more for the best.
FACTOR = 3  # times the rows, for a third of the trials
FEWEST = 50  # training rows, or all if there are fewer


class Found(NamedTuple):
    """Results of a search."""

    rungs: dict[int, dict[int, float]]
    """Training rows -> trial -> validation accuracy."""
    finals: dict[int, Repeats]
    """By trial, best first."""
    failed: list[int]


def run(
    path: Path, trials: int, finalists: int, number: int, seed: int, settings: list[str]
) -> None:
    """Run the trials that are missing, each finalist with a number of seeds; print the winner."""
    snapshot = experiments.take_snapshot(settings)
    space = read_space(path, snapshot.params)
    if both := sorted({*space} & {*snapshot.overrides}):
        raise UserError(f"{', '.join(both)} is in {str(path)!r} and set by -S; choose one")
    drawn = draw(space, snapshot.params, trials, seed)
    check_trials(snapshot.params, drawn)
    rows = experiments.training_rows(snapshot)
    found = search(snapshot, drawn, plan(len(drawn) - 1, finalists, rows), number)
    show(found, drawn, list(space), f"{rows:,} rows, {number} seeds")


def plan(trials: int, finalists: int, rows: int) -> list[tuple[int, int]]:
    """Plan the rounds before the final: training rows, and how many trials reach the next one."""
    keeps = []
    while trials > finalists:
        trials = max(finalists, -(-trials // FACTOR))
        keeps.append(trials)
    fewest = min(FEWEST, rows)
    sizes = [max(fewest, rows // FACTOR ** (len(keeps) - number)) for number in range(len(keeps))]
    return [*zip(sizes, keeps, strict=True)]


def best(accuracies: dict[int, float], keep: int) -> list[int]:
    """Return the trials of the highest accuracies, best first; of equal ones, the first drawn."""
    return sorted(accuracies, key=lambda trial: (-accuracies[trial], trial))[:keep]


def search(
    snapshot: Snapshot, trials: list[Overrides], rungs: list[tuple[int, int]], number: int
) -> Found:
    """Run the rungs, then the finalists and the current parameters with several seeds.

    Only validation accuracies decide. A trial that fails is out; if the current parameters
    fail, the search ends, as other trials would fail too.
    """
    found = Found({}, {}, [])
    left = list(range(len(trials)))
    for rows, keep in rungs:
        accuracies = found.rungs.setdefault(rows, {})
        for trial in left:
            with _noted(trial, found.failed):
                name = experiments.run(snapshot, "search", trials[trial] | {ROWS: rows})
                accuracies[trial], _ = experiments.read_score(name)
        left = best({t: score for t, score in accuracies.items() if t != OWN}, keep)
    finals = {}
    for trial in [OWN, *(trial for trial in left if trial != OWN)]:
        with _noted(trial, found.failed):
            finals[trial] = repeat(snapshot, "search", trials[trial], number)
    means = {trial: float(repeats.validation.mean()) for trial, repeats in finals.items()}
    return found._replace(finals={trial: finals[trial] for trial in best(means, len(means))})


@contextlib.contextmanager
def _noted(trial: int, failed: list[int]) -> Iterator[None]:
    """Note a trial that fails, and go on."""
    try:
        yield
    except experiments.Failed as error:
        if trial == OWN:
            raise
        print(f"trial {trial}: {error}")
        failed.append(trial)


def show(found: Found, drawn: list[Overrides], keys: list[str], final: str) -> None:
    """Print all trials, those that came furthest first, and the winner."""
    rungs = [best(rung, len(rung)) for rung in reversed(found.rungs.values())]
    order = itertools.chain(found.finals, *rungs, found.failed)
    titles = ["trial", *keys, *(f"{size:,} rows" for size in found.rungs), final]
    table = []
    for trial in dict.fromkeys(order):
        values = [str(drawn[trial][key]) for key in keys] if trial else ["current"] * len(keys)
        scores = [_score(rung.get(trial), trial in found.failed) for rung in found.rungs.values()]
        repeats = found.finals.get(trial)
        last = _score(None if repeats is None else float(repeats.validation.mean()), False)
        table.append([str(trial), *values, *scores, last])
    print(f"\n{tabulate(table, titles, 'plain', disable_numparse=True)}")
    print(f"\n{verdict(found, drawn)}")


def verdict(found: Found, drawn: list[Overrides]) -> str:
    """Word the winner with its interval, the warning that it was chosen, and what to run next."""
    winner, repeats = next(iter(found.finals.items()))
    low, high = seeds.mean_interval(repeats.validation, repeats.rows)
    shown = ", ".join(f"{key}={value}" for key, value in drawn[winner].items())
    own = found.finals[OWN]
    lines = [
        f"Winner: {shown or 'the current parameters'}",
        f"Validation accuracy {repeats.validation.mean():.3f} (95 % interval {low:.3f} to "
        f"{high:.3f}), mean of {len(repeats.names)} seeds on {repeats.rows:,} rows; the current "
        f"parameters: {own.validation.mean():.3f}",
        f"It was chosen on these rows, as the best of {len(drawn) - 1} trials: expect less "
        f"on others.",
    ]
    if winner != OWN:
        names = " ".join([*own.names, *repeats.names])
        lines += [
            "Is it better on the test rows, which were not used to choose?",
            f"  stars compare {names}",
            "Apply it:",
            f"  dvc exp apply {repeats.names[0]}",
        ]
    return "\n".join(lines)


def _score(accuracy: float | None, failed: bool) -> str:
    return f"{accuracy:.3f}" if accuracy is not None else ("failed" if failed else "")
