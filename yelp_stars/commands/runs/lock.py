"""dvc.lock: what DVC recorded of the last run of each stage."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from yelp_stars.commands.runs.git import ask_git
from yelp_stars.pipeline.errors import Damaged, Missing, UserError
from yelp_stars.pipeline.text import quoted
from yelp_stars.pipeline.yaml_file import parse_yaml

LOCK = Path("dvc.lock")
FIX = f"run `git checkout HEAD -- {LOCK}`, or `rm {LOCK}` if none is whole, then `dvc repro`"


class Entry(BaseModel, strict=True):
    """A dep or out. If a value is cut off, DVC was killed while writing the file."""

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
    """By file."""
    outs: list[Entry] = []


Stages = dict[str, Run]
"""Last run of each stage."""
_STAGES = TypeAdapter(Stages)


def read_lock() -> Stages:
    """Read the dvc.lock of the workspace; Missing if nothing has run, Damaged if DVC was killed."""
    if not LOCK.is_file():
        raise Missing(f"no {str(LOCK)!r}: nothing has run", advice="run `dvc repro`")
    return _parse(LOCK.read_bytes(), str(LOCK), FIX)


def read_lock_at(commit: str, revision: str) -> Stages:
    """Read the dvc.lock of a commit, which the user calls `revision`; empty if it has none."""
    content = ask_git("show", f"{commit}:./{LOCK}").encode()
    name = f"the {LOCK} of {quoted(revision)}"
    return _parse(content, name, "name another revision") if content else {}


def _parse(content: bytes, name: str, advice: str) -> Stages:
    try:
        return _STAGES.validate_python(parse_yaml(content, name)["stages"])
    except (UserError, KeyError, TypeError, ValidationError):
        raise Damaged(f"{name} is not a valid dvc.lock", advice=advice) from None


def recorded_hash(lock: Stages, stage: str, kind: Literal["deps", "outs"], path: str) -> str:
    """Return the hash that dvc.lock records of a dep or an out of a stage."""
    for entry in getattr(lock[stage], kind) if stage in lock else []:
        if entry.path == path:
            return str(entry.md5)
    raise Missing(f"{LOCK} has no run of the stage {stage!r}", advice="run `dvc repro`")


def flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Return the values of nested mappings by their keys: "train.learning_rate": 0.0001."""
    if not isinstance(tree, dict) or (prefix and not tree):
        return {prefix: tree}
    values: dict[str, Any] = {}
    for key, value in tree.items():
        values |= flat(value, f"{prefix}.{key}" if prefix else str(key))
    return values
