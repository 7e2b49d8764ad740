"""Read what a run left, at any revision or experiment, without a checkout.

Files come from DVC's cache, or from its remote, by the hashes in the dvc.lock of that revision.
"""

import contextlib
import functools
import hashlib
import json
import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc_data.hashfile.hash_info import HashInfo

from yelp_stars.commands.runs import remotes
from yelp_stars.evaluation import mistakes, predictions
from yelp_stars.evaluation.predictions import Predictions
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import listed, one_line, quoted
from yelp_stars.pipeline.yaml_file import read_yaml

WORKSPACE = "workspace"
MODEL = "models/finetuned"
RAW, AUDIT = "data/raw", "data/audit.parquet"
CODE = ("stages/", "yelp_stars/")
MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")


class Lock(NamedTuple):
    """What a dvc.lock says about a run."""

    outs: dict[str, Any]
    """The hash of each out."""
    params: dict[str, Any]
    """The parameters that it ran with, flat: "train.learning_rate": 0.0001."""
    code: dict[str, str]
    """The hash of each module or folder of code."""


class Revision(NamedTuple):
    """One side of a comparison."""

    name: str
    """As the user gave it: a revision, an experiment, `workspace`; with :baseline its baseline."""
    commit: str | None
    """None for the workspace."""
    lock: Lock
    predictions: Predictions


def read_revision(name: str, *, pull: bool = True) -> Revision:
    """Read the predictions of a revision, and what made them.

    Raises:
        UserError: if the revision does not exist, or has no predictions.
    """
    revision, _, which = name.partition(":")
    if which not in ("", "baseline"):
        raise UserError(f"{quoted(name)} is not a revision, nor one with :baseline after it")
    path = f"data/predictions/{which or 'test'}.parquet"
    if revision == WORKSPACE:
        lock = _lock_here()
        return Revision(name, None, lock, _of_workspace(Path(path), lock.outs.get(path)))
    commit = resolve(revision)
    lock = _lock_at(commit, revision)
    if path not in lock.outs:
        raise UserError(
            f"{quoted(name)} has no {path} in its dvc.lock; `git log --oneline dvc.lock` lists the "
            f"revisions with a run"
        )
    cached = find(lock.outs[path], pull=pull)
    if cached is None:
        raise _not_here(name, path, commit)
    try:
        return Revision(name, commit, lock, predictions.read(cached))
    except UserError:
        damaged = shlex.quote(os.path.relpath(cached))
        raise UserError(
            f"the {path} of {quoted(name)} is damaged in DVC's cache; run `rm -f {damaged}`, and "
            f"compare again"
        ) from None


def read_texts(revision: Revision, *, pull: bool = False) -> list[str] | None:
    """The texts of the predicted rows, in their order; None if DVC's cache does not have them.

    Those of the workspace do as well, if they are the same: each text has its hash beside it.
    """
    texts = _matching(Path(RAW, "test.arrow"), revision.predictions)
    if texts is None:
        folder = find(revision.lock.outs.get(RAW), pull=pull)
        entries = _entries(folder) if folder is not None else {}
        texts = _matching(find(entries.get("test.arrow"), pull=pull), revision.predictions)
    return texts


def _matching(path: Path | None, found: Predictions) -> list[str] | None:
    """The texts of a file, if they are those of the predicted rows."""
    if path is None or not path.is_file():
        return None
    try:
        texts = predictions.read_texts(path, found.rows)
    except (UserError, IndexError):  # damaged, or of other data with fewer rows
        return None
    return texts if [predictions.text_hash(text) for text in texts] == found.texts else None


def read_flags(revision: Revision) -> dict[str, np.ndarray]:
    """The audit's flags of the predicted rows; none if DVC's cache has no audit of them."""
    md5 = revision.lock.outs.get(AUDIT)
    cached = find(md5, pull=False) if md5 else None
    if cached is None:
        return {}
    try:
        return mistakes.read_flags(cached, "test", revision.predictions.rows)
    except UserError:  # damaged
        return {}


@contextlib.contextmanager
def open_model(name: str) -> Iterator[Path]:
    """A folder with the model of a revision or an experiment, as long as the block runs.

    Raises:
        UserError: if the revision does not exist, or its model is not in DVC's cache or remote.
    """
    if name == WORKSPACE:
        yield Path(MODEL)
        return
    commit = resolve(name)
    folder = find(_lock_at(commit, name).outs.get(MODEL), pull=True)
    entries = _entries(folder) if folder is not None else {}
    files = {file: find(md5, pull=True) for file, md5 in entries.items() if "/" not in file}
    if not files or None in files.values():
        raise _not_here(name, MODEL, commit)
    with tempfile.TemporaryDirectory() as linked:
        for file, cached in files.items():
            assert cached is not None
            if _md5(cached) != entries[file]:
                damaged = shlex.quote(os.path.relpath(cached))
                raise UserError(
                    f"the {file} of {quoted(name)} is damaged in DVC's cache; run `rm -f "
                    f"{damaged}`, and predict again"
                )
            Path(linked, file).symlink_to(cached.resolve())
        yield Path(linked)


def _md5(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def find(md5: Any, *, pull: bool) -> Path | None:
    """The file in DVC's cache that has a hash; from the remote, if the cache lacks it.

    Raises:
        UserError: if the remote does not answer.
    """
    if not isinstance(md5, str) or not MD5.fullmatch(md5):
        return None
    try:
        repo = _repo(Path.cwd())
        cached = Path(repo.cache.local.oid_to_path(md5))
        if not cached.is_file() and pull:
            _check_remote(Path.cwd())
            repo.cloud.pull([HashInfo("md5", md5)])
    except (DvcException, *remotes.READ_ERRORS):  # no remote, or it fails
        return None
    return cached if cached.is_file() else None


@functools.cache
def _repo(folder: Path) -> Repo:
    return Repo(str(folder))


@functools.cache
def _check_remote(folder: Path) -> None:
    repo = _repo(folder)
    name = repo.config["core"].get("remote")
    if name in repo.config["remote"]:
        remotes.check_answers(repo, name)


def _entries(folder: Path) -> dict[str, Any]:
    """The hash of each file of a folder, by what DVC's cache has of the folder."""
    try:
        return {entry["relpath"]: entry["md5"] for entry in json.loads(folder.read_bytes())}
    except (ValueError, KeyError, TypeError):  # damaged
        return {}


def _of_workspace(path: Path, md5: Any) -> Predictions:
    """The predictions of the workspace, which must be those of its dvc.lock."""
    found = predictions.read(path)
    if hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != md5:
        raise UserError(f"{str(path)!r} is not that of dvc.lock; run `dvc repro`")
    return found


def _lock_here() -> Lock:
    path = Path("dvc.lock")
    if not path.is_file():
        raise UserError("this workspace has no dvc.lock; run `dvc repro`")
    return _parse(read_yaml(path), WORKSPACE)


@functools.cache  # a run and its baseline have the same one
def _lock_at(commit: str, name: str) -> Lock:
    content = _git("show", f"{commit}:./dvc.lock")
    if content is None and not Path("dvc.yaml").is_file():
        raise UserError("no dvc.yaml in this folder; run the command in the project's folder")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "dvc.lock")
        path.write_text(content or "", encoding="utf-8")
        try:
            return _parse(read_yaml(path), name)
        except UserError as error:
            if str(path) not in str(error):
                raise
            fault = str(error).removeprefix(str(path)).strip()
            raise UserError(
                f"the dvc.lock of {quoted(name)} {fault}; name another revision"
            ) from None


def _parse(lock: Any, name: str) -> Lock:
    """What counts in the content of a dvc.lock."""
    try:
        stages = (lock or {}).get("stages", {}).values()
        outs = {out["path"]: out.get("md5") for stage in stages for out in stage.get("outs", [])}
        deps = {dep["path"]: dep.get("md5") for stage in stages for dep in stage.get("deps", [])}
        sections = [stage.get("params", {}).get("params.yaml", {}) for stage in stages]
        params = {key: value for section in sections for key, value in _flat(section).items()}
        code = {path: str(deps[path]) for path in deps if path.startswith(CODE)}
    except (AttributeError, KeyError, TypeError):
        raise UserError(
            f"the dvc.lock of {quoted(name)} is not one of DVC's; name another revision"
        ) from None
    return Lock(outs, params, code)


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict) or (prefix and not tree):
        return {prefix: tree}
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def resolve(revision: str) -> str:
    """The commit of a revision or of an experiment's name.

    Raises:
        UserError: if there is none, or more than one.
    """
    reason = _refusal()
    if reason:
        raise UserError(f"only 'workspace' can be read here: {reason}")
    if revision and not revision.startswith("-"):
        commit = _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        if commit:
            return commit.strip()
        experiments = _experiments(revision)
        head = (_git("rev-parse", "HEAD") or "").strip()
        # As DVC does: of several with the same name, that of the current commit.
        found = experiments if len(experiments) < 2 else {head: experiments.get(head, "")}
        if "".join(found.values()):
            return next(iter(found.values()))
        if experiments:
            commits = listed([commit[:12] for commit in experiments.values()])
            raise UserError(
                f"{len(experiments)} experiments have the name {quoted(revision)}; name one by its "
                f"commit: {commits}"
            )
    shallow = (_git("rev-parse", "--is-shallow-repository") or "").strip() == "true"
    hint = "this clone is shallow: run `git fetch --unshallow`" if shallow else "run `dvc exp list`"
    raise UserError(f"no revision or experiment {quoted(revision)}; {hint}")


def _experiments(name: str) -> dict[str, str]:
    """The commits of the experiments with a name, by the commit that each started from."""
    refs = _git("for-each-ref", "--format=%(refname) %(objectname)", "refs/exps/") or ""
    pattern = rf"refs/exps/([0-9a-f]{{2}})/([0-9a-f]{{38}})/{re.escape(name)} ([0-9a-f]+)"
    found = filter(None, (re.fullmatch(pattern, line) for line in refs.splitlines()))
    return {match[1] + match[2]: match[3] for match in found}


def _not_here(name: str, path: str, commit: str) -> UserError:
    """Another processor computes other bytes: a rerun there is another commit."""
    return UserError(
        f"{quoted(name)} has no {path} in DVC's cache or remote, or the remote does not answer; "
        f"run `dvc push` where it ran; or run it here, and name the new commit: `git checkout "
        f"{commit[:12]}`, `dvc repro`, `git commit -am again`"
    )


def _refusal() -> str:
    """Why git cannot read this folder; nothing if it can."""
    done = _run_git("rev-parse", "--git-dir")
    return one_line(done.stderr.decode("utf-8", "replace")) if done.returncode else ""


def _git(*arguments: str) -> str | None:
    done = _run_git(*arguments)
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def _run_git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        raise UserError("the command `git` is not installed; install it") from None
