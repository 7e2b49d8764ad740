"""Pictures of a report: SVG in the colours of the page, light or dark."""

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from yelp_stars.pipeline.text import printable

Curve = Sequence[tuple[float, float]]

# Colours that stand for a variable of the page's style.
INK, MUTED, ACCENT, SECOND = "#010203", "#040506", "#070809", "#0a0b0c"
VARIABLES = {INK: "--ink", MUTED: "--line", ACCENT: "--accent", SECOND: "--second"}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text, in the font of the page
    "text.parse_math": False,  # a $ in a class name does not start a formula
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.edgecolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": MUTED,
    "grid.linewidth": 0.5,
    "grid.alpha": 0.5,
    "axes.axisbelow": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}
LONGEST_NAME = 24  # of a class or slice, in characters


def picture(name: str, size: tuple[float, float], draw: Callable[[Axes], None]) -> str:
    """The SVG that `draw` makes: as wide as its place, without a fixed colour.

    `name` is spoken by screen readers, and keeps its ids apart from those of other pictures.
    """
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        # The browser has the font that matplotlib lacks, of Chinese class names for one.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.subplots())
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    head, rest = svg.split(">", 1)
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    for colour, variable in VARIABLES.items():
        rest = rest.replace(colour, f"var({variable})")
    return f'{head} role="img" aria-label="{name}">{rest}'


def lines(title: str, curves: Mapping[str, Curve], x: str, top: float | None = None) -> str:
    """Draw one or two curves over the same x; `top` is the end of the y axis, which starts at 0."""

    def draw(axes: Axes) -> None:
        for (name, curve), color in zip(curves.items(), (ACCENT, SECOND)):
            style = "o-" if len(curve) <= 20 else "-"
            at, values = zip(*curve) if curve else ((), ())
            axes.plot(at, values, style, color=color, label=name, markersize=4)
        axes.set(xlabel=x, title=title)
        axes.set_ylim(0, top)
        if len(curves) > 1:
            axes.legend()

    return picture(title, (4.2, 2.7), draw)


def bars(title: str, groups: dict[str, dict[str, int]]) -> str:
    """Draw the share of each label in one or two splits, as horizontal bars."""
    names = list(next(iter(groups.values())))
    height = 0.8 / len(groups)

    def draw(axes: Axes) -> None:
        for number, ((group, counts), color) in enumerate(zip(groups.items(), (ACCENT, SECOND))):
            total = max(1, sum(counts.values()))
            at = [place + number * height for place in range(len(names))]
            shares = [100 * counts[name] / total for name in names]
            axes.barh(at, shares, height, color=color, label=group)
        middle = [place + height * (len(groups) - 1) / 2 for place in range(len(names))]
        axes.set_yticks(middle, [printable(name, LONGEST_NAME) for name in names])
        axes.invert_yaxis()
        axes.set(xlabel="% of the reviews")
        axes.grid(axis="y", visible=False)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)

    return picture(title, (4.2, 1.1 + 0.32 * len(names)), draw)


def dots(title: str, rows: Sequence[tuple[str, dict[str, Any]]], x: str, overall: Any) -> str:
    """Draw a score with its interval for each of some rows, beside the score of all."""

    def draw(axes: Axes) -> None:
        if overall is not None:
            axes.axvspan(overall["low"], overall["high"], color=ACCENT, alpha=0.15, linewidth=0)
            axes.axvline(overall["value"], color=ACCENT, linewidth=1)
        _error_bars(axes, [found for _, found in rows], range(len(rows)), "x")
        axes.set_yticks(
            range(len(rows)),
            [f"{printable(name, LONGEST_NAME)} ({found['n']:,})" for name, found in rows],
        )
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set(xlabel=x, xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5), title=title)

    return picture(title, (4.6, 1.0 + 0.3 * len(rows)), draw)


def reliability(title: str, bins: list[dict[str, Any]]) -> str:
    """Draw the accuracy over the probability, in bins."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1)
        found = [{**row, "value": row["accuracy"]} for row in bins]
        _error_bars(axes, found, [row["probability"] for row in bins], "y")
        axes.set(xlabel="probability of the prediction", ylabel="accuracy", title=title)
        axes.set(xlim=(0, 1), ylim=(0, 1))

    return picture(title, (4.2, 3.0), draw)


def risk_coverage(title: str, points: list[dict[str, Any]]) -> str:
    """Draw the accuracy of the surest rows over the share that a person checks."""

    def draw(axes: Axes) -> None:
        at = [100 * point["to_a_person"] for point in points]
        low, high = ([point[end] for point in points] for end in ("low", "high"))
        axes.fill_between(at, low, high, color=ACCENT, alpha=0.15, linewidth=0)
        axes.plot(at, [point["value"] for point in points], "o-", color=ACCENT, markersize=4)
        axes.set(xlabel="% of the reviews, the least sure, for a person")
        axes.set(ylabel="accuracy of the others", title=title)

    return picture(title, (4.2, 3.0), draw)


def _error_bars(
    axes: Axes, rows: Sequence[dict[str, Any]], at: Sequence[float], along: str
) -> None:
    values = [row["value"] for row in rows]
    below = [row["value"] - row["low"] for row in rows]
    above = [row["high"] - row["value"] for row in rows]
    style: dict[str, Any] = {"fmt": "o", "color": ACCENT, "markersize": 4, "linewidth": 1.2}
    if along == "x":
        axes.errorbar(values, at, xerr=[below, above], **style)
    else:
        axes.errorbar(at, values, yerr=[below, above], **style)
