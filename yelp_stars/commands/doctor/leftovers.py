"""Find leftovers of killed runs: locks, unfinished outputs, copies for experiments."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from yelp_stars.pipeline.text import shell_word

# Where stages write; `replacing` and DVC name what is being written.
FOLDERS = ("data", "models", "metrics", "plots", "reports")
PARTIAL = ".*.partial"
SHOWN = 5


def check_leftovers(tmp: Path, cache: Path) -> Iterator[str]:
    """Find locks that block, and files that take space, unless a run is in progress here."""
    if _is_busy(Path.cwd()):
        return
    rwlock = tmp / "rwlock"
    held = _read(rwlock)
    if held is None or any(held.values()):
        what = "is damaged" if held is None else "holds locks of processes that have ended"
        yield f"{os.path.relpath(rwlock)} {what}; {_remove([rwlock])}"
    files = [path for name in FOLDERS for path in Path(name).rglob(PARTIAL)]
    files += Path().glob(PARTIAL)
    if cache.resolve().is_relative_to(Path.cwd()):  # else another project may be writing there
        files += cache.glob("??/*.tmp")
    if files:
        yield f"{len(files):,} unfinished outputs of killed runs take space; {_remove(files)}"
    copies = [*tmp.glob("exps/standalone/tmp*"), *tmp.glob("exps/tmp*")]
    if copies:
        # DVC's records of them say that they run.
        records = [
            path.parent
            for path in tmp.glob("exps/**/*.run")
            if Path((_read(path) or {}).get("root_dir") or "") in copies
        ]
        yield (
            f"{len(copies):,} copies of the project of killed experiments take space; "
            f"{_remove([*copies, *records])}"
        )


def _is_busy(project: Path) -> bool:
    """Return whether anything that writes runs in the project's folder, or in a copy below it."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):  # it ended, or is another user's
            if _writes(process.cmdline()) and Path(process.cwd()).is_relative_to(project):
                return True
    return False


def _writes(words: list[str]) -> bool:
    """Return whether a command line is one of a stage, of DVC, or of ours that writes files."""
    names = {Path(word).name for word in words}
    # Other commands of ours that write start DVC.
    is_ours = bool(names & {"stars", "yelp_stars.cli"} and "predict" in names)
    return is_ours or "dvc" in names or "stages." in " ".join(words)


def _read(path: Path) -> dict[str, Any] | None:
    """Return the content of a file of DVC's; None if it is damaged."""
    try:
        return json.loads(path.read_text("utf-8")) if path.is_file() else {}
    except ValueError:
        return None


def _remove(paths: list[Path]) -> str:
    paths = [Path(os.path.relpath(path)) for path in paths]
    more = ", and run `stars doctor` again" if len(paths) > SHOWN else ""
    return f"run `rm -rf {' '.join(map(shell_word, paths[:SHOWN]))}`{more}"
