"""dvc.lock against itself, dvc.yaml and params.yaml: is it the record of one run?"""

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from yelp_stars.commands.doctor.tracking import git
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import listed, quoted
from yelp_stars.pipeline.yaml_file import read_yaml

LOCK = Path("dvc.lock")

Entries = Callable[[str], Mapping[str, str]]
"""The hash of each file of a folder, by the folder's hash; empty if DVC's cache lacks it."""


class Declared(NamedTuple):
    """A stage of dvc.yaml as DVC resolves it."""

    command: str | list[str]
    deps: set[str]
    outs: set[str]


class Entry(BaseModel, strict=True):
    """A dep or out. DVC was killed as it wrote the file if a value lacks its end."""

    path: str
    hash: Literal["md5"] = "md5"
    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}(\.dir)?$")] = ""
    size: int = 0
    nfiles: int = 0


class Run(BaseModel, strict=True):
    """A stage of dvc.lock."""

    cmd: str | list[str]
    deps: list[Entry] = []
    params: dict[str, dict[str, Any]] = {}
    outs: list[Entry] = []


RUNS = TypeAdapter(dict[str, Run])


def read_lock() -> dict[str, Any]:
    """What dvc.lock records of each stage.

    Raises:
        UserError: if there is none, or it is not one of DVC's, as with the marks of a conflict, or
            where DVC wrote only a part of it.
    """
    if not LOCK.is_file():
        raise UserError(f"no {str(LOCK)!r}: nothing has run; run `dvc repro`")
    try:
        return _parse(read_yaml(LOCK))
    except UserError as error:
        mend = f"git checkout HEAD -- {LOCK}" if _is_committed() else f"rm {LOCK}"
        raise UserError(f"{error}; run `{mend}`, then `dvc repro`") from None


def _parse(content: Any) -> dict[str, Any]:
    try:
        stages: dict[str, Any] = content["stages"]
        RUNS.validate_python(stages)
    except (KeyError, TypeError, ValidationError):
        raise UserError(f"{LOCK} is not one of DVC's") from None
    return stages


def _is_committed() -> bool:
    """Whether the last commit has a dvc.lock that DVC can read."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "dvc.lock")
        path.write_text(git("show", f"HEAD:./{LOCK}"), encoding="utf-8")
        try:
            _parse(read_yaml(path))
        except UserError:
            return False
    return True


def check_lock(
    lock: Mapping[str, Any], stages: Mapping[str, Declared], entries: Entries
) -> Iterator[str]:
    """Whether the stages are those of dvc.yaml, and each path has one hash in all of them."""
    absent = [name for name in stages if name not in lock]
    if absent:
        yield f"{LOCK} has no run of {listed(absent)}; run `dvc repro`"
    for name in lock:
        if name not in stages:
            yield (
                f"{LOCK} has a run of {quoted(name)}, which dvc.yaml does not have; delete its "
                f"lines there"
            )
    changed = [name for name in stages if name in lock and _differs(stages[name], lock[name])]
    if changed:
        yield (
            f"{LOCK} records another command, deps or outs than dvc.yaml has for "
            f"{listed(changed)}; run `dvc repro`"
        )
    several = [path for path, hashes in _hashes(lock, entries).items() if len(hashes) > 1]
    if several:
        yield (
            f"{LOCK} has more than one hash of {listed(several)}: no complete run left it, but "
            f"a part of one, or a merge; run `dvc repro`"
        )


def _differs(stage: Declared, recorded: Mapping[str, Any]) -> bool:
    return (
        stage.command != recorded.get("cmd")
        or stage.deps != {dep["path"] for dep in recorded.get("deps", [])}
        or stage.outs != {out["path"] for out in recorded.get("outs", [])}
    )


def _hashes(lock: Mapping[str, Any], entries: Entries) -> dict[str, set[str]]:
    """All hashes of each path: as a dep, as an out, or as a file of a folder that is an out."""
    hashes = defaultdict(set)
    outs = [out for stage in lock.values() for out in stage.get("outs", [])]
    deps = [dep for stage in lock.values() for dep in stage.get("deps", [])]
    for entry in outs + deps:
        hashes[entry["path"]].add(str(entry.get("md5")))
    for out in outs:
        prefix = f"{out['path']}/"
        below = {path for path in hashes if path.startswith(prefix)}
        files = entries(str(out.get("md5"))) if below else {}
        for path in below:
            if path.removeprefix(prefix) in files:
                hashes[path].add(files[path.removeprefix(prefix)])
    return hashes


def check_params(lock: Mapping[str, Any], params: Any) -> Iterator[str]:
    """Whether params.yaml has the values that the stages ran with."""
    differing: list[str] = []
    for stage in lock.values():
        for key, recorded in stage.get("params", {}).get("params.yaml", {}).items():
            differing += _differing(str(key), _value(params, str(key)), recorded)
    if differing:
        keys = listed(list(dict.fromkeys(differing)))
        yield f"params.yaml differs from {LOCK} in {keys}; run `dvc repro`"


def _value(params: Any, key: str) -> Any:
    """The value of `section` or `section.name`; None if it is not there."""
    for name in key.split("."):
        if isinstance(params, list) and name.isdecimal() and int(name) < len(params):
            params = params[int(name)]  # as DVC does: `section.names.0`
        else:
            params = params.get(name) if isinstance(params, dict) else None
    return params


def _differing(key: str, value: Any, recorded: Any) -> list[str]:
    """The keys of the parameters in which a value, or a section, differs from what is recorded."""
    if not isinstance(recorded, dict):
        return [] if value == recorded else [key]
    values = value if isinstance(value, dict) else {}
    return [
        f"{key}.{name}"
        for name in [*recorded, *(set(values) - set(recorded))]
        if name not in values or name not in recorded or values[name] != recorded[name]
    ]
