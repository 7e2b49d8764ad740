"""Three runs or more: which is the best, with the runs that differ only in their seeds as one."""

import itertools
import json
import re
from typing import Any, NamedTuple

import numpy as np

from yelp_stars.commands.compare import seeds
from yelp_stars.commands.compare.pairing import changed, match
from yelp_stars.commands.runs.revisions import Revision
from yelp_stars.comparing import paired
from yelp_stars.evaluation.intervals import LEVEL, holm
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import quoted

SEED = re.compile(r"(.*[._])?seed")


class Group(NamedTuple):
    """Runs that differ only in their seeds."""

    runs: list[Revision]
    right: np.ndarray
    """Correctness of each run, bool, (runs, rows); rows as in the first revision."""

    @property
    def name(self) -> str:
        """Name the first run, and how many more there are."""
        more = len(self.runs) - 1
        return self.runs[0].name + (f" and {more} more" if more else "")


def group(runs: list[Revision]) -> list[Group]:
    """Group runs by what made them, but for their seeds; all are on the same test rows."""
    groups: dict[str, list[Revision]] = {}
    for run in runs:
        params = {k: v for k, v in run.lock.params.items() if not SEED.fullmatch(k)}
        made_by = [params, run.lock.code, run.name.partition(":")[2]]
        key = json.dumps(made_by, sort_keys=True, default=str)
        groups.setdefault(key, []).append(run)
    return [
        Group(same, np.stack([run.predictions.right[match(runs[0], run)] for run in same]))
        for same in groups.values()
    ]


def rank(runs: list[Revision]) -> dict[str, Any]:
    """Rank three or more runs by accuracy, as `--json` prints it; runs that differ in seeds as one.

    Each is compared with the best; the p-values are adjusted for the number of all pairs.
    """
    for run, other in itertools.combinations(runs, 2):
        # Two runs with other seeds may predict the same; one run may be in two commits.
        a, b = ([*one.lock[1:], one.name.partition(":")[2]] for one in (run, other))
        if a == b and np.array_equal(run.predictions.logits, other.predictions.logits):
            problem = f"{quoted(run.name)} and {quoted(other.name)} are the same run"
            raise UserError(problem, advice="name one of them")
    groups = sorted(group(runs), key=lambda one: -float(one.right.mean()))
    gaps = [_gap(one.right, other.right) for one, other in itertools.combinations(groups, 2)]
    adjusted = holm([gap.p for gap in gaps])
    # The first pairs are those of the best, in the order of the others.
    to_best = [gap._replace(p=p)._asdict() for gap, p in zip(gaps, adjusted, strict=True)]
    ranking = [
        {
            "name": one.name,
            "runs": [run.name for run in one.runs],
            "accuracy": float(one.right.mean()),
            "standard_deviation": seeds.spread(one.right),
            **gap,
        }
        for one, gap in zip(groups, [dict.fromkeys(seeds.Gap._fields), *to_best], strict=False)
    ]
    n = len(runs[0].predictions.labels)
    firsts = [one.runs[0].lock for one in groups]
    params = changed([lock.params for lock in firsts])
    if len(groups) < len(runs):
        params = {key: values for key, values in params.items() if not SEED.fullmatch(key)}
    return {
        "verdict": _verdict(ranking, groups[0].right, n),
        "n": n,
        "ranking": ranking,
        "params": params,
        "code": [*changed([lock.code for lock in firsts])],
    }


def _gap(first: np.ndarray, second: np.ndarray) -> seeds.Gap:
    """Compare two groups of runs: as groups if one of them has several, else row by row."""
    if len(first) > 1 or len(second) > 1:
        return seeds.compare(first, second)
    return seeds.of_one(first[0], second[0])


def _verdict(ranking: list[dict[str, Any]], best: np.ndarray, n: int) -> str:
    """Word a ranking in one sentence; its first has the rows `best` right, (runs, rows)."""
    first, *others = ranking
    if not others:
        return (
            f"{len(best)} runs that differ only in their seeds have an accuracy of "
            f"{first['accuracy']:.3f} on average (standard deviation "
            f"{first['standard_deviation']:.3f}) on {n:,} rows: two of them differ by up to "
            f"{seeds.chance(best) * 100:.1f} points by chance, 95 times out of 100"
        )
    close = [row["name"] for row in others if row["p"] >= LEVEL]
    if close:
        return (
            f"{first['name']} has the highest accuracy of {len(ranking)}, but {n:,} rows do not "
            f"show that it is better than {', '.join(close)}"
        )
    second = others[0]
    by, low, high = (-second[key] for key in ("difference", "high", "low"))
    return (
        f"{first['name']} is the best of {len(ranking)}: better than the next, {second['name']}, "
        f"by {by * 100:.1f} points (95 % interval {paired.in_points(low, high)}, "
        f"p = {second['p']:.2g}) on {n:,} rows"
    )
