"""Find outs that DVC's cache or a remote lacks, and damaged ones in the cache."""

import json
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from dvc.output import Output
from dvc.repo import Repo
from dvc_data.hashfile.db import HashFileDB
from dvc_data.hashfile.hash import file_md5

from yelp_stars.commands.runs.lock import Entry, Stages
from yelp_stars.pipeline.text import listed, printable, quoted, shell_word


def entries(cache: HashFileDB, md5: str) -> dict[str, str]:
    """Return the hash of each file of a folder, by DVC's list of them; empty without a list."""
    try:
        files = json.loads(Path(cache.oid_to_path(md5)).read_bytes())
        return {file["relpath"]: file["md5"] for file in files}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def check_cache(
    repo: Repo, lock: Stages, status: Mapping[str, Any], remote: str | None
) -> Iterator[str]:
    """Find what the cache lacks, by the status of DVC, or has damaged."""
    lacking = _by_out(repo, status["not_in_cache"])
    uncommitted = status["uncommitted"]
    changed = _by_out(repo, [*uncommitted.get("modified", ()), *uncommitted.get("deleted", ())])
    if lacking and len(lacking) == sum(out.use_cache for out in repo.index.outs):
        fix = "`dvc pull`" if remote else "`dvc repro`"
        print(f"note: DVC's cache has no outs of the last run, as in a new clone; run {fix}")
        return
    for out, paths in lacking.items():
        # By where it still is; nothing touches the workspace.
        if out not in changed:
            fix = f"run `dvc commit {shell_word(out)}`"
        elif remote:
            fix = f"run `dvc fetch {shell_word(out)}`"
        else:
            fix = f"restore it, then run `dvc add {shell_word(out)}`"
            fix = "run `dvc repro`" if out.stage.cmd else fix
        yield f"DVC's cache lacks {listed(paths)}; {fix}"
    for run in lock.values():
        for out in run.outs:
            yield from _check_hashes(repo.cache.local, out, remote)


def _check_hashes(cache: HashFileDB, out: Entry, remote: str | None) -> Iterator[str]:
    """Read what the cache has of an out."""
    files = {f"{out.path}/{name}": md5 for name, md5 in entries(cache, out.md5).items()}
    for path, md5 in {out.path: out.md5, **files}.items():
        stored = cache.oid_to_path(md5)
        if Path(stored).is_file() and file_md5(stored) != md5.removesuffix(".dir"):
            # The out may be a link to the same bytes.
            again = f"`dvc pull {shell_word(out.path)}`" if remote else "`dvc repro`"
            yield (
                f"{quoted(path)} is damaged in DVC's cache; run `rm -rf "
                f"{shell_word(os.path.relpath(stored))} {shell_word(out.path)}`, then {again}"
            )


def check_remote(repo: Repo, status: Mapping[str, Any], name: str) -> Iterator[str]:
    """Find what a remote lacks, by the status of DVC."""
    lacking = _by_out(repo, status["not_in_remote"])
    if lacking and len(lacking) == sum(out.use_cache and out.can_push for out in repo.index.outs):
        yield (
            f"the remote {quoted(name)} has no outs of the last run, or does not answer; run `dvc "
            f"push` where the outs are"
        )
        return
    odb = repo.cloud.get_remote_odb(name)
    for out, paths in lacking.items():
        fix = f"run `dvc push {shell_word(out)}`"
        if f"{out}/" not in paths and out.hash_info.isdir:
            # DVC takes a folder for complete if the remote has the list of its files.
            there = odb.oid_to_path(out.hash_info.value)
            url = there if odb.fs.protocol == "local" else odb.fs.unstrip_protocol(there)
            fix = f"delete {printable(url, 300)}, then {fix}"
        yield f"the remote {quoted(name)} lacks {listed(paths)}; {fix}"


def _by_out(repo: Repo, paths: Collection[str]) -> dict[Output, list[str]]:
    """Group paths, as DVC's status has them, by the out that they are or are in."""
    grouped = {
        out: [path for path in paths if f"{path}/".startswith(f"{out}/")] for out in repo.index.outs
    }
    return {out: inside for out, inside in grouped.items() if inside}
