"""Pictures of a run as SVG, the same bytes for the same numbers."""

import io
import math
import warnings
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.text import Text

matplotlib.rcdefaults()  # no matplotlibrc of the user's changes a byte
matplotlib.rcParams["svg.hashsalt"] = "yelp-stars"  # or the ids in the file are random
matplotlib.rcParams["text.parse_math"] = False  # a $ in a class name does not start a formula

MAX_LABELLED = 30  # classes
Curve = list[tuple[float, float]]  # (step, value)

DOTS: dict[str, Any] = {"fmt": "o", "color": "tab:blue", "markersize": 4, "linewidth": 1}


def draw_training_curves(curves: dict[str, Curve]) -> bytes:
    """Draw training and validation loss, and validation accuracy, over the steps."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    loss.plot(*columns(curves["train/loss"]), color="tab:blue", label="training")
    validation = columns(curves["validation/loss"])
    loss.plot(*validation, "o-", color="tab:orange", label="validation")
    loss.set(xlabel="step", ylabel="loss")
    loss.legend(frameon=False)
    accuracy.plot(*columns(curves["validation/accuracy"]), "o-", color="tab:orange")
    accuracy.set(xlabel="step", ylabel="validation accuracy")
    return svg(figure)


def draw_confusion_matrix(counts: np.ndarray, names: list[str], title: str) -> bytes:
    """Draw counts (classes, classes), actual by predicted, and the share of each row in percent.

    Of more than `MAX_LABELLED` classes, every second, third... has its name, and no cell a number.
    """
    step = math.ceil(len(names) / MAX_LABELLED)
    size = 2.4 + 0.55 * min(max(len(names), 4), MAX_LABELLED)
    figure = Figure(figsize=(size + 0.6, size), layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(0, len(names), step)
    axes.set_xticks(ticks, names[::step], rotation=30, ha="right")
    axes.set_yticks(ticks, names[::step])
    for row in ticks if step == 1 else ():
        for column in ticks:
            share, color = shares[row, column], "white" if shares[row, column] > 0.5 else "black"
            text = f"{counts[row, column]:,}\n{100 * share:.0f} %"
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize="small")
    axes.set(xlabel="predicted class", ylabel="actual class (each row: 100 %)", title=title)
    return svg(figure)


def draw_scores(
    scores: list[tuple[str, dict[str, Any]]], overall: dict[str, Any], title: str
) -> bytes:
    """Draw named scores with their intervals, beside that of all rows."""
    figure = Figure(figsize=(6.4, 1.2 + 0.32 * len(scores)), layout="constrained")
    axes = figure.subplots()
    axes.axvspan(overall["low"], overall["high"], color="tab:blue", alpha=0.15, linewidth=0)
    axes.axvline(overall["value"], color="tab:blue", linewidth=1)
    values, ends = _intervals([score for _, score in scores], "value")
    axes.errorbar(values, range(len(scores)), xerr=ends, **DOTS)
    axes.set_yticks(range(len(scores)), [f"{name} ({score['n']:,})" for name, score in scores])
    axes.invert_yaxis()
    axes.set(xlabel=title, xlim=(0, 1))
    return svg(figure)


def draw_calibration(bins: dict[str, list[dict[str, Any]]]) -> bytes:
    """Draw the accuracy of each bin of probabilities, without and with the temperature."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for axes, (when, rows) in zip(figure.subplots(1, 2, sharey=True), bins.items(), strict=True):
        axes.plot([0, 1], [0, 1], color="gray", linewidth=1)
        values, ends = _intervals(rows)
        axes.errorbar(_column(rows, "probability"), values, yerr=ends, **DOTS)
        axes.set(title=f"{when} temperature scaling", xlabel="probability", xlim=(0, 1))
        axes.set(ylim=(0, 1), ylabel="accuracy" if when == "before" else "")
    return svg(figure)


def draw_risk_coverage(points: list[dict[str, Any]]) -> bytes:
    """Draw the accuracy of the surest rows over the share that a person checks."""
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    at = 100 * _column(points, "to_a_person")
    ends = _column(points, "low"), _column(points, "high")
    axes.fill_between(at, *ends, color="tab:blue", alpha=0.15, linewidth=0)
    axes.plot(at, _column(points, "accuracy"), "o-", color="tab:blue")
    axes.set(xlabel="% of the rows, the least sure, for a person", ylabel="accuracy of the others")
    return svg(figure)


def columns(curve: Curve) -> np.ndarray:
    """Return the steps and the values of a curve, (2, points)."""
    return np.reshape(curve, (-1, 2)).T


def _column(rows: list[dict[str, Any]], name: str) -> np.ndarray:
    return np.array([row[name] for row in rows])


def _intervals(
    rows: list[dict[str, Any]], key: str = "accuracy"
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return values, and the distances to the ends of their intervals, below and above."""
    values = _column(rows, key)
    return values, [values - _column(rows, "low"), _column(rows, "high") - values]


def svg(figure: Figure) -> bytes:
    """Write text as lines, or as text for the viewer's fonts where ours lacks a letter."""
    font = get_font(findfont(FontProperties()))
    shown = "".join(text.get_text() for text in figure.findobj(Text))
    lacking = any(not font.get_char_index(ord(letter)) for letter in shown if letter > "~")
    style: dict[Any, Any] = {"svg.fonttype": "none" if lacking else "path"}
    file = io.BytesIO()
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()
