"""What an evaluation leaves behind: predictions, tables for `dvc plots`, a picture."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from yelp_stars.analysis import predictions
from yelp_stars.data import arrow
from yelp_stars.scoring import metrics, plots


def write_predictions(raw: Path, table: pa.Table, logits: np.ndarray, path: Path) -> None:
    """Write what the model says about the rows of a sample that was drawn from `raw`."""
    rows = arrow.column(table, "row")
    predictions.write(
        predictions.Predictions(
            rows,
            predictions.text_hashes(raw, rows),
            arrow.column(table, "label"),
            logits,
            arrow.label_names(table.schema),
            arrow.ordered(table.schema),
        ),
        path,
    )


def write_plots(
    logits: np.ndarray, labels: np.ndarray, names: list[str], title: str, folder: Path
) -> None:
    """Write the confusion matrix and the scores of each class, as tables and as a picture."""
    folder.mkdir()
    predicted = logits.argmax(axis=1)
    _write_csv(
        folder / "confusion.csv",
        [
            {"actual": names[label], "predicted": names[guess]}
            for label, guess in zip(labels, predicted, strict=True)
        ],
    )
    _write_csv(folder / "per_class.csv", metrics.per_class(logits, labels, names))
    counts = metrics.confusion_matrix(logits, labels)
    plots.draw_confusion_matrix(counts, names, title, folder / "confusion.svg")


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
