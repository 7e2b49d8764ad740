"""Two runs, row by row: the same rows of both, what differs, and which is better."""

import math
from typing import Any

import numpy as np

from yelp_stars.commands.runs import revisions
from yelp_stars.commands.runs.revisions import Revision
from yelp_stars.comparing import paired
from yelp_stars.evaluation import patterns, slices
from yelp_stars.evaluation.predictions import Predictions
from yelp_stars.evaluation.slices import Slice
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import listed, quoted

SECONDS = 10.0  # for one pattern of evaluate.slices


def match(first: Revision, second: Revision) -> np.ndarray:
    """The places of the first's rows in the second.

    Raises:
        UserError: if they are not predictions of the same rows with the same classes.
    """
    a, b = first.predictions, second.predictions
    names = f"{quoted(first.name, 40)} and {quoted(second.name, 40)}"
    if not a.texts:
        raise UserError(f"{quoted(first.name, 40)} has no test rows; compare runs with test rows")
    if a.names != b.names:
        raise UserError(
            f"{names} have other classes: {listed(a.names, 3)}; {listed(b.names, 3)}; compare runs "
            f"with the same labels"
        )
    places = {key: place for place, key in enumerate(zip(b.rows.tolist(), b.texts, strict=True))}
    keys = list(zip(a.rows.tolist(), a.texts, strict=True))
    shared = sum(key in places for key in keys)
    if shared != len(keys) or len(keys) != len(places):
        changed = changed_params([first, second])
        differing = [key for key in changed if key.startswith(("download.", "sample.test"))]
        why = f": {', '.join(differing[:5])} differ" if differing else ""
        raise UserError(
            f"{names} were tested on other rows ({shared:,} of {len(keys):,} and "
            f"{len(places):,} are the same{why}); compare runs with the same test rows"
        )
    matched = np.array([places[key] for key in keys], np.int64)
    if (a.labels != b.labels[matched]).any():
        raise UserError(f"{names} have other labels for the same texts; run both on the same data")
    return matched


def changed_params(runs: list[Revision]) -> dict[str, list[Any]]:
    """The parameters that differ: their value in each run, None where it has none."""
    keys = sorted({key for run in runs for key in run.lock.params})
    values = {key: [run.lock.params.get(key) for run in runs] for key in keys}
    return {key: row for key, row in values.items() if any(value != row[0] for value in row)}


def changed_code(runs: list[Revision]) -> list[str]:
    """The modules and folders of code that differ."""
    paths = sorted({path for run in runs for path in run.lock.code})
    return [path for path in paths if len({run.lock.code.get(path) for run in runs}) > 1]


def describe(
    first: Revision, second: Revision, *, margin: float = 0.01, texts: int = 0
) -> dict[str, Any]:
    """Everything about a pair, as `--json` prints it; with some `texts` of each kind of flip.

    Raises:
        UserError: if the pair cannot be compared, or there are no texts.
    """
    matched = match(first, second)
    one, two = first.predictions, second.predictions
    of_first, of_second = one.log_probabilities, two.log_probabilities[matched]
    found = paired.compare(one.labels, of_first, of_second, ordered=one.ordered)
    read = _texts(first, second, matched, pull=texts > 0)
    parts = slices.by_class(one.labels, one.names)
    if read is not None:
        parts += [
            *slices.by_length(np.array([len(text) for text in read]), "characters"),
            *_by_pattern(first, read),
        ]
    parts += slices.by_flag(revisions.read_flags(first))
    predicted = of_first.argmax(axis=1), of_second.argmax(axis=1)
    described = {
        "first": first.name,
        "second": second.name,
        "verdict": paired.verdict(found, first.name, second.name, margin),
        "n": found.n,
        "p": found.p,
        "scores": {
            name: {key: None if math.isnan(x) else x for key, x in score._asdict().items()}
            for name, score in found.scores.items()
        },
        "baselines": _baselines(first, second),
        "flips": {name: len(part) for name, part in found.flips._asdict().items()},
        "slices": paired.by_slice(one.labels, *predicted, parts),
        "params": changed_params([first, second]),
        "code": changed_code([first, second]),
    }
    if texts:
        if read is None:
            raise UserError(
                f"neither DVC's cache nor its remote has the texts of the test rows of "
                f"{quoted(first.name)}; run `dvc repro download` at that revision"
            )
        flips = found.flips._asdict()
        described["texts"] = {
            name: _flipped(flips[name], one, of_first, of_second, read, texts) for name in flips
        }
    return described


def _texts(
    first: Revision, second: Revision, matched: np.ndarray, *, pull: bool
) -> list[str] | None:
    """The texts of the first's rows, by what DVC's cache or remote has of either revision."""
    read = revisions.read_texts(first, pull=pull)
    if read is None:
        other = revisions.read_texts(second, pull=pull)
        read = [other[place] for place in matched] if other is not None else None
    return read


def _flipped(
    flipped: np.ndarray,
    found: Predictions,
    first: np.ndarray,
    second: np.ndarray,
    texts: list[str],
    most: int,
) -> list[dict[str, Any]]:
    """The rows among `flipped` of which the second model is surest."""
    order = flipped[np.argsort(-second[flipped].max(axis=1), kind="stable")]
    return [
        {
            "row": int(found.rows[place]),
            "label": found.names[found.labels[place]],
            "first": found.names[first[place].argmax()],
            "second": found.names[second[place].argmax()],
            "probability": float(np.exp(second[place].max())),
            "text": texts[place],
        }
        for place in order[:most]
    ]


def _by_pattern(run: Revision, texts: list[str]) -> list[Slice]:
    """The slices that a run's evaluate.slices declares."""
    prefix = "evaluate.slices."
    declared = {
        k.removeprefix(prefix): v for k, v in run.lock.params.items() if k.startswith(prefix)
    }
    found = []
    for name, pattern in declared.items():
        try:
            patterns.check_pattern(pattern)
            matched = patterns.matches(texts, {name: pattern}, SECONDS)
        except (ValueError, TypeError, UserError):  # anybody's, and unchecked
            continue
        found += slices.by_pattern({name: pattern}, matched)
    return found


def _baselines(*runs: Revision) -> dict[str, float]:
    """The accuracy of each run's baseline on the same rows, if DVC's cache has it."""
    found: dict[str, float] = {}
    if any(run.name.endswith(":baseline") for run in runs):
        return found
    for run in runs:
        try:
            baseline = revisions.read_revision(f"{run.name}:baseline", pull=False)
            match(run, baseline)
        except UserError:
            continue
        right = baseline.predictions.logits.argmax(axis=1) == baseline.predictions.labels
        found[run.name] = float(right.mean())
    return found
