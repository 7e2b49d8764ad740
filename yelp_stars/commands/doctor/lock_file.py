"""dvc.lock against itself, dvc.yaml and params.yaml: is it the record of one run?"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from yelp_stars.commands.runs.lock import LOCK, Run, Stages, flat
from yelp_stars.commands.runs.pipeline_file import outs_of
from yelp_stars.pipeline.text import listed, quoted

Entries = Callable[[str], Mapping[str, str]]
"""Hash of each file of a folder, by the folder's hash; empty if DVC's cache lacks it."""


def check_lock(lock: Stages, stages: Mapping[str, Any], entries: Entries) -> Iterator[str]:
    """Check that the stages are those of dvc.yaml, and each path has one hash in all of them."""
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
            f"{LOCK} and dvc.yaml have a different command, deps or outs for "
            f"{listed(changed)}; run `dvc repro`"
        )
    several = [path for path, hashes in _hashes(lock, entries).items() if len(hashes) > 1]
    if several:
        yield (
            f"{LOCK} has more than one hash of {listed(several)}: it was left by a "
            f"partial run or a merge; run `dvc repro`"
        )


def _differs(stage: dict[str, Any], run: Run) -> bool:
    declared = (stage["cmd"], {*stage.get("deps", [])}, {*outs_of(stage)})
    return declared != (run.cmd, {dep.path for dep in run.deps}, {out.path for out in run.outs})


def _hashes(lock: Stages, entries: Entries) -> dict[str, set[str]]:
    """Return all hashes of each path: as a dep, as an out, or as a file in a folder."""
    hashes: dict[str, set[str]] = defaultdict(set)
    outs = [out for run in lock.values() for out in run.outs]
    for entry in [*outs, *(dep for run in lock.values() for dep in run.deps)]:
        hashes[entry.path].add(entry.md5)
    for out in outs:
        prefix = f"{out.path}/"
        below = [path for path in hashes if path.startswith(prefix)]
        files = entries(out.md5) if below else {}
        for path in below:
            if path.removeprefix(prefix) in files:
                hashes[path].add(files[path.removeprefix(prefix)])
    return hashes


def check_params(lock: Stages, params: Any) -> Iterator[str]:
    """Check that params.yaml has the values that the stages ran with."""
    now = flat(params)
    differing: dict[str, None] = {}
    for run in lock.values():
        for section, values in run.params.get("params.yaml", {}).items():
            ran = flat({section: values})
            new = [key for key in now if key.startswith(f"{section}.") and key not in ran]
            changed = [key for key in ran if key not in now or now[key] != ran[key]]
            differing |= dict.fromkeys(changed + new)
    if differing:
        yield f"params.yaml differs from {LOCK} in {listed([*differing])}; run `dvc repro`"
