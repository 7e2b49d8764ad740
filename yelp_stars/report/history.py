"""Tell a report from others: its commit and version, and the run before it in git's history."""

import hashlib
import re
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pygit2
from dvc.config import Config
from pygit2.enums import DescribeStrategy

from yelp_stars.comparing.paired import compare_accuracy, verdict
from yelp_stars.evaluation import predictions
from yelp_stars.evaluation.predictions import Predictions
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import counted
from yelp_stars.report.findings import MARGIN

COMMITS = 1000  # in which to look for another run
DECISIVE = ("params.yaml", "dvc.yaml", "stages/", "yelp_stars/")  # what git has of a run
RELEASES = "*yelp-stars@v*"  # tags of `stars release`


class History(NamedTuple):
    """What git and DVC's cache know; empty outside of a repository with a commit."""

    commit: str = ""
    version: str = ""
    """The last version before or at the commit."""
    changed: tuple[str, ...] = ()
    """Files that decide a run and are not those of the commit."""
    earlier: str = ""
    """The last run that predicts differently, compared with this one."""


def read(path: Path, model: Predictions) -> History:
    """Read the history of a run whose predictions are in a file.

    libgit2 reads the repository, so that no program and no hook is started.
    """
    found = pygit2.discover_repository(".")
    if found is None:
        return History()
    try:
        repo = pygit2.Repository(found)
        head = repo.head.peel(pygit2.Commit)
    except pygit2.GitError:  # no commit yet, or another owner's
        return History()
    folder = Path.cwd().relative_to(Path(repo.workdir).resolve()).as_posix()
    prefix = "" if folder == "." else f"{folder}/"
    described = repo.describe(
        "HEAD",
        describe_strategy=DescribeStrategy.TAGS,
        pattern=RELEASES,
        show_commit_oid_as_fallback=True,
        always_use_long_format=True,
    )
    version = ""
    if "@" in described:
        tag, commits, _ = described.rsplit("-", 2)
        version = tag.rpartition("@")[2]
        version += "" if commits == "0" else f" and {counted(int(commits), 'commit')}"
    inside = [name.removeprefix(prefix) for name in repo.status("no") if name.startswith(prefix)]
    changed = sorted(name for name in inside if name.startswith(DECISIVE))
    earlier = _compare_with_earlier(repo, f"{prefix}dvc.lock", path, model)
    return History(str(head.short_id), version, tuple(changed), earlier)


def _compare_with_earlier(
    repo: pygit2.Repository, lock: str, path: Path, model: Predictions
) -> str:
    """Compare with the last run that predicts differently; nothing if its file is not cached."""
    ours = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    entry = rf"- path: {re.escape(path.as_posix())}\n +hash: md5\n +md5: ([0-9a-f]{{32}})\n"
    for commit in islice(repo.walk(repo.head.target), COMMITS):
        found = re.search(entry.encode(), commit.tree[lock].data if lock in commit.tree else b"")
        md5 = found[1].decode() if found else ours
        if md5 != ours:
            break
    else:
        return ""
    cache = Config(".dvc")["cache"].get("dir", ".dvc/cache")
    try:
        other = predictions.read(Path(cache, "files", "md5", md5[:2], md5[2:]))
    except UserError:
        return ""
    same = other.names == model.names and other.texts == model.texts
    if not (same and np.array_equal(other.labels, model.labels)):
        return ""
    compared = compare_accuracy(model.labels, other.predicted, model.predicted)
    at = f"commit {commit.short_id} ({datetime.fromtimestamp(commit.commit_time, UTC):%Y-%m-%d})"
    return f"Beside the run of {at}: {verdict(compared, 'that run', 'this one', MARGIN)}."
