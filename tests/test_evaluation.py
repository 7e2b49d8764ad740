"""What an evaluation leaves behind: tables for `dvc plots`, a picture."""

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from yelp_stars.analysis import predictions
from yelp_stars.data import arrow
from yelp_stars.data.labels import write_reviews
from yelp_stars.evaluation import write_plots, write_predictions
from yelp_stars.scoring.metrics import per_class

NAMES = ["bad", "fair", "good"]


@pytest.fixture
def logits() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2500, 3)).astype(np.float32)


@pytest.fixture
def labels() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 3, 2500)


def test_predictions_lead_back_to_the_rows_of_the_data(tmp_path, logits, labels):
    write_reviews(tmp_path / "raw.arrow", [(0, f"review {row}") for row in range(2600)], NAMES)
    schema = arrow.make_schema({"label": pa.int64(), "row": pa.int64()}, NAMES, ordered=False)
    table = pa.table([labels, 7 + np.arange(len(labels))], schema=schema)
    write_predictions(tmp_path / "raw.arrow", table, logits, tmp_path / "p.parquet")
    found = predictions.read(tmp_path / "p.parquet")
    assert found.rows.tolist() == list(range(7, 2507))
    assert found.labels.tolist() == labels.tolist()
    assert found.logits.tobytes() == logits.tobytes()
    assert found.texts[0] == predictions.text_hash("review 7")
    assert (found.names, found.ordered) == (NAMES, False)


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_confusion_table_has_a_line_for_each_row(tmp_path, logits, labels):
    write_plots(logits, labels, NAMES, "a title", tmp_path / "plots")
    rows = read_csv(tmp_path / "plots" / "confusion.csv")
    expected = zip(labels, logits.argmax(axis=1), strict=True)
    assert [(row["actual"], row["predicted"]) for row in rows] == [
        (NAMES[label], NAMES[guess]) for label, guess in expected
    ]


def test_the_class_table_has_the_scores_of_each_class(tmp_path, logits, labels):
    write_plots(logits, labels, NAMES, "a title", tmp_path / "plots")
    rows = read_csv(tmp_path / "plots" / "per_class.csv")
    expected = per_class(logits, labels, NAMES)
    assert rows == [{key: str(value) for key, value in row.items()} for row in expected]


def test_a_class_name_with_a_comma_or_a_quote_stays_one_value(tmp_path):
    names = ['so, "so"', "good"]
    write_plots(np.eye(2, dtype=np.float32), np.array([0, 1]), names, "", tmp_path / "plots")
    rows = read_csv(tmp_path / "plots" / "confusion.csv")
    assert rows == [{"actual": name, "predicted": name} for name in names]


def test_the_plots_are_the_same_bytes_for_the_same_logits(tmp_path, logits, labels):
    for name in ("a", "b"):
        write_plots(logits, labels, NAMES, "a title", tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["confusion.csv", "confusion.svg", "per_class.csv"]
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
