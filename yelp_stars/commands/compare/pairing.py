"""Two runs, row by row: the same rows of both, what differs, and which is better."""

import contextlib
import math
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from yelp_stars.commands.runs import revisions
from yelp_stars.commands.runs.revisions import Revision
from yelp_stars.comparing import paired
from yelp_stars.evaluation import patterns, slices
from yelp_stars.evaluation.slices import Slice
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import listed, quoted

SECONDS = 1.0  # for one pattern of evaluate.slices


def match(first: Revision, second: Revision) -> np.ndarray:
    """Return the index in the second of each row of the first, (rows,)."""
    a, b = first.predictions, second.predictions
    names = f"{quoted(first.name, 40)} and {quoted(second.name, 40)}"
    if a.names != b.names:
        problem = f"{names} have different classes: {listed(a.names, 3)}; {listed(b.names, 3)}"
        raise UserError(problem, advice="compare runs with the same labels")
    indices = {key: index for index, key in enumerate(zip(b.rows.tolist(), b.texts, strict=True))}
    keys = list(zip(a.rows.tolist(), a.texts, strict=True))
    if {*keys} != {*indices}:
        params = changed([first.lock.params, second.lock.params])
        differing = [key for key in params if key.startswith(("download.", "sample.test"))]
        why = f": {', '.join(differing[:5])} differ" if differing else ""
        raise UserError(
            f"{names} were tested on different rows ({len({*keys} & {*indices}):,} of "
            f"{len(keys):,} and {len(indices):,} are the same{why})",
            advice="compare runs with the same test rows",
        )
    matched = np.array([indices[key] for key in keys], np.int64)
    if (a.labels != b.labels[matched]).any():
        problem = f"{names} have different labels for the same texts"
        raise UserError(problem, advice="run both on the same data")
    return matched


def changed(runs: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return what differs between runs, by name: the value in each, None where it has none."""
    names = sorted({name for run in runs for name in run})
    values = {name: [run.get(name) for run in runs] for name in names}
    return {name: row for name, row in values.items() if any(value != row[0] for value in row)}


def describe(first: Revision, second: Revision, *, margin: float, texts: int) -> dict[str, Any]:
    """Describe a pair, as `--json` prints it; with some `texts` of each kind of flip."""
    matched = match(first, second)
    tested, other = first.predictions, second.predictions
    compared = paired.compare(
        tested.labels, tested.logits, other.logits[matched], ordered=tested.ordered
    )
    reviews = revisions.read_texts(first, pull=texts > 0)
    if reviews is None:
        others = revisions.read_texts(second, pull=texts > 0)
        reviews = others and [others[index] for index in matched]
    parts = slices.by_class(tested.labels, tested.names)
    if reviews is not None:
        parts += [*slices.by_length(reviews), *_by_pattern(first, reviews)]
    elif texts:
        problem = "neither DVC's cache nor its remote has the texts of the test rows of"
        advice = "run `dvc repro download` at that revision"
        raise UserError(f"{problem} {quoted(first.name)}", advice=advice)
    parts += slices.by_flag(revisions.read_flags(first))
    a, b = tested.predicted, other.predicted[matched]
    flips = compared.flips._asdict()
    described = {
        "first": first.name,
        "second": second.name,
        "verdict": paired.verdict(compared, first.name, second.name, margin),
        "n": compared.n,
        "labels": {
            name: int((tested.labels == label).sum()) for label, name in enumerate(tested.names)
        },
        "p": compared.p,
        "scores": {
            name: {key: None if math.isnan(x) else x for key, x in score._asdict().items()}
            for name, score in compared.scores.items()
        },
        "baselines": _baselines(first, second),
        "flips": {name: len(rows) for name, rows in flips.items()},
        "slices": paired.by_slice(tested.labels, a, b, parts),
        "params": changed([first.lock.params, second.lock.params]),
        "code": [*changed([first.lock.code, second.lock.code])],
    }
    if texts and reviews is not None:
        probability = other.probability[matched]
        described["texts"] = {
            name: [
                {
                    "row": int(tested.rows[row]),
                    "label": tested.names[tested.labels[row]],
                    "first": tested.names[a[row]],
                    "second": tested.names[b[row]],
                    "probability": float(probability[row]),
                    "text": reviews[row],
                }
                # Those of which the second model is surest.
                for row in rows[np.argsort(-probability[rows], kind="stable")][:texts]
            ]
            for name, rows in flips.items()
        }
    return described


def _by_pattern(run: Revision, texts: list[str]) -> list[Slice]:
    """Slice by the patterns of a run's evaluate.slices that params.yaml may have."""
    prefix, parts = "evaluate.slices.", []
    valid = TypeAdapter(patterns.Patterns)
    for key in [key for key in run.lock.params if key.startswith(prefix)][: patterns.MOST]:
        one = {key.removeprefix(prefix): run.lock.params[key]}
        with contextlib.suppress(ValueError, UserError):  # anybody's, and unchecked
            matched = patterns.matches(texts, valid.validate_python(one), SECONDS)
            parts += slices.by_pattern(matched)
    return parts


def _baselines(*runs: Revision) -> dict[str, float]:
    """Return the accuracy of each run's baseline on the same rows, if DVC's cache has it."""
    accuracies: dict[str, float] = {}
    if any(":" in run.name for run in runs):  # one of them is a baseline
        return accuracies
    for run in runs:
        with contextlib.suppress(UserError):
            baseline = revisions.read_revision(f"{run.name}:baseline", pull=False)
            match(run, baseline)
            accuracies[run.name] = float(baseline.predictions.right.mean())
    return accuracies
