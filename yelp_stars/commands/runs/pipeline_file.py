"""dvc.yaml: which stages there are, what they read and write, what a change reruns."""

from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.yaml_file import read_yaml


def changed(*targets: str) -> dict[str, list[Any]]:
    """Return what `dvc status` says of the stages, or of `targets` and the stages before them."""
    try:
        return Repo().status(targets=targets, with_deps=bool(targets))
    except DvcException as error:
        raise UserError(f"dvc status: {error}") from None


def read_stages() -> dict[str, dict[str, Any]]:
    """Return the stages of dvc.yaml, in an order in which they can run."""
    return read_yaml(Path("dvc.yaml"))["stages"]


def outs_of(stage: dict[str, Any]) -> list[str]:
    """Return the paths of a stage's outs, metrics and plots."""
    outs = [out for key in ("outs", "metrics", "plots") for out in stage.get(key, [])]
    return [next(iter(out)) if isinstance(out, dict) else out for out in outs]


def inputs() -> list[str]:
    """Return what the stages depend on and do not write."""
    stages = read_stages().values()
    written = [out for stage in stages for out in outs_of(stage)]
    return sorted({dep for stage in stages for dep in stage.get("deps", [])} - {*written})


def affected(changed: set[str]) -> list[str]:
    """Return the stages that are in `changed`, and all stages after them, in order.

    DVC does not answer this: `dvc status` and `dvc repro --dry` name only the first ones.
    """
    rerun: list[str] = []
    outs: list[Path] = []
    for name, stage in read_stages().items():
        deps = [Path(dep) for dep in stage.get("deps", [])]
        after = any(out == dep or out in dep.parents for out in outs for dep in deps)
        if after or name in changed:
            rerun.append(name)
            outs += map(Path, outs_of(stage))
    return rerun
