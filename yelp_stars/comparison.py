"""Compare the predictions of revisions and experiments, without a checkout, and print the result.

Each revision's predictions come from DVC's cache, or from its remote, by the hash in its dvc.lock.
"""

import itertools
import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc_data.hashfile.hash_info import HashInfo
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from yelp_stars.analysis import compare as statistics
from yelp_stars.analysis import predictions
from yelp_stars.analysis.compare import Comparison
from yelp_stars.analysis.predictions import Predictions
from yelp_stars.pipeline.errors import UserError, listed, quoted
from yelp_stars.pipeline.yaml_file import read_yaml

PREDICTIONS = "data/predictions/{}.parquet"
TITLES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "mae": "mean error in stars",
    "quadratic_kappa": "quadratic kappa",
    "loss": "log loss",
}
# The difference of a score, second minus first: "accuracy < -0.01".
CONDITION = re.compile(rf"\s*({'|'.join(TITLES)})\s*(<|>)\s*([-+]?\d{{1,6}}(?:\.\d{{1,6}})?)\s*")


class Revision(NamedTuple):
    """One side of a comparison."""

    name: str
    """As the user gave it: a revision, an experiment, `workspace`; with :baseline its baseline."""
    commit: str | None
    """None for the workspace."""
    predictions: Predictions
    params: dict[str, Any]
    """Flat: "train.learning_rate": 0.0001."""


def read_revision(name: str) -> Revision:
    """Read the predictions and the parameters of a revision.

    Raises:
        UserError: if the revision does not exist, or has no predictions.
    """
    revision, _, which = name.partition(":")
    if which not in ("", "baseline"):
        raise UserError(f"{quoted(name)} is not a revision, nor one with :baseline after it")
    path = Path(PREDICTIONS.format(which or "test"))
    if revision == "workspace":
        return Revision(name, None, predictions.read(path), _flat(read_yaml(Path("params.yaml"))))
    commit = resolve(revision)
    content = _git("show", f"{commit}:./params.yaml")
    if content is None:
        raise UserError(f"{quoted(revision)} has no params.yaml; compare later revisions")
    with tempfile.TemporaryDirectory() as folder:
        params = Path(folder, "params.yaml")
        params.write_text(content, encoding="utf-8")
        flat = _flat(read_yaml(params))
        lock = Path(folder, "dvc.lock")
        lock.write_text(_git("show", f"{commit}:./dvc.lock") or "{}", encoding="utf-8")
        cached = _cached(_hash(read_yaml(lock), path))
    if cached is None:
        raise UserError(
            f"{quoted(name)} has no {path} in DVC's cache or remote; run `git checkout "
            f"{commit[:12]}`, then `dvc pull` or `dvc repro`"
        )
    return Revision(name, commit, predictions.read(cached), flat)


def _hash(lock: Any, path: Path) -> str | None:
    """The hash of an out in the content of a dvc.lock."""
    stages = lock.get("stages", {}) if isinstance(lock, dict) else {}
    outs = [out for stage in stages.values() for out in stage.get("outs", [])]
    return next((out.get("md5") for out in outs if out.get("path") == str(path)), None)


def _cached(md5: str | None) -> Path | None:
    """The file in DVC's cache that has a hash; from the remote, if the cache lacks it."""
    if not isinstance(md5, str) or not re.fullmatch(r"[0-9a-f]{32}", md5):
        return None
    try:
        with Repo() as repo:
            cached = Path(repo.cache.local.oid_to_path(md5))
            if not cached.is_file():
                repo.cloud.pull([HashInfo("md5", md5)])
    except (DvcException, OSError):  # no remote, or one that does not answer
        return None
    return cached if cached.is_file() else None


def resolve(revision: str) -> str:
    """The commit of a revision or of an experiment's name.

    Raises:
        UserError: if there is none.
    """
    if not revision.startswith("-"):
        commit = _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        if commit:
            return commit.strip()
        refs = _git("for-each-ref", "--format=%(refname) %(objectname)", "refs/exps/") or ""
        found = [line.split() for line in refs.splitlines()]
        commits = [sha for name, sha in found if name.rpartition("/")[2] == revision]
        if commits:
            return commits[-1]
    shallow = (_git("rev-parse", "--is-shallow-repository") or "").strip() == "true"
    hint = "this clone is shallow: run `git fetch --unshallow`" if shallow else "run `dvc exp list`"
    raise UserError(f"no revision or experiment {quoted(revision)}; {hint}")


def _git(*arguments: str) -> str | None:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix: tree}
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def pair(first: Revision, second: Revision) -> tuple[np.ndarray, np.ndarray]:
    """The places of the same rows in both, in the order of the first.

    Raises:
        UserError: if they are not predictions of the same rows with the same classes.
    """
    a, b = first.predictions, second.predictions
    names = f"{quoted(first.name, 40)} and {quoted(second.name, 40)}"
    if a.names != b.names:
        raise UserError(f"{names} have other classes: {listed(a.names)}; {listed(b.names)}")
    places = {key: place for place, key in enumerate(zip(b.rows.tolist(), b.texts, strict=True))}
    keys = list(zip(a.rows.tolist(), a.texts, strict=True))
    shared = [key for key in keys if key in places]
    if len(shared) != len(keys) or len(keys) != len(places):
        differing = [
            key
            for key in sorted({*first.params, *second.params})
            if key.startswith(("download.", "sample.test"))
            and first.params.get(key) != second.params.get(key)
        ]
        why = f": {', '.join(differing[:5])} differ" if differing else ""
        raise UserError(
            f"{names} were tested on other rows ({len(shared):,} of {len(keys):,} and "
            f"{len(places):,} are the same{why}); compare runs with the same test rows"
        )
    matched = np.array([places[key] for key in keys], np.int64)
    if (a.labels != b.labels[matched]).any():
        raise UserError(f"{names} have other labels for the same texts; run both on the same data")
    return np.arange(len(keys)), matched


def compare_pair(first: Revision, second: Revision) -> Comparison:
    """Compare two revisions row by row."""
    left, right = pair(first, second)
    a, b = first.predictions, second.predictions
    return statistics.compare(
        a.labels, a.log_probabilities[left], b.log_probabilities[right], ordered=a.ordered
    )


def changed_params(first: Revision, second: Revision) -> dict[str, tuple[Any, Any]]:
    """The parameters that differ: their values in both, None where there is none."""
    keys = sorted({*first.params, *second.params})
    values = {key: (first.params.get(key), second.params.get(key)) for key in keys}
    return {key: pair for key, pair in values.items() if pair[0] != pair[1]}


def describe(first: Revision, second: Revision, margin: float) -> dict[str, Any]:
    """Everything about a pair, as `--json` prints it."""
    found = compare_pair(first, second)
    flips = found.flips
    return {
        "first": first.name,
        "second": second.name,
        "verdict": statistics.verdict(found, first.name, second.name, margin),
        "n": found.n,
        "p": found.p,
        "scores": {name: difference._asdict() for name, difference in found.scores.items()},
        "flips": {name: len(part) for name, part in flips._asdict().items()},
        "by_class": statistics.by_class(first.predictions.labels, flips, first.predictions.names),
        "params": changed_params(first, second),
    }


def rank(revisions: list[Revision]) -> list[dict[str, Any]]:
    """Each revision's accuracy, best first, and its p-value against the best, Holm-adjusted."""
    accuracies = [
        float((found.logits.argmax(axis=1) == found.labels).mean())
        for found in (revision.predictions for revision in revisions)
    ]
    order = sorted(range(len(revisions)), key=lambda index: -accuracies[index])
    pairs = list(itertools.combinations(range(len(revisions)), 2))
    p_values = [compare_pair(revisions[one], revisions[two]).p for one, two in pairs]
    adjusted = dict(zip(pairs, statistics.holm(p_values), strict=True))
    best = order[0]
    return [
        {
            "name": revisions[index].name,
            "accuracy": accuracies[index],
            "p": None if index == best else adjusted[min(best, index), max(best, index)],
        }
        for index in order
    ]


def parse_condition(condition: str) -> tuple[str, str, float]:
    """Score, sign and number of `--fail-if`.

    Raises:
        UserError: if it is anything else.
    """
    match = CONDITION.fullmatch(condition)
    if match is None:
        raise UserError(
            f"{quoted(condition)} is not a condition; write one of {', '.join(TITLES)}, < or >, "
            f"and a number, such as 'accuracy < -0.01'"
        )
    return match[1], match[2], float(match[3])


def is_met(condition: tuple[str, str, float], described: dict[str, Any]) -> bool:
    """Whether the difference of a score, second minus first, is below or above a number."""
    name, sign, number = condition
    difference = described["scores"].get(name, {}).get("difference")
    if difference is None:
        raise UserError(f"there is no {name} of these predictions; choose another score")
    return bool(difference < number if sign == "<" else difference > number)


def print_pair(described: dict[str, Any]) -> None:
    """Print the verdict and the tables of a pair to the terminal."""
    console = Console()
    console.print(escape(described["verdict"]), soft_wrap=True)
    console.print()
    table = Table(box=None, pad_edge=False)
    for title in ("", described["first"], described["second"], "difference", "95 % interval"):
        table.add_column(escape(title), justify="left" if not title else "right")
    for line in score_lines(described):
        table.add_row(*map(escape, line))
    console.print(table)
    flips = described["flips"]
    console.print(
        f"\n{flips['harmful']:,} rows became wrong, {flips['beneficial']:,} became right, "
        f"{flips['both_wrong']:,} are wrong in another way"
    )
    classes = Table("class", "rows", "became wrong", "became right", "p (Holm)", box=None)
    classes.pad_edge = False
    for row in described["by_class"]:
        values = (row["n"], row["harmful"], row["beneficial"])
        counts = [f"{value:,}" for value in values]
        classes.add_row(escape(row["label"]), *counts, f"{row['p']:.2g}")
    console.print(classes)
    console.print()
    if not described["params"]:
        console.print("No parameter differs.")
    for key, (one, two) in described["params"].items():
        console.print(escape(f"{key}: {_value(one)} -> {_value(two)}"), highlight=False)


def score_lines(described: dict[str, Any]) -> list[list[str]]:
    """A line of words for each score."""
    lines = []
    for name, found in described["scores"].items():
        numbers = [found["first"], found["second"], found["difference"]]
        plain = ["undefined" if number is None else f"{number:.3f}" for number in numbers[:2]]
        if found["difference"] is None:
            lines.append([TITLES[name], *plain, "", ""])
        else:
            interval = f"{found['low']:+.3f} to {found['high']:+.3f}"
            lines.append([TITLES[name], *plain, f"{found['difference']:+.3f}", interval])
    return lines


def markdown(described: dict[str, Any]) -> str:
    """The verdict and the scores for a pull request."""
    first, second = (_cell(described[side]) for side in ("first", "second"))
    header = f"| | {first} | {second} | difference | 95 % interval |"
    lines = [_cell(described["verdict"]), "", header, "|---|---|---|---|---|"]
    lines += [f"| {' | '.join(line)} |" for line in score_lines(described)]
    if described["params"]:
        lines += ["", f"| parameter | {first} | {second} |", "|---|---|---|"]
        lines += [
            f"| {_cell(key)} | {_cell(_value(one))} | {_cell(_value(two))} |"
            for key, (one, two) in described["params"].items()
        ]
    return "\n".join(lines)


def print_ranking(ranking: list[dict[str, Any]]) -> None:
    """Print the revisions, best first."""
    table = Table("", "accuracy", "p against the best (Holm)", box=None, pad_edge=False)
    for row in ranking:
        p = "" if row["p"] is None else f"{row['p']:.2g}"
        table.add_row(escape(row["name"]), f"{row['accuracy']:.3f}", p)
    Console().print(table)


def _value(value: Any) -> str:
    return "none" if value is None else quoted(value) if isinstance(value, str) else str(value)


def _cell(text: str) -> str:
    """Text that means nothing to Markdown or HTML."""
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", text.replace("\n", " "))


def run(
    names: list[str], *, margin: float, as_json: bool, as_markdown: bool, fail_if: str | None
) -> bool:
    """Compare, print, and return whether `fail_if` holds for the first and the second.

    Raises:
        UserError: if the revisions cannot be compared.
    """
    condition = parse_condition(fail_if) if fail_if is not None else None
    doubled = [name for name in names if names.count(name) > 1]
    if doubled:
        raise UserError(f"{quoted(doubled[0])} is there twice; name two revisions")
    revisions = [read_revision(name) for name in names]
    commits = [(r.commit, r.name.partition(":")[2]) for r in revisions if r.commit is not None]
    if len(set(commits)) < len(commits):
        raise UserError(f"{listed(names)} are the same commit; name two different ones")
    described = describe(revisions[0], revisions[1], margin)
    ranking = rank(revisions) if len(revisions) > 2 else None
    if as_json:
        value = {"ranking": ranking, **described} if ranking else described
        print(json.dumps(value, indent=2, ensure_ascii=False, default=str))
    elif as_markdown:
        print(markdown(described))
    else:
        if ranking:
            print_ranking(ranking)
            print()
        print_pair(described)
    return condition is not None and is_met(condition, described)
