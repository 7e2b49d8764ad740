"""`stars runs`: a table of the runs that git knows, the best first.

They are read from git's objects, without a checkout. Names and files may be anybody's: bounded,
checked, and printed safely.
"""

import contextlib
import functools
import json
import re
import shutil
import time
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from yelp_stars.commands.runs.git import WORKSPACE, ask_git, check_repository, git
from yelp_stars.pipeline.errors import Missing, UserError
from yelp_stars.pipeline.files import DAMAGE
from yelp_stars.pipeline.text import cut, listed, printable, quoted
from yelp_stars.pipeline.yaml_file import parse_yaml

MAX_RUNS = 200  # commits, and as many experiments: the newest
MAX_BYTES = 20_000  # of a file: our scores have 300, our parameters 3,000
VALIDATION, TEST, PARAMS = "metrics/validation.json", "metrics/test.json", "params.yaml"
# What decides the validation rows: scores of others cannot be compared.
DATA, ROWS = "metrics/data.json", ("sample.validation", "sample.stratify", "sample.exclude")
TIME = "%Y-%m-%d %H:%M"
# Where DVC keeps the experiments of its queue, each with a note "dvc-exp:HASH:HASH:NAME".
QUEUE = {"waiting or running": "refs/exps/celery/stash", "failed": "refs/exps/celery/failed"}
NOTE = re.compile("dvc-exp:[0-9a-f]+:[0-9a-f]+:([^:\n]*)")


class Run(NamedTuple):
    """An experiment, a commit or the workspace, and what is read of its files."""

    name: str
    commit: str
    parent: str
    when: str
    subject: str
    """First line of a commit's message; nothing for an experiment."""
    scores: tuple[Any, ...] = ()
    """Accuracy on validation and test rows: value, low, high, n; or None."""
    changed: tuple[str, ...] = ()
    """Parameters that differ from those of the parent."""
    rows: tuple[Any, ...] = ()
    """What decides the validation rows."""


def runs(
    test: Annotated[
        bool, typer.Option("--test", help="Show test accuracy, not times; do not choose by it")
    ] = False,
) -> None:
    """List all runs by validation accuracy, the best first.

    Runs are experiments, commits with new scores, and the workspace. Each has the parameters that
    differ from the commit before it, or else the first line of its own commit's message.
    """
    found, notes = read_runs()
    groups: dict[tuple[Any, ...], list[Run]] = {}
    for run in found:
        of_test = run.scores[1]["n"] if test and run.scores[1] else 0
        groups.setdefault((*run.rows, of_test), []).append(run)
    for number, group in enumerate(groups.values()):
        if number:
            print("\nOther reviews or rows: not comparable with those above")
        print_table(group, test)
    for note in notes:
        print(f"\n{note}")


def print_table(group: list[Run], test: bool) -> None:
    """Print runs with the same rows, the best first: a line each, cut where the terminal ends."""
    import tabulate  # late: help must be fast

    from yelp_stars.evaluation.intervals import written

    columns, splits = shutil.get_terminal_size().columns, 2 if test else 1
    titles = zip(("validation", "test"), group[0].scores[:splits])
    titled = (f"{name}, {score['n']:,} rows" if score else name for name, score in titles)
    table = [["run", *titled, *["when"][test:], "changed"]]
    for run in sorted(group, key=lambda run: -run.scores[0]["value"]):
        name = printable(run.name, max(8, columns // 4))
        scores = (written(score) if score else "" for score in run.scores[:splits])
        when = run.when[5:] if run.when.startswith(time.strftime("%Y")) else run.when[:10]
        change = printable(", ".join(run.changed) or run.subject, 400)
        table.append([name, *scores, *[when][test:], change])
    lines = tabulate.tabulate(table, tablefmt="plain", disable_numparse=True).splitlines()
    print("\n".join(cut(line.rstrip(), columns) for line in lines))


def read_runs() -> tuple[list[Run], list[str]]:
    """Read the runs, the newest first, and write notes on what is not among them."""
    check_repository()
    head = ask_git("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if not head:
        raise UserError("git has no commit here; run `git add -A && git commit -m start`")
    files = Files()
    fields = ("--format=%h%x00%H%x00%P%x00%cd%x00%s", f"--date=format-local:{TIME}")
    limit = f"--max-count={MAX_RUNS + 1}"
    commits = _listed("log", *fields, limit, "HEAD", "--branches", "--tags", "--", VALIDATION)
    experiments = _references(-1, "refs/exps/??/*/*")
    named = [*_references(2, "refs/heads"), *_references(2, "refs/tags")]
    if not ask_git("symbolic-ref", "--quiet", "HEAD"):  # detached
        named.append(Run("HEAD", head, "", "", ""))
    names: dict[str, list[str]] = {}
    for one in named:
        names.setdefault(files.read(one.commit, VALIDATION)[0], []).append(one.name)
    found = experiments[:MAX_RUNS]
    for run in commits[:MAX_RUNS]:
        # A branch or a tag is named beside the newest commit with its scores.
        of_same = ", ".join(names.pop(files.read(run.commit, VALIDATION)[0], []))
        found.append(run._replace(name=f"{run.name} {of_same}".rstrip()))
    if files.read(WORKSPACE, VALIDATION)[0] not in ("", files.read(head, VALIDATION)[0]):
        when = time.strftime(TIME, time.localtime(Path(VALIDATION).stat().st_mtime))
        found.append(Run(WORKSPACE, WORKSPACE, head, when, ""))
    found = [files.fill(run) for run in found if files.read(run.commit, VALIDATION)[0]]
    if not found:
        raise Missing("no run yet", advice="run `make repro`")
    notes = []
    if damaged := [run.name for run in found if run.scores[0] is None]:
        notes.append(f"{VALIDATION} is damaged in {listed(damaged)}")
    if max(len(commits), len(experiments)) > MAX_RUNS:
        notes.append(f"Only the newest {MAX_RUNS} commits and experiments are shown")
    for state, reference in QUEUE.items():
        if queued := NOTE.findall(ask_git("log", "--walk-reflogs", "--format=%gs", reference)):
            notes.append(f"{state.capitalize()}: {listed(queued)}; see `dvc queue status`")
    valid = (run for run in found if run.scores[0] is not None)
    return sorted(valid, key=lambda run: run.when, reverse=True), notes


class Files:
    """Files of commits and of the workspace."""

    def __init__(self) -> None:
        import pygit2  # late: help must be fast

        self._git = pygit2
        self._repository = pygit2.Repository(git("rev-parse", "--absolute-git-dir"))
        self._folder = git("rev-parse", "--show-prefix")  # of a larger repository

    def read(self, commit: str, path: str) -> tuple[str, bytes]:
        """Return git's hash of a file, and its content unless it is large; nothing if missing."""
        with contextlib.suppress(KeyError, ValueError, OSError):
            if commit == WORKSPACE:
                with Path(path).open("rb") as file:
                    content = file.read(MAX_BYTES + 1)
                return str(self._git.hash(content)), content if len(content) <= MAX_BYTES else b""
            blob = commit and self._repository.revparse_single(f"{commit}:{self._folder}{path}")
            if isinstance(blob, self._git.Blob):  # no folder
                return str(blob.id), blob.data if blob.size <= MAX_BYTES else b""
        return "", b""

    def fill(self, run: Run) -> Run:
        """Read the scores and parameters of a run; a score that is damaged is None."""
        validation, test = (parse_scores(self.read(run.commit, p)[1]) for p in (VALIDATION, TEST))
        before, params = (parse_params(self.read(of, PARAMS)[1]) for of in (run.parent, run.commit))
        changed = [
            f"{key.removeprefix('train.')} {value}"
            for key, value in params.items()
            if before.get(key, value) != value
        ]
        of_rows = [params[key] for key in sorted(params) if key.startswith(ROWS)]
        rows = (self.read(run.commit, DATA)[0], validation and validation["n"], *of_rows)
        return run._replace(scores=(validation, test), changed=tuple(changed), rows=rows)


def parse_scores(content: bytes) -> dict[str, Any] | None:
    """Read an accuracy, its interval and the number of rows; None if they are damaged."""
    with contextlib.suppress(*DAMAGE):
        found = json.loads(content)
        low, value, high = (found[f"accuracy{end}"] for end in ("_low", "", "_high"))
        if 0 <= low <= value <= high <= 1 <= found["n"] <= 1e9:
            return {"value": value, "low": low, "high": high, "n": int(found["n"])}
    return None


@functools.cache  # most commits have the parameters of the one before
def parse_params(content: bytes) -> dict[str, str]:
    """Read parameters, "train.seed": "1"; none if they are damaged."""
    with contextlib.suppress(UserError, AttributeError):
        # Cut: anchors may stand for more values than there is time to compare.
        return {
            f"{section}.{key}": quoted(value, 400)
            for section, values in parse_yaml(content, PARAMS).items()
            for key, value in values.items()
        }
    return {}


def _references(skipped: int, pattern: str) -> list[Run]:
    """List references, the newest first, without the first parts of their names."""
    fields = f"%(refname:lstrip={skipped})%00%(objectname)%00%(parent)%00"
    fields += f"%(creatordate:format-local:{TIME})%00"
    options = (f"--format={fields}", f"--count={MAX_RUNS + 1}", "--sort=-creatordate")
    return _listed("for-each-ref", *options, pattern)


def _listed(*command: str) -> list[Run]:
    """Run git, which writes a line for each: name, commit, parents, time, subject."""
    # Its settings may add lines, such as of signatures.
    lines = [line.split("\0") for line in git(*command).split("\n") if line.count("\0") == 4]
    return [
        Run(name, commit, parents.partition(" ")[0], when, subject)
        for name, commit, parents, when, subject in lines
    ]
