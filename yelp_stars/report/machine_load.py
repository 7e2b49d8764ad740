"""Curves that DVCLive recorded while the model was trained."""

import csv
from pathlib import Path
from typing import NamedTuple

POINTS = 300  # of a curve: more are not seen

Curve = list[tuple[float, float]]


class MachineLoad(NamedTuple):
    """Curves over the minutes of the training; those that were not recorded are missing."""

    busy: dict[str, Curve]
    """Load of the CPU and of the first GPU, in percent."""
    memory: dict[str, Curve]
    """Used RAM and memory of the first GPU, in gigabytes."""


def read_load(dvclive: Path) -> MachineLoad:
    """Read the load of the machine from DVCLive's folder."""
    system = dvclive / "plots" / "metrics" / "system"
    busy = {
        "CPU": system / "cpu" / "usage (%).tsv",
        "GPU 0": system / "gpu" / "usage (%)" / "0.tsv",
    }
    memory = {
        "RAM": system / "ram" / "usage (GB).tsv",
        "GPU 0": system / "vram" / "usage (GB)" / "0.tsv",
    }
    return MachineLoad(_curves(busy), _curves(memory))


def read_curve(path: Path) -> Curve:
    """Read the two columns of a TSV of `plots/training`: step and value."""
    return [(float(step), float(value)) for step, value in _rows(path)]


def _curves(files: dict[str, Path]) -> dict[str, Curve]:
    curves = {}
    for name, path in files.items():
        rows = _rows(path) if path.is_file() else []
        if len(rows) > 1:
            # DVCLive 3.49 ends in the middle of an interval, and divides by a complete one.
            rows.pop()
        if rows:
            start = float(rows[0][0])  # milliseconds
            rows = rows[:: max(1, len(rows) // POINTS)]
            curves[name] = [((float(at) - start) / 60_000, float(value)) for at, _, value in rows]
    return curves


def _rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter="\t"))[1:]
