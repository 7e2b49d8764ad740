"""`stars search`: seeded trials, few training rows first, the finalists over several seeds."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tabulate import tabulate

from yelp_stars.commands.compare import seeds
from yelp_stars.commands.runs import experiments
from yelp_stars.commands.runs.experiments import ROWS, Overrides, Snapshot
from yelp_stars.commands.search import halving
from yelp_stars.commands.search.repeats import Repeats, repeat
from yelp_stars.commands.search.space import check_trials, draw, read_space
from yelp_stars.pipeline.errors import UserError

OWN = 0  # the trial with the current parameters


class Settings(NamedTuple):
    """Size of a search."""

    trials: int
    finalists: int
    seeds: int
    """Runs of each finalist."""
    seed: int
    """Seed for drawing the trials."""


class Found(NamedTuple):
    """Results of a search."""

    rungs: dict[int, dict[int, float]]
    """Training rows -> trial -> validation accuracy."""
    finals: dict[int, Repeats]
    """By trial, best first."""
    failed: list[int]


def run(path: Path, settings: Settings, set_param: list[str]) -> None:
    """Run the trials that are missing, and print the winner."""
    snapshot, overrides = experiments.start(set_param)
    params = experiments.change(snapshot.params, overrides)
    space = read_space(path, params)
    both = sorted({*space} & {*overrides})
    if both:
        raise UserError(f"{', '.join(both)} is in {str(path)!r} and set by -S; choose one")
    drawn = draw(space, params, settings.trials, settings.seed)
    check_trials(params, drawn)
    rows = experiments.training_rows(snapshot, overrides)
    trials = [{**overrides, **trial} for trial in drawn]
    rungs = halving.plan(len(trials) - 1, settings.finalists, rows)
    found = search(snapshot, trials, rungs, settings)
    show(found, drawn, list(space), rows, settings)


def search(
    snapshot: Snapshot, trials: list[Overrides], rungs: list[halving.Rung], settings: Settings
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
                name = experiments.run(snapshot, "search", {**trials[trial], ROWS: rows})
                accuracies[trial] = experiments.read_score(name).accuracy
        left = halving.best({t: score for t, score in accuracies.items() if t != OWN}, keep)
    finals = {}
    for trial in [OWN, *(trial for trial in left if trial != OWN)]:
        with _noted(trial, found.failed):
            finals[trial] = repeat(snapshot, "search", trials[trial], settings.seeds)
    means = {trial: float(repeats.validation.mean()) for trial, repeats in finals.items()}
    for trial in halving.best(means, len(means)):
        found.finals[trial] = finals[trial]
    return found


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


def show(
    found: Found, drawn: list[Overrides], keys: list[str], rows: int, settings: Settings
) -> None:
    """Print all trials, those that came furthest first, and the winner."""
    order = list(found.finals)
    for rung in reversed(found.rungs.values()):
        order += [trial for trial in halving.best(rung, len(rung)) if trial not in order]
    order += [trial for trial in found.failed if trial not in order]
    titles = ["trial", *keys, *(f"{size:,} rows" for size in found.rungs)]
    titles.append(f"{rows:,} rows, {settings.seeds} seeds")
    table = []
    for trial in order:
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
        f"parameters:  {own.validation.mean():.3f}",
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
