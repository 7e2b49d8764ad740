"""Tell a report from others: its commit, and the run before it in git's history."""

import hashlib
import re
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import numpy as np
import pygit2
from dvc.config import Config
from pygit2.enums import DescribeStrategy

from yelp_stars.comparing.paired import compare_accuracy, verdict
from yelp_stars.evaluation import predictions
from yelp_stars.evaluation.predictions import Predictions
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import listed
from yelp_stars.report.findings import MARGIN

DECISIVE = ("params.yaml", "dvc.yaml", "stages/", "yelp_stars/")  # what git has of a run
RELEASES = "*yelp-stars@v*"  # tags of `stars release`


def read(path: Path, model: Predictions) -> tuple[str, str]:
    """Describe the commit of a run, and compare its predictions in `path` with an earlier run's.

    Each is empty if unknown. libgit2 reads the repository: no program and no hook is started.
    """
    try:
        repo = pygit2.Repository(pygit2.discover_repository(".") or ".")
        # As `git describe`: the last version, the commits since then, this commit.
        commit = repo.describe(
            "HEAD",
            describe_strategy=DescribeStrategy.TAGS,
            pattern=RELEASES,
            show_commit_oid_as_fallback=True,
            always_use_long_format=True,
        )
    except (pygit2.GitError, KeyError):  # no repository, no commit yet, or another owner's
        return "", ""
    folder = Path.cwd().relative_to(Path(repo.workdir).resolve())
    names = [Path(name) for name in repo.status("no")]
    inside = [str(name.relative_to(folder)) for name in names if name.is_relative_to(folder)]
    if changed := sorted(name for name in inside if name.startswith(DECISIVE)):
        commit += f", with changes to {listed(changed, 3)}"
    return commit, _compare_with_earlier(repo, str(folder / "dvc.lock"), path, model)


def _compare_with_earlier(
    repo: pygit2.Repository, lock: str, path: Path, model: Predictions
) -> str:
    """Compare with the last run that predicts differently, if DVC's cache has its predictions."""
    ours = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    entry = rf"- path: {re.escape(str(path))}\n +hash: md5\n +md5: (?!{ours})([0-9a-f]{{32}})\n"
    try:
        for commit in islice(repo.walk(repo.head.target), 1000):
            file = lock in commit.tree and commit.tree[lock]
            if found := isinstance(file, pygit2.Blob) and re.search(entry.encode(), file.data):
                break
        else:
            return ""
    except KeyError:  # a clone with --filter has not fetched it
        return ""
    cache, md5 = Config(".dvc")["cache"].get("dir", ".dvc/cache"), found[1].decode()
    try:
        other = predictions.read(Path(cache, "files", "md5", md5[:2], md5[2:]))
    except UserError:  # not there, or damaged
        return ""
    same = other.names == model.names and other.texts == model.texts
    if not (same and np.array_equal(other.labels, model.labels)):
        return ""
    compared = compare_accuracy(model.labels, other.predicted, model.predicted)
    date = f"{datetime.fromtimestamp(commit.commit_time, UTC):%Y-%m-%d}"
    sentence = verdict(compared, "that run", "this one", MARGIN)
    return f"Beside the run of commit {commit.short_id} ({date}): {sentence}."
