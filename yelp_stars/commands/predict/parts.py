"""Keep the finished windows of a running prediction in OUT.part, a folder beside OUT.

A process that is killed at any time loses at most the window that it computes. The folder knows
input, model and options; the same command finds it and resumes.
"""

import contextlib
import filecmp
import hashlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.files import locked, read_object, replacing, sha256_of, write_json
from yelp_stars.pipeline.text import listed, quoted

MANIFEST = "manifest.json"
LOCK = "lock"


class Parts(NamedTuple):
    """Finished windows of a folder, in order."""

    folder: Path
    records: list[dict[str, Any]]
    """The record of each window."""

    @property
    def paths(self) -> list[Path]:
        """Return the file of each window."""
        return [self._path(number) for number in range(len(self.records))]

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:07}"

    def add(self, content: bytes, record: dict[str, Any]) -> None:
        """Write a window; its record comes last, and makes it finished."""
        path = self._path(len(self.records))
        with replacing(path) as partial:
            partial.write_bytes(content)
        record = {**record, "sha256": hashlib.sha256(content).hexdigest()}
        write_json(path.with_suffix(".json"), record)
        self.records.append(record)


def check_new(written: Path, path: Path, option: str, force: bool) -> None:
    """Check that `path` is none, or the same as `written`: of a command killed at its very end."""
    if path.exists() and not force and not filecmp.cmp(written, path, shallow=False):
        raise UserError(f"{quoted(str(path))} exists; choose another {option}, or add --force")


@contextlib.contextmanager
def open_parts(output: Path, key: dict[str, Any]) -> Iterator[Parts]:
    """Create the folder, or find the finished windows of the run with the same `key`."""
    folder = output.with_name(f"{output.name}.part")
    known, problem = read_object(folder / MANIFEST), ""
    ours = {LOCK, f".{MANIFEST}.partial"}
    if not known and {path.name for path in folder.glob("*")} - ours:
        problem = "does not belong to `stars predict`, or is damaged"
    elif known and known != key:
        names = [name for name in {**known, **key} if known.get(name) != key.get(name)]
        problem = f"was started with another {listed(names, 3)}"
    if problem:
        advice = "run the command that started it, choose another -o, or delete that folder"
        raise UserError(f"{quoted(str(folder))} {problem}", advice=advice)
    folder.mkdir(parents=True, exist_ok=True)
    problem = f"another process is writing {quoted(str(output))}; wait, or choose another -o"
    with locked(folder / LOCK, problem):
        write_json(folder / MANIFEST, key)
        yield Parts(folder, list(_finished(folder)))


def _finished(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the record of each window, up to the first that is not there as it was written."""
    for number in itertools.count():
        path = folder / f"{number:07}"
        record = read_object(path.with_suffix(".json"))
        if not path.is_file() or sha256_of(path) != record.get("sha256"):
            return
        yield record
