"""What an evaluation leaves behind: tables for `dvc plots`, pictures, a summary."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from yelp_stars.evaluation import estimates, slices
from yelp_stars.evaluation.outputs import summary, write_plots
from yelp_stars.evaluation.slices import Slice
from yelp_stars.scoring import calibration
from yelp_stars.scoring.metrics import per_class

NAMES = ["bad", "fair", "good"]
TABLES = ("calibration", "confusion", "per_class", "risk_coverage", "slices")
PICTURES = ("calibration", "confusion", "risk_coverage", "slices")


@pytest.fixture(scope="module")
def logits() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2500, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 3, 2500)


def described(logits: np.ndarray, labels: np.ndarray, *parts: Slice) -> dict[str, Any]:
    """What the stage writes to metrics/evaluation.json."""
    names = NAMES[: logits.shape[1]]
    found = estimates.details(
        logits, labels, names, True, calibration.fit(logits, labels, True), resamples=50, seed=0
    )
    lengths = slices.by_length(np.arange(len(labels)), len(labels) + 1)
    return {**found, "slices": slices.score(logits.argmax(1) == labels, [*lengths, *parts])}


@pytest.fixture(scope="module")
def details(logits, labels) -> dict[str, Any]:
    return described(logits, labels)


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_confusion_table_has_a_line_for_each_row(tmp_path, logits, labels, details):
    write_plots(logits, labels, NAMES, details, tmp_path / "plots")
    rows = read_csv(tmp_path / "plots" / "confusion.csv")
    expected = zip(labels, logits.argmax(axis=1), strict=True)
    assert [(row["actual"], row["predicted"]) for row in rows] == [
        (NAMES[label], NAMES[guess]) for label, guess in expected
    ]


def test_the_class_table_has_the_scores_of_each_class(tmp_path, logits, labels, details):
    write_plots(logits, labels, NAMES, details, tmp_path / "plots")
    rows = read_csv(tmp_path / "plots" / "per_class.csv")
    expected = per_class(logits, labels, NAMES)
    assert rows == [{key: str(value) for key, value in row.items()} for row in expected]


def test_the_other_tables_have_the_accuracies_of_the_details(tmp_path, logits, labels, details):
    write_plots(logits, labels, NAMES, details, tmp_path / "plots")
    found = {name: read_csv(tmp_path / "plots" / f"{name}.csv") for name in TABLES}
    assert [row["slice"] for row in found["slices"]] == list(slices.QUARTERS)  # none is truncated
    assert [float(row["accuracy"]) for row in found["slices"]] == [
        part["accuracy"]["value"] for part in details["slices"][:4]
    ]
    assert [float(row["accuracy"]) for row in found["risk_coverage"]] == [
        point["value"] for point in details["risk_coverage"]["points"]
    ]
    bins = details["calibration"]["bins"]
    assert [row["temperature"] for row in found["calibration"]] == [
        when for when, rows in bins.items() for _ in rows
    ]


def test_a_class_or_a_slice_with_a_comma_a_quote_or_markup_stays_one_value(tmp_path):
    names, logits, labels = ['so, "so"', "<b>good"], np.eye(2, dtype=np.float32), np.array([0, 1])
    part = Slice("pattern", 'a, "b" <script>', "x", np.array([True, False]))
    write_plots(logits, labels, names, described(logits, labels, part), tmp_path / "plots")
    rows = read_csv(tmp_path / "plots" / "confusion.csv")
    assert rows == [{"actual": name, "predicted": name} for name in names]
    assert read_csv(tmp_path / "plots" / "slices.csv")[-1]["slice"] == part.name
    for picture in (tmp_path / "plots").glob("*.svg"):
        assert "<script" not in picture.read_text("utf-8")


def write_plots_of(names: list[str], folder: Path) -> None:
    """The plots of two classes, and of a slice with the name of the first."""
    logits, labels = np.eye(2, dtype=np.float32), np.array([0, 1])
    part = Slice("pattern", names[0], "x", np.array([True, False]))
    write_plots(logits, labels, names, described(logits, labels, part), folder)


def test_the_name_of_a_class_or_a_slice_cannot_end_a_script_of_dvcs_page(tmp_path):
    names = ["</script><script>alert(1)</script>", "<!--<script>"]
    write_plots_of(names, tmp_path / "plots")
    for table in TABLES:
        text = (tmp_path / "plots" / f"{table}.csv").read_text("utf-8")
        assert "</" not in text
        assert "<!" not in text
    rows = read_csv(tmp_path / "plots" / "confusion.csv")
    assert [row["actual"] for row in rows] == ["‹/script><script>alert(1)‹/script>", "‹!--<script>"]


def test_a_carriage_return_in_the_name_of_a_class_ends_no_row(tmp_path):
    names = ["a\rb", "c\n"]
    write_plots_of(names, tmp_path / "plots")
    for table in TABLES:
        rows = read_csv(tmp_path / "plots" / f"{table}.csv")
        assert rows
        assert all(None not in row and None not in row.values() for row in rows)
    rows = read_csv(tmp_path / "plots" / "confusion.csv")
    assert [row["actual"] for row in rows] == ["a b", "c\n"]


def test_the_plots_are_the_same_bytes_for_the_same_logits(tmp_path, logits, labels, details):
    for name in ("a", "b"):
        write_plots(logits, labels, NAMES, details, tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    expected = [*(f"{name}.csv" for name in TABLES), *(f"{name}.svg" for name in PICTURES)]
    assert files == sorted(expected)
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_summary_has_every_score_with_its_interval(details):
    lines = summary(details).splitlines()
    for score in details["scores"].values():
        assert any(f"{score['value']:.4f} [{score['low']:.4f}, " in line for line in lines)
    assert "no slice is worse than the rest by more than chance" in lines


def test_the_summary_names_a_slice_that_is_worse(logits, labels):
    wrong = logits.argmax(axis=1) != labels
    part = Slice("pattern", "price", "cheap", wrong & (np.arange(2500) % 9 == 0))
    found = summary(described(logits, labels, part))
    assert "worse than the rest: price (cheap), accuracy 0.000 [" in found


@pytest.mark.parametrize("factor", [0.1, 1.0])
def test_the_summary_says_when_ranges_hold_fewer_labels_than_they_should(logits, labels, factor):
    # A threshold that was fitted on rows with other labels.
    found = described(logits, labels)
    found["ranges"]["coverage"]["high"] *= factor
    assert ("the validation rows may be easier" in summary(found)) == (factor < 1)


def test_a_score_that_is_undefined_is_written_as_such():
    logits, labels = np.array([[2.0, 1.0]], np.float32), np.array([0])
    found = summary(described(logits, labels))
    assert "quadratic kappa: undefined on 1 rows" in found
