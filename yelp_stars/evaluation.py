"""What an evaluation leaves behind: predictions, tables for `dvc plots`, a picture."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from yelp_stars.data import arrow
from yelp_stars.scoring import metrics, plots

COLUMNS = {"row": pa.int64(), "label": pa.int64(), "logits": pa.list_(pa.float32())}


def write_predictions(table: pa.Table, logits: np.ndarray, path: Path) -> None:
    """Write row (its number in data/raw), label and logits of each test row, unrounded."""
    schema = arrow.make_schema(COLUMNS, arrow.label_names(table.schema))
    rows, labels = arrow.column(table, "row"), arrow.column(table, "label")

    def batches() -> Iterator[pa.RecordBatch]:
        for start, stop in arrow.batch_ranges(len(table)):
            part = logits[start:stop]
            widths = np.full(len(part), part.shape[1])
            lists = arrow.list_array(part.ravel(), widths, pa.float32())
            yield pa.record_batch([rows[start:stop], labels[start:stop], lists], schema=schema)

    arrow.write(path, schema, batches())


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
