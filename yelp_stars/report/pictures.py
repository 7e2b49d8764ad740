"""Pictures that only the report has, as SVG; its others are those of plots/."""

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from yelp_stars.pipeline.text import printable
from yelp_stars.report.machine_load import Curve, MachineLoad
from yelp_stars.report.texts import CLASSES

BLUE, ORANGE = COLOURS = "tab:blue", "tab:orange"  # as in plots/
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "yelp-stars",  # or the ids in the file are random
    "svg.fonttype": "none",  # the browser has the letters that our font lacks
    "text.parse_math": False,  # a $ in a class name does not start a formula
}
LONGEST_NAME = 24  # of a class, in characters


def draw(
    audit: dict[str, Any], evaluation: dict[str, Any], learning_rate: Curve, load: MachineLoad
) -> dict[str, bytes]:
    """Draw all of them by name, from the contents of metrics/ and the curves of the training."""
    labels = {
        split: dict(list(audit[split]["labels"].items())[:CLASSES]) for split in ("train", "test")
    }
    scored = [row for row in evaluation["per_class"] if row["f1"]["value"] is not None]
    drawn = {
        "labels": bars(labels),
        "classes": dots(
            [(row["label"], row["f1"] | {"n": row["recall"]["n"]}) for row in scored[:CLASSES]],
            "F1",
            evaluation["scores"]["macro_f1"],
        ),
        "learning_rate": lines("Learning rate", {"rate": learning_rate}, "step"),
    }
    if load.busy:
        drawn["busy"] = lines(f"{' and '.join(load.busy)}, % busy", load.busy, "minutes", 105)
    if load.memory:
        drawn["memory"] = lines(f"{' and '.join(load.memory)}, GB", load.memory, "minutes")
    return drawn


def lines(title: str, curves: Mapping[str, Curve], x: str, top: float | None = None) -> bytes:
    """Draw one or two curves over the same x; the y axis starts at 0 and ends at `top`."""

    def plot(axes: Axes) -> None:
        for (name, curve), color in zip(curves.items(), COLOURS):
            steps, values = zip(*curve) if curve else ((), ())
            axes.plot(steps, values, "o-" if len(curve) <= 20 else "-", color=color, label=name)
        axes.set(xlabel=x, title=title)
        axes.set_ylim(0, top)
        if len(curves) > 1:
            axes.legend(frameon=False)

    return _svg((4.6, 2.9), plot)


def bars(groups: Mapping[str, Mapping[str, int]]) -> bytes:
    """Draw the share of each label in two splits, as horizontal bars."""
    names = list(next(iter(groups.values())))

    def plot(axes: Axes) -> None:
        for number, ((group, counts), color) in enumerate(zip(groups.items(), COLOURS)):
            total = max(1, sum(counts.values()))
            heights = [index + 0.4 * number for index in range(len(names))]
            shares = [100 * counts[name] / total for name in names]
            axes.barh(heights, shares, 0.4, color=color, label=group)
        middles = [index + 0.2 for index in range(len(names))]
        axes.set_yticks(middles, [printable(name, LONGEST_NAME) for name in names])
        axes.invert_yaxis()
        axes.set(xlabel="% of the reviews")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)

    return _svg((4.6, 1.1 + 0.32 * len(names)), plot)


def dots(rows: Sequence[tuple[str, dict[str, Any]]], x: str, overall: dict[str, Any]) -> bytes:
    """Draw the score of each row with its interval, beside the `overall` score."""

    def plot(axes: Axes) -> None:
        axes.axvspan(overall["low"], overall["high"], color=BLUE, alpha=0.15, linewidth=0)
        axes.axvline(overall["value"], color=BLUE, linewidth=1)
        scores = [score for _, score in rows]
        values = [score["value"] for score in scores]
        distances = [
            [abs(score["value"] - score[end]) for score in scores] for end in ("low", "high")
        ]
        ticks = range(len(rows))
        axes.errorbar(values, ticks, xerr=distances, fmt="o", color=BLUE, markersize=4, linewidth=1)
        names = [f"{printable(name, LONGEST_NAME)} ({score['n']:,})" for name, score in rows]
        axes.set_yticks(ticks, names)
        axes.set(xlabel=x, xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5))

    return _svg((4.6, 1.0 + 0.3 * len(rows)), plot)


def _svg(size: tuple[float, float], plot: Callable[[Axes], None]) -> bytes:
    """Return what `plot` draws, of `size` in inches."""
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=size, layout="constrained")
        plot(figure.subplots())
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()
