"""`stars doctor`: problems of the project and their fixes."""

import functools
from collections.abc import Iterator
from pathlib import Path

from dvc.dvcfile import load_file
from dvc.exceptions import DvcException
from dvc.repo import Repo

from yelp_stars.commands.doctor import imports, leftovers, lock_file, objects, tracking
from yelp_stars.commands.runs import remotes
from yelp_stars.commands.runs.lock import Stages, read_lock
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import printable, quoted
from yelp_stars.pipeline.yaml_file import read_yaml


def run(remote: str | None) -> bool:
    """Print a line for each problem as it is found; return whether there is one.

    `remote` is the name of the remote to check; "" is the default one, None is none.
    """
    healthy = True
    try:
        for line in _problems(Repo(), remote):
            # A long line is not cut: its command would become another.
            print(printable(line, len(line)), flush=True)
            healthy = False
    except (DvcException, OSError) as error:
        raise UserError(f"DVC cannot check this project: {error}") from None
    if healthy:
        print("no problems found")
    return not healthy


def _problems(repo: Repo, remote: str | None) -> Iterator[str]:
    """Find the problems; print notes, which need no fix."""
    try:
        tracking.check_git()
    except UserError as error:
        yield f"git cannot read this project: {error}"
        return  # to the other checks, nothing would be tracked
    # With its templates filled in: a `foreach` stands for several.
    stages = load_file(repo, "dvc.yaml").resolver.resolve()["stages"]
    try:
        yield from imports.undeclared(Path(), stages)
    except UserError as error:
        yield str(error)
    cache = Path(repo.cache.local.path)
    yield from tracking.check_remotes(repo.config.load_one("repo").get("remote", {}))
    yield from leftovers.check_leftovers(Path(repo.tmp_dir), cache)
    tracking.note_shared_cache(cache)
    try:
        lock = read_lock()
        yield from lock_file.check_params(lock, read_yaml(Path("params.yaml")))
    except UserError as error:
        yield str(error)
        return  # without the lock, DVC knows no outs
    entries = functools.partial(objects.entries, repo.cache.local)
    yield from lock_file.check_lock(lock, stages, entries)
    yield from tracking.check_your_files(map(str, repo.index.outs))
    yield from _stored(repo, lock, remote)


def _stored(repo: Repo, lock: Stages, remote: str | None) -> Iterator[str]:
    """Check what DVC's cache and, if there is one to check, a remote have."""
    name = remote or repo.config["core"].get("remote")
    if remote is None:
        repo.config["core"].pop("remote", None)  # or DVC reads lists of files from there
    else:
        if name not in repo.config["remote"]:
            which = f"no remote {quoted(name)}" if name else "no default remote"
            advice = "run `dvc remote list`, see docs/remotes.md"
            raise UserError(f"{which} in DVC's settings", advice=advice)
        remotes.check_answers(repo, name)
    try:
        status = repo.data_status(
            granular=True,
            with_renames=False,
            not_in_remote=remote is not None,
            remote=name,
            remote_refresh=True,
        )
    except remotes.READ_ERRORS as error:
        if remote is None:
            raise
        raise remotes.no_answer(name, str(error)) from None
    yield from objects.check_cache(repo, lock, status, name)
    if remote is not None:
        yield from objects.check_remote(repo, status, name)
