"""Read what a run left, at any revision or experiment, without a checkout.

Files are those that the revision's own dvc.yaml and dvc.lock name, by `dvc.api`: from DVC's cache,
or from its remote.
"""

import contextlib
import errno
import functools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.repo.experiments.exceptions import AmbiguousExpRefInfo
from dvc.scm import SCM, RevError, resolve_rev
from dvc_data.hashfile.hash import file_md5
from dvc_data.index import DataIndexDirError

from yelp_stars.commands.runs import remotes
from yelp_stars.commands.runs.git import WORKSPACE, ask_git, check_repository
from yelp_stars.commands.runs.lock import Stages, flat, read_lock, read_lock_at
from yelp_stars.evaluation import mistakes, predictions
from yelp_stars.evaluation.predictions import Predictions
from yelp_stars.pipeline.errors import Damaged, Missing, UserError
from yelp_stars.pipeline.files import damaged_as
from yelp_stars.pipeline.text import listed, quoted, shell_word

MODEL = "models/finetuned"
TEXTS, AUDIT = "data/raw/test.arrow", "data/audit.parquet"
CODE = ("stages/", "yelp_stars/")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_REMOTE = {"core": {"remote": "none"}, "remote": {"none": {"url": "/dev/null/none"}}}


class Lock(NamedTuple):
    """A run recorded in dvc.lock."""

    outs: dict[str, str]
    """Hash of each out."""
    params: dict[str, Any]
    """Parameters of the run, flat: "train.learning_rate": 0.0001."""
    code: dict[str, str]
    """Hash of each module or folder of code."""


class Revision(NamedTuple):
    """A side of a comparison."""

    name: str
    """Name as given: a revision, an experiment or `workspace`; with :baseline its baseline."""
    commit: str | None
    """None for the workspace."""
    lock: Lock
    predictions: Predictions


def read_revision(name: str, *, pull: bool = True) -> Revision:
    """Read the predictions of a revision, and what made them."""
    revision, _, which = name.partition(":")
    if which not in ("", "baseline"):
        raise UserError(f"{quoted(name)} is not a revision, alone or with :baseline")
    path = f"data/predictions/{which or 'test'}.parquet"
    commit = None if revision == WORKSPACE else resolve(revision)
    lock = _summary(read_lock()) if commit is None else _lock_at(commit, revision)
    if path not in lock.outs:
        problem = f"{quoted(name)} has no {path} in its dvc.lock"
        raise Missing(problem, advice="`git log --oneline dvc.lock` lists the revisions with a run")
    with _opened(name, commit, lock, path, pull=pull) as file:
        if commit is None:
            return Revision(name, commit, lock, predictions.read(file))
        with damaged_as(Path(path), Damaged, advice="run `dvc repro` at that revision"):
            return Revision(name, commit, lock, predictions.read(file))


def read_texts(revision: Revision, *, pull: bool = False) -> list[str] | None:
    """Return the texts of the predicted rows, in their order; None if DVC's cache has none.

    Those of the workspace do as well, if they are the same: each text has its hash beside it.
    """
    texts = _matching(Path(TEXTS), revision.predictions)
    if texts is None and revision.commit is not None:
        with contextlib.suppress(UserError), _opened(*revision[:3], TEXTS, pull=pull) as file:
            return _matching(file, revision.predictions)
    return texts


def _matching(path: Path, predicted: Predictions) -> list[str] | None:
    """Return the texts of a file, if they are those of the predicted rows."""
    try:
        texts = predictions.read_texts(path, predicted.rows)
    except (UserError, OSError, IndexError):  # damaged, missing, or of other data with fewer rows
        return None
    return texts if [*map(predictions.text_hash, texts)] == predicted.texts else None


def read_flags(revision: Revision) -> dict[str, np.ndarray]:
    """Return the audit's flags of the predicted rows; none if DVC's cache has no audit of them."""
    try:
        with _opened(*revision[:3], AUDIT, pull=False) as file:
            return mistakes.read_flags(file, "test", revision.predictions.rows)
    except UserError:
        return {}


@contextlib.contextmanager
def open_model(name: str) -> Iterator[Path]:
    """Yield a folder with the model of a revision or an experiment."""
    if name == WORKSPACE:
        yield Path(MODEL)
        return
    commit = resolve(name)
    with _opened(name, commit, _lock_at(commit, name), MODEL, pull=True) as folder:
        yield folder


@contextlib.contextmanager
def _opened(name: str, commit: str | None, lock: Lock, path: str, *, pull: bool) -> Iterator[Path]:
    """Yield a file or folder of a run: the workspace's own, if `commit` is None, or a copy."""
    if commit is None:
        if not Path(path).is_file():
            raise Missing(f"no file {path!r}", advice="run `dvc repro` or `dvc pull`")
        if file_md5(path) != lock.outs.get(path):
            raise Damaged(f"{path!r} does not match dvc.lock", advice="run `dvc repro`")
        yield Path(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, Path(path).name)
        if not _copy(_files(Path.cwd(), commit, False), name, path, copy):
            if pull:
                _check_remote(Path.cwd())
            if not pull or not _copy(_files(Path.cwd(), commit, True), name, path, copy):
                raise Missing(
                    f"{quoted(name)} has no {path} in DVC's cache or remote, or the remote does "
                    f"not answer",
                    # Another processor computes other bytes: a rerun there is another commit.
                    advice=f"run `dvc push` where it ran; or run it here, and name the new "
                    f"commit: `git checkout {commit[:12]}`, `dvc repro`, `git commit -am again`",
                )
        yield copy


@functools.cache
def _files(project: Path, commit: str, pull: bool) -> DVCFileSystem:
    """Open the files of a commit that are in DVC's cache and, with `pull`, in its remote."""
    repo = Repo(str(project))
    cache = {"cache": {"dir": repo.cache.local_cache_dir}}
    config = cache | (_remotes(repo) if pull else NO_REMOTE)
    of_subfolder = functools.partial(Repo, config=config)
    return DVCFileSystem(rev=commit, subrepos=True, config=config, repo_factory=of_subfolder)


def _remotes(repo: Repo) -> dict[str, Any]:
    """Return the remotes of a project, for another revision of it: not those of then."""
    return {key: dict(repo.config[key]) for key in ("core", "remote")}


def pull(clone: Path, paths: list[str]) -> None:
    """Pull files and folders into a clone of this project, from its remote."""
    if not paths:
        return
    _check_remote(Path.cwd())
    try:
        Repo(str(clone), config=_remotes(Repo())).pull([str(clone / path) for path in paths])
    except (DvcException, *remotes.READ_ERRORS) as error:
        if getattr(error, "errno", None) in FULL:
            raise
        problem = f"neither DVC's cache nor its remote has {listed(paths, 3)}"
        raise Missing(problem, advice="run `dvc push` where it ran") from None


def _copy(files: DVCFileSystem, name: str, path: str, target: Path) -> bool:
    """Copy a file or folder of a commit and check its hashes; False if a part is missing."""
    root = ask_git("rev-parse", "--show-prefix") + path  # of a folder of a larger repository
    try:
        infos = files.find(root, detail=True)
        for file, info in infos.items():
            copy = target / PurePosixPath(file).relative_to(root)
            # `cache`, which only DVC's code documents: store what the remote sends, as `dvc fetch`.
            files.get_file(file, str(copy), cache=True)
            if info.get("md5") not in (None, file_md5(str(copy))):  # None: git has the file
                cached = Repo().cache.local.oid_to_path(info["md5"])
                raise Damaged(
                    f"the {PurePosixPath(file).name} of {quoted(name)} is damaged in DVC's cache",
                    advice=f"run `rm -f {shell_word(os.path.relpath(cached))}`, and try again",
                )
    except (DvcException, DataIndexDirError, *remotes.READ_ERRORS) as error:
        if getattr(error, "errno", None) in FULL:
            raise
        return False
    return bool(infos)


@functools.cache
def _check_remote(project: Path) -> None:
    repo = Repo(str(project))
    name = repo.config["core"].get("remote")
    if name in repo.config["remote"]:
        remotes.check_answers(repo, name)


@functools.cache  # a run and its baseline have the same one
def _lock_at(commit: str, revision: str) -> Lock:
    return _summary(read_lock_at(commit, revision))


def _summary(stages: Stages) -> Lock:
    runs = stages.values()
    params: dict[str, Any] = {}
    for run in runs:
        params |= flat(run.params.get("params.yaml", {}))
    return Lock(
        {out.path: out.md5 for run in runs for out in run.outs},
        params,
        {dep.path: dep.md5 for run in runs for dep in run.deps if dep.path.startswith(CODE)},
    )


def resolve(revision: str) -> str:
    """Return the commit of a revision or of an experiment's name."""
    check_repository()
    if not Path("dvc.yaml").is_file():
        raise UserError("no dvc.yaml in this folder; run the command in the project's folder")
    try:
        found = resolve_rev(SCM("."), revision) if revision else ""
    except (RevError, ValueError) as error:  # pygit2 refuses a long name
        if isinstance(error.__context__, AmbiguousExpRefInfo):
            raise UserError(
                f"several experiments have the name {quoted(revision)}",
                advice="name one by its commit, as `dvc exp list --all-commits` shows it",
            ) from None
        found = ""
    commit = ask_git("rev-parse", "--verify", "--quiet", f"{found}^{{commit}}") if found else ""
    if not commit:
        shallow = ask_git("rev-parse", "--is-shallow-repository") == "true"
        hint = "this clone is shallow: run `git fetch --unshallow`"
        problem = f"no revision or experiment {quoted(revision)}"
        raise Missing(problem, advice=hint if shallow else "run `dvc exp list`")
    return commit
