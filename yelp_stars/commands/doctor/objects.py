"""What dvc.lock and .dvc files name, in DVC's cache and in a remote: every object, by its hash."""

import filecmp
import shlex
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dvc.fs import localfs
from dvc.repo import Repo
from dvc_data.hashfile.build import build
from dvc_data.hashfile.db import HashFileDB
from dvc_data.hashfile.hash import hash_file
from dvc_data.hashfile.tree import Tree
from dvc_objects.errors import ObjectFormatError

MISSING, DAMAGED = "missing", "damaged"


class Stored(NamedTuple):
    """A file, or the list of a folder's files, that DVC stores under its hash."""

    md5: str
    path: str
    """Where it is in the workspace."""
    out: str
    """The out that it is, or that it is a file of."""
    folder: str | None
    """The hash of that folder's list."""
    made: bool
    """By a stage, not by `dvc add`."""


def stored(repo: Repo, *odbs: HashFileDB) -> list[Stored]:
    """All objects of the workspace's outs; lists of folders are read where one can be found."""
    found: dict[str, Stored] = {}
    # What a user added comes first: of two outs with the same content, no stage makes it again.
    for out in sorted(repo.index.outs, key=lambda out: out.stage.cmd is not None):
        info = out.hash_info
        if out.use_cache and info and info.name == "md5":
            path, made = str(out), out.stage.cmd is not None
            found.setdefault(info.value, Stored(info.value, path, path, None, made))
            if info.isdir:
                for name, md5 in entries(info, *odbs).items():
                    file = Stored(md5, f"{path}/{name}", path, info.value, made)
                    found.setdefault(md5, file)
    return list(found.values())


def pushed(repo: Repo, remote: str | None) -> set[str]:
    """The outs that `dvc push` uploads to a remote: not those of other repositories."""
    return {
        str(out)
        for out in repo.index.outs
        if out.can_push and not out.stage.is_repo_import and out.remote in (None, remote)
    }


def entries(info: Any, *odbs: HashFileDB) -> dict[str, str]:
    """The hash of each file of a folder, by the first list of it that can be read."""
    for odb in odbs:
        try:
            return {"/".join(key): found.value for key, _, found in Tree.load(odb, info)}
        except (FileNotFoundError, ObjectFormatError, AttributeError, KeyError):
            continue
    return {}


def faults(odb: HashFileDB, objects: list[Stored]) -> dict[str, str]:
    """The hashes of the objects that are missing or damaged: each one is read."""
    found = {}
    for md5 in (one.md5 for one in objects):
        try:
            _, actual = hash_file(odb.oid_to_path(md5), odb.fs, "md5")
        except FileNotFoundError:
            found[md5] = MISSING
        else:
            if actual.value != md5.removesuffix(".dir"):
                found[md5] = DAMAGED
    return found


def check_cache(
    odb: HashFileDB,
    objects: list[Stored],
    found: Mapping[str, str],
    in_remote: Container[str],
    certain: bool,
    ignore: Any,
) -> Iterator[str]:
    """What DVC's cache lacks, and what mends it without a loss of edits in the workspace.

    `certain` says whether `in_remote` has been read from the remote, or is what a push would have
    uploaded. `ignore` is DVC's, of .dvcignore.
    """
    complete: dict[str, bool] = {}
    for one in objects:
        if one.md5 in found:
            if one.out not in complete:
                complete[one.out] = _is_in_workspace(one, odb, ignore)
            damaged = Path(odb.oid_to_path(one.md5)) if found[one.md5] == DAMAGED else None
            commands = _mend(one, damaged, complete[one.out], one.md5 in in_remote, certain)
            yield f"{_named(one)} is {found[one.md5]} in DVC's cache{commands}"


def _mend(one: Stored, damaged: Path | None, complete: bool, in_remote: bool, certain: bool) -> str:
    """The end of a line: the commands that bring an object into the cache again."""
    out, here, more = shlex.quote(one.out), Path(one.path), ""
    steps = []
    if damaged is not None:
        root = Path.cwd()
        shown = damaged.relative_to(root) if damaged.is_relative_to(root) else damaged
        steps.append(f"rm -f {shlex.quote(str(shown))}")
    lost = not complete and not one.made
    again = f"dvc add {out}" if lost else f"dvc commit {out}" if complete else "dvc repro"
    if not in_remote:
        bring = ", and here nothing else has it; bring it, then" if lost else ";"
        return f"{bring} {_then([*steps, again])}"
    steps.append(f"dvc fetch {out}")
    if not here.exists():
        steps.append(f"dvc checkout {out}")
    elif damaged is not None and here.is_file() and filecmp.cmp(damaged, here, shallow=False):
        if one.made:
            steps.append(f"dvc checkout --force {out}")
        else:  # an edit of the user's looks the same, where the file is a link into the cache
            more = f", and, unless you have edited it, `dvc checkout --force {out}`"
    if not certain:
        more += f", or, if the remote lacks it, {'bring it and run ' if lost else ''}`{again}`"
    return f"; {_then(steps)}{more}"


def check_remote(
    name: str,
    odb: HashFileDB,
    objects: list[Stored],
    found: Mapping[str, str],
    here: Container[str],
) -> Iterator[str]:
    """What a remote lacks, and what mends it.

    DVC takes a folder for complete if the remote has the list of its files: `dvc push` uploads a
    missing file only if that list is deleted first.
    """
    for one in objects:
        listed_there = one.folder is not None and one.folder not in found
        if one.md5 not in found or (one.folder in found and found[one.md5] == MISSING):
            continue
        what = f"{_named(one)} is {found[one.md5]} in the remote {name!r}"
        if one.md5 not in here:
            yield f"{what}, and DVC's cache has none; run `dvc push` in a clone that has it"
            continue
        deleted = [one.md5] if found[one.md5] == DAMAGED else []
        deleted += [one.folder] if one.folder and listed_there else []
        paths = [odb.oid_to_path(md5) for md5 in deleted]
        if not paths:
            yield f"{what}; run `dvc push`"
        elif odb.fs.protocol == "local":
            yield f"{what}; run `rm -f {shlex.join(paths)}`, then `dvc push`"
        else:
            urls = " and ".join(odb.fs.unstrip_protocol(path) for path in paths)
            yield f"{what}; delete {urls}, then run `dvc push`"


def _is_in_workspace(one: Stored, odb: HashFileDB, ignore: Any) -> bool:
    """Whether the workspace has the complete out as it was stored: each file is read."""
    reading = HashFileDB(odb.fs, odb.path)  # without the hashes that DVC remembers
    try:
        _, _, found = build(reading, one.out, localfs, "md5", ignore=ignore, dry_run=True)
    except FileNotFoundError:
        return False
    return bool(found.hash_info.value == (one.folder or one.md5))


def _named(one: Stored) -> str:
    return f"the list of files of {one.path!r}" if one.md5.endswith(".dir") else repr(one.path)


def _then(steps: list[str]) -> str:
    return "run " + ", then ".join(f"`{step}`" for step in steps)
