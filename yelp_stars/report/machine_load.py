"""What DVCLive recorded while the model was trained."""

import csv
from pathlib import Path
from typing import NamedTuple

POINTS = 300  # of a curve: more are not seen


class Load(NamedTuple):
    """Curves over the minutes of the training."""

    busy: dict[str, list[tuple[float, float]]]
    """Percent of the CPU, and of the first GPU."""
    memory: dict[str, list[tuple[float, float]]]
    """Gigabytes of RAM, and of the first GPU's memory."""


def read_load(dvclive: Path) -> Load:
    """Read the curves of the machine; those that were not recorded are missing."""
    system = dvclive / "plots" / "metrics" / "system"
    busy = {
        "CPU": system / "cpu" / "usage (%).tsv",
        "GPU 0": system / "gpu" / "usage (%)" / "0.tsv",
    }
    memory = {
        "RAM": system / "ram" / "usage (GB).tsv",
        "GPU 0": system / "vram" / "usage (GB)" / "0.tsv",
    }
    return Load(_curves(busy), _curves(memory))


def read_curve(path: Path) -> list[tuple[float, float]]:
    """Read the two columns of a TSV of `plots/training`: step and value."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))[1:]
    return [(float(step), float(value)) for step, value in rows]


def _curves(files: dict[str, Path]) -> dict[str, list[tuple[float, float]]]:
    found = {}
    for name, path in files.items():
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.reader(file, delimiter="\t"))[1:]
            if len(rows) > 1:
                # DVCLive 3.49 ends in the middle of an interval, and divides by a complete one.
                rows.pop()
            rows = rows[:: max(1, len(rows) // POINTS)]
            start = float(rows[0][0]) if rows else 0.0
            found[name] = [((float(at) - start) / 60_000, float(value)) for at, _, value in rows]
    return {name: curve for name, curve in found.items() if curve}
