"""Three runs or more: which is the best, with the runs that differ only in their seeds as one."""

import itertools
import json
import re
from typing import Any, NamedTuple

import numpy as np

from yelp_stars.commands.compare import seeds
from yelp_stars.commands.compare.pairing import changed_code, changed_params, match
from yelp_stars.commands.runs.revisions import Revision
from yelp_stars.comparing import paired
from yelp_stars.evaluation import intervals
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import quoted

SEED = re.compile(r"(.*[._])?seed")


class Group(NamedTuple):
    """Runs that differ only in their seeds."""

    runs: list[Revision]
    right: np.ndarray
    """Which rows each run predicts rightly, (runs, rows): the rows of the first revision."""

    @property
    def name(self) -> str:
        """The name of its first run, and how many more it has."""
        more = len(self.runs) - 1
        return self.runs[0].name + (f" and {more} more" if more else "")


def group(runs: list[Revision]) -> list[Group]:
    """Runs by what made them, but for their seeds; all on the same test rows.

    Raises:
        UserError: if they are not predictions of the same rows.
    """
    found: dict[str, list[tuple[Revision, np.ndarray]]] = {}
    for run in runs:
        places = match(runs[0], run)
        right = run.predictions.logits.argmax(axis=1) == run.predictions.labels
        params = {k: v for k, v in run.lock.params.items() if not SEED.fullmatch(k)}
        made_by = [params, run.lock.code, run.name.partition(":")[2]]
        key = json.dumps(made_by, sort_keys=True, default=str)
        found.setdefault(key, []).append((run, right[places]))
    return [
        Group([run for run, _ in members], np.stack([right for _, right in members]))
        for members in found.values()
    ]


def _are_same(one: Revision, other: Revision) -> bool:
    """Two commits have one run; two runs may predict the same, with other seeds."""
    suffixes = {revision.name.partition(":")[2] for revision in (one, other)}
    return (
        len(suffixes) == 1
        and (one.lock.params, one.lock.code) == (other.lock.params, other.lock.code)
        and np.array_equal(one.predictions.logits, other.predictions.logits)
    )


def rank(runs: list[Revision]) -> dict[str, Any]:
    """Rank three or more runs by accuracy, as `--json` prints it; runs that differ in seeds as one.

    Each is compared with the best; the p-values are adjusted for the number of all pairs.

    Raises:
        UserError: if they are not predictions of the same rows, or one is there twice.
    """
    for run, other in itertools.combinations(runs, 2):
        if _are_same(run, other):
            raise UserError(
                f"{quoted(run.name)} and {quoted(other.name)} are the same run; name one of them"
            )
    groups = sorted(group(runs), key=lambda one: -float(one.right.mean()))
    pairs = list(itertools.combinations(range(len(groups)), 2))
    gaps = [_gap(groups[one].right, groups[two].right) for one, two in pairs]
    adjusted = intervals.holm([gap.p for gap in gaps])
    best = [place for place, (one, _) in enumerate(pairs) if one == 0]
    ranking: list[dict[str, Any]] = []
    for place, one in enumerate(groups):
        gap = gaps[best[place - 1]] if place else None
        ranking.append(
            {
                "name": one.name,
                "runs": [run.name for run in one.runs],
                "accuracy": float(one.right.mean()),
                "standard_deviation": seeds.spread(one.right),
                "difference": gap.difference if gap else None,
                "low": gap.low if gap else None,
                "high": gap.high if gap else None,
                "p": adjusted[best[place - 1]] if gap else None,
            }
        )
    n = len(runs[0].predictions.labels)
    firsts = [one.runs[0] for one in groups]
    changed = changed_params(firsts)
    of_seeds = [key for key in changed if SEED.fullmatch(key) and len(groups) < len(runs)]
    return {
        "verdict": _verdict(ranking, groups[0].right, n),
        "n": n,
        "ranking": ranking,
        "params": {key: row for key, row in changed.items() if key not in of_seeds},
        "code": changed_code(firsts),
    }


def _gap(first: np.ndarray, second: np.ndarray) -> seeds.Gap:
    """Compare two groups of runs: as groups if one of them has several, else row by row."""
    if len(first) > 1 or len(second) > 1:
        return seeds.compare(first, second)
    right = np.ones(first.shape[1], bool)
    compared = paired.compare_accuracy(right, first[0], second[0])
    return seeds.Gap(*compared.scores["accuracy"][2:], compared.p)


def _verdict(ranking: list[dict[str, Any]], best: np.ndarray, n: int) -> str:
    """One sentence about a ranking, whose first has the rows `best` right."""
    first, *others = ranking
    if not others:
        return (
            f"{len(best)} runs that differ only in their seeds have an accuracy of "
            f"{first['accuracy']:.3f} on average (standard deviation "
            f"{first['standard_deviation']:.3f}) on {n:,} rows: two of them differ by up to "
            f"{seeds.chance(best) * 100:.1f} points by chance, 95 times out of 100"
        )
    close = [row["name"] for row in others if row["p"] >= intervals.LEVEL]
    if close:
        return (
            f"{first['name']} has the highest accuracy of {len(ranking)}, but {n:,} rows do not "
            f"show that it is better than {', '.join(close)}"
        )
    second = others[0]
    by, low, high = (-second[key] * 100 for key in ("difference", "high", "low"))
    return (
        f"{first['name']} is the best of {len(ranking)}: better than the next, {second['name']}, "
        f"by {by:.1f} points (95 % interval {low:.1f} to {high:.1f}, p = {second['p']:.2g}) "
        f"on {n:,} rows"
    )
