"""What an evaluation leaves behind: tables for `dvc plots`, pictures, a summary."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from yelp_stars.evaluation import estimates, slices
from yelp_stars.evaluation.outputs import summary, write_plots
from yelp_stars.evaluation.predictions import Predictions
from yelp_stars.evaluation.slices import Slice
from yelp_stars.scoring import calibration

NAMES = ["bad", "fair", "good"]
TABLES = ("calibration", "confusion", "per_class", "risk_coverage", "slices")
LOGITS = np.random.default_rng(0).normal(size=(2500, 3)).astype(np.float32)
LABELS = np.random.default_rng(1).integers(0, 3, 2500)
TESTED = Predictions(np.arange(2500), [], LABELS, LOGITS, NAMES, True)


def described(tested: Predictions, *parts: Slice) -> dict[str, Any]:
    """What the stage writes to metrics/evaluation.json."""
    labels = tested.labels
    fitted = calibration.fit(tested.logits, labels, True)
    found = estimates.details(tested, fitted, resamples=50, seed=0)
    lengths = slices.by_length(["x" * row for row in range(len(labels))])
    nothing = slices.truncated(np.arange(len(labels)), len(labels) + 1)
    parts = (*lengths, nothing, *parts)
    return {**found, "slices": slices.score(tested.right, [*parts])}


@pytest.fixture(scope="module")
def details() -> dict[str, Any]:
    return described(TESTED)


def read_csvs(folder: Path) -> dict[str, list[dict[str, str]]]:
    tables = {}
    for name in TABLES:
        with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            tables[name] = list(csv.DictReader(file))
    return tables


def test_the_tables_have_a_line_for_each_row_class_bin_and_slice_with_rows(tmp_path, details):
    write_plots(TESTED, details, tmp_path / "plots")
    pictures = {path.stem for path in (tmp_path / "plots").glob("*.svg")}
    assert pictures == {*TABLES} - {"per_class"}
    found, guesses = read_csvs(tmp_path / "plots"), LOGITS.argmax(axis=1)
    assert [(row["actual"], row["predicted"]) for row in found["confusion"]] == [
        (NAMES[label], NAMES[guess]) for label, guess in zip(LABELS, guesses, strict=True)
    ]
    assert [(row["label"], float(row["f1"]), int(row["n"])) for row in found["per_class"]] == [
        (row["label"], row["f1"]["value"], row["recall"]["n"]) for row in details["per_class"]
    ]
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


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        # The table is in a script of DVC's page.
        (
            ["</script><script>alert(1)</script>", "<!--<script>"],
            ["‹/script><script>alert(1)‹/script>", "‹!--<script>"],
        ),
        (['a\rb, "so"', "c\n"], ['a b, "so"', "c\n"]),
    ],
)
def test_any_name_of_a_class_or_a_slice_is_one_value_of_a_table_and_text_in_a_picture(
    tmp_path, names, shown
):
    logits, labels = np.eye(2, dtype=np.float32), np.array([0, 1])
    part = Slice("pattern", names[0], "x", np.array([True, False]))
    tested = Predictions(np.arange(2), [], labels, logits, names, True)
    write_plots(tested, described(tested, part), tmp_path / "plots")
    found = read_csvs(tmp_path / "plots")
    for table in found.values():
        assert all(None not in row and None not in row.values() for row in table)
    assert [row["actual"] for row in found["confusion"]] == shown
    assert found["slices"][-1]["slice"] == shown[0]
    for file in (tmp_path / "plots").iterdir():
        text = file.read_text("utf-8")
        assert file.suffix == ".svg" or not ("</" in text or "<!" in text)
        assert file.suffix == ".csv" or "<script" not in text


def test_the_summary_has_every_score_with_its_interval(details):
    lines = summary(details).splitlines()
    for score in details["scores"].values():
        assert any(f"{score['value']:.4f} [{score['low']:.4f}, " in line for line in lines)
    assert "no slice is worse than the rest by more than chance" in lines


def test_the_summary_names_a_slice_that_is_worse():
    wrong = LOGITS.argmax(axis=1) != LABELS
    part = Slice("pattern", "price", "cheap", wrong & (np.arange(2500) % 9 == 0))
    found = summary(described(TESTED, part))
    assert "worse than the rest: price (cheap), accuracy 0.000 [" in found


@pytest.mark.parametrize(("high", "said"), [(0.1, True), (0.9, False)])
def test_the_summary_says_when_ranges_hold_fewer_labels_than_they_should(details, high, said):
    ranges = {**details["ranges"], "coverage": {**details["ranges"]["coverage"], "high": high}}
    assert ("the validation rows may be easier" in summary({**details, "ranges": ranges})) == said


def test_a_score_that_is_undefined_is_written_as_such():
    logits, labels = np.array([[2.0, 1.0]], np.float32), np.array([0])
    tested = Predictions(np.array([0]), [], labels, logits, NAMES[:2], True)
    found = summary(described(tested))
    assert "quadratic kappa: undefined on 1 row" in found
    assert "no test row has the label " in found
