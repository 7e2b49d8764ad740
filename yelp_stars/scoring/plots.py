"""Pictures of a run as SVG, the same bytes for the same numbers."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

Curve = list[tuple[int, float]]  # (step, value)

STYLE: dict[Any, Any] = {
    "svg.hashsalt": "yelp-stars",  # or the ids in the file are random
    "svg.fonttype": "path",
    "text.parse_math": False,  # a $ in a class name does not start a formula
}


@matplotlib.rc_context(STYLE)
def draw_training_curves(curves: dict[str, Curve], path: Path) -> None:
    """Draw training and validation loss, and validation accuracy, over the steps."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    loss.plot(*_columns(curves["train/loss"]), color="tab:blue", label="training")
    loss.plot(*_columns(curves["validation/loss"]), "o-", color="tab:orange", label="validation")
    loss.set(xlabel="step", ylabel="loss")
    loss.legend(frameon=False)
    accuracy.plot(*_columns(curves["validation/accuracy"]), "o-", color="tab:orange")
    accuracy.set(xlabel="step", ylabel="validation accuracy", ylim=(0, 1))
    _save(figure, path)


@matplotlib.rc_context(STYLE)
def draw_confusion_matrix(counts: np.ndarray, names: list[str], title: str, path: Path) -> None:
    """Draw counts (classes, classes), actual by predicted, shaded by the share of each row."""
    size = 2.4 + 0.55 * len(names)
    figure = Figure(figsize=(size + 0.6, size), layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(names))
    axes.set_xticks(ticks, names, rotation=30, ha="right")
    axes.set_yticks(ticks, names)
    for row in ticks:
        for column in ticks:
            color = "white" if shares[row, column] > 0.5 else "black"
            axes.text(
                column, row, f"{counts[row, column]:,}", ha="center", va="center", color=color
            )
    axes.set(xlabel="predicted", ylabel="actual", title=title)
    _save(figure, path)


def _columns(curve: Curve) -> tuple[list[int], list[float]]:
    return [step for step, _ in curve], [value for _, value in curve]


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
