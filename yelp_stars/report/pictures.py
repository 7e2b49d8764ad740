"""Pictures that only the report has, as SVG; its others are those of plots/."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from yelp_stars.pipeline.text import printable
from yelp_stars.report.texts import CLASSES
from yelp_stars.scoring import plots

COLOURS = "tab:blue", "tab:orange"  # as in plots/
LONGEST_NAME = 24  # of a class, in characters
POINTS = 300  # of a curve: more are not seen
# Load of the machine: title, end of the y axis, and files of DVCLive, which may be missing.
SYSTEM = Path("plots", "metrics", "system")
LOADS = {
    "busy": ("% busy", 105, {"CPU": "cpu/usage (%).tsv", "GPU 0": "gpu/usage (%)/0.tsv"}),
    "memory": ("GB", None, {"RAM": "ram/usage (GB).tsv", "GPU 0": "vram/usage (GB)/0.tsv"}),
}


def draw(
    audit: dict[str, Any], evaluation: dict[str, Any], training: Path, dvclive: Path
) -> dict[str, bytes]:
    """Draw all of them by name, from the contents of metrics/, plots/training and dvclive."""
    labels = {
        split: dict(list(audit[split]["labels"].items())[:CLASSES]) for split in ("train", "test")
    }
    scored = [
        (printable(row["label"], LONGEST_NAME), row["f1"] | {"n": row["recall"]["n"]})
        for row in evaluation["per_class"]
        if row["f1"]["value"] is not None
    ]
    rates = [(float(at), float(rate)) for at, rate in _rows(training / "train_learning_rate.tsv")]
    drawn = {
        "labels": bars(labels),
        "classes": plots.draw_scores(scored[:CLASSES], evaluation["scores"]["macro_f1"], "F1"),
        "learning_rate": lines("learning rate", {"rate": rates}, "step"),
    }
    for name, (title, top, files) in LOADS.items():
        loads = {of: read_load(dvclive / SYSTEM / file) for of, file in files.items()}
        loads = {of: load for of, load in loads.items() if load}
        if loads:
            drawn[name] = lines(f"{' and '.join(loads)}, {title}", loads, "minutes", top)
    return drawn


def read_load(path: Path) -> plots.Curve:
    """Read a curve of DVCLive over the minutes of the training; empty if there is none."""
    rows = _rows(path) if path.is_file() else []
    if len(rows) > 1:
        # DVCLive 3.49 ends in the middle of an interval, and divides by a complete one.
        rows.pop()
    thinned = rows[:: max(1, len(rows) // POINTS)]
    # In milliseconds.
    return [((float(at) - float(rows[0][0])) / 60_000, float(value)) for at, _, value in thinned]


def _rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter="\t"))[1:]


def lines(y: str, curves: Mapping[str, plots.Curve], x: str, top: float | None = None) -> bytes:
    """Draw one or two curves over the same x; the axis `y` starts at 0 and ends at `top`."""
    figure = Figure(figsize=(4.6, 2.9), layout="constrained")
    axes = figure.subplots()
    for (name, curve), color in zip(curves.items(), COLOURS):
        axes.plot(*plots.columns(curve), "o-" if len(curve) <= 20 else "-", color=color, label=name)
    axes.set(xlabel=x, ylabel=y)
    axes.axhline(0, linewidth=0)  # or a flat curve would touch the top
    axes.set_ylim(0, top)
    if len(curves) > 1:
        axes.legend(frameon=False)
    return plots.svg(figure)


def bars(groups: Mapping[str, Mapping[str, int]]) -> bytes:
    """Draw the share of each label in two splits, as horizontal bars."""
    names = list(next(iter(groups.values())))
    figure = Figure(figsize=(6.4, 1.1 + 0.32 * len(names)), layout="constrained")
    axes = figure.subplots()
    for number, ((group, counts), color) in enumerate(zip(groups.items(), COLOURS)):
        total = max(1, sum(counts.values()))
        heights = [index + 0.4 * number for index in range(len(names))]
        shares = [100 * counts[name] / total for name in names]
        axes.barh(heights, shares, 0.4, color=color, label=group)
    middles = [index + 0.2 for index in range(len(names))]
    axes.set_yticks(middles, [printable(name, LONGEST_NAME) for name in names])
    axes.invert_yaxis()
    axes.set(xlabel="% of the rows")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
    return plots.svg(figure)
