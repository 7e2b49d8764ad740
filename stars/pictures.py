"""Pictures of a run as SVG, the same bytes for the same numbers."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

STYLE: dict[Any, Any] = {
    "svg.hashsalt": "yelp-stars",  # or the ids in the file are random
    "svg.fonttype": "path",
    "text.parse_math": False,  # a $ in a class name starts no formula
}


@matplotlib.rc_context(STYLE)
def training_curves(curves: dict[str, list[tuple[int, float]]], path: Path) -> None:
    """Training and validation loss, and validation accuracy, over the steps."""
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
def confusion_matrix(counts: np.ndarray, names: list[str], title: str, path: Path) -> None:
    """Counts (classes, classes), actual by predicted; shaded by the share of each row."""
    size = 2.4 + 0.55 * len(names)
    figure = Figure(figsize=(size + 0.6, size), layout="constrained")
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    places = range(len(names))
    axes.set_xticks(places, names, rotation=30, ha="right")
    axes.set_yticks(places, names)
    for row in places:
        for place in places:
            shade = "white" if shares[row, place] > 0.5 else "black"
            axes.text(place, row, f"{counts[row, place]:,}", ha="center", va="center", color=shade)
    axes.set(xlabel="predicted", ylabel="actual", title=title)
    _save(figure, path)


def _columns(pairs: list[tuple[int, float]]) -> tuple[list[int], list[float]]:
    return [step for step, _ in pairs], [value for _, value in pairs]


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
