"""Write the outputs of an evaluation: tables for `dvc plots`, pictures, a printed summary."""

import csv
import re
from pathlib import Path
from typing import Any

from yelp_stars.evaluation import titles
from yelp_stars.evaluation.intervals import Estimate, written
from yelp_stars.evaluation.predictions import Predictions
from yelp_stars.pipeline.text import counted, listed
from yelp_stars.scoring import metrics, plots

CLASS_SCORES = ("precision", "recall", "f1")
# DVC puts the tables into scripts of its page, as they are: what would end a script there.
ENDS_SCRIPT = re.compile("<(?=[/!])")


def write_plots(tested: Predictions, details: dict[str, Any], folder: Path) -> None:
    """Write tables and pictures: confusion, classes, slices, calibration, risk and coverage.

    `details` are those of `yelp_stars.evaluation.estimates`, with the slices.
    """
    folder.mkdir()
    names, labels, predicted = tested.names, tested.labels, tested.predicted
    counts = metrics.confusion_matrix(labels, predicted, len(names))
    slices = [(part["name"], part["accuracy"]) for part in details["slices"]]
    slices = [(name, accuracy) for name, accuracy in slices if accuracy["n"]]
    tables = {
        "confusion": [
            {"actual": names[label], "predicted": names[guess]}
            for label, guess in zip(labels, predicted, strict=True)
        ],
        "per_class": [
            {"label": row["label"], **{score: row[score]["value"] for score in CLASS_SCORES}}
            | {"n": row["recall"]["n"]}
            for row in details["per_class"]
        ],
        "slices": [{"slice": name, **_columns(accuracy)} for name, accuracy in slices],
        "calibration": [
            {"temperature": when, **row}
            for when, rows in details["calibration"]["bins"].items()
            for row in rows
        ],
        "risk_coverage": [
            {"to_a_person": point["to_a_person"], **_columns(point)}
            for point in details["risk_coverage"]["points"]
        ],
    }
    for name, rows in tables.items():
        _write_csv(folder / f"{name}.csv", rows)
    accuracy = details["scores"]["accuracy"]
    pictures = {
        "confusion": plots.draw_confusion_matrix(counts, names, f"accuracy {_written(accuracy)}"),
        "slices": plots.draw_scores(slices, accuracy, "accuracy"),
        "calibration": plots.draw_calibration(details["calibration"]["bins"]),
        "risk_coverage": plots.draw_risk_coverage(tables["risk_coverage"]),
    }
    for name, picture in pictures.items():
        (folder / f"{name}.svg").write_bytes(picture)


def _columns(accuracy: Estimate) -> dict[str, Any]:
    return {"accuracy": accuracy["value"], **{key: accuracy[key] for key in ("low", "high", "n")}}


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({key: _harmless(value) for key, value in row.items()})


def _harmless(value: Any) -> Any:
    """Write a name as a table can hold it: the csv module leaves a carriage return as it is."""
    return ENDS_SCRIPT.sub("‹", value).replace("\r", " ") if isinstance(value, str) else value


def summary(details: dict[str, Any]) -> str:
    """Write lines for the terminal: scores, calibration, ranges, slices that are worse."""
    calibration, ranges = details["calibration"], details["ranges"]
    error, covered = calibration["calibration_error"], ranges["coverage"]
    worse = [part for part in details["slices"] if part["worse"]]
    point = details["risk_coverage"]["points"][-1]
    rows = {row["label"]: row["recall"]["n"] for row in details["per_class"]}
    shown, scores = titles.score_titles(rows), details["scores"]
    untested = [name for name, n in rows.items() if not n]
    lines = [
        *([f"no test row has the label {listed(untested)}"] if untested else []),
        *(f"{title}: {_written(scores[name])}" for name, title in shown.items() if name in scores),
        f"with the temperature {calibration['temperature']}, fitted on "
        f"{counted(calibration['fitted_on'], 'validation row')}, the calibration error is "
        f"{_written(error['after'])}",
        f"ranges that should hold {ranges['promised']:.0%} of the labels hold {_written(covered)}; "
        f"they are {_digits(ranges['mean_width'], 'value')} classes wide",
    ]
    if covered["high"] < ranges["promised"]:
        lines.append(
            "  fewer: the validation rows may be easier than the test rows; synthetic reviews are, "
            "which share sentences with those to train on"
        )
    lines.append(
        f"if a person checks the least sure {point['to_a_person']:.0%}: accuracy {_written(point)}"
    )
    lines += [
        f"worse than the rest: {part['name']} ({part['meaning']}), accuracy "
        f"{_written(part['accuracy'])}; the rest {_digits(part['accuracy_of_the_rest'], 'value')}"
        for part in worse
    ] or ["no slice is worse than the rest by more than chance"]
    return "\n".join(lines)


def _written(score: Estimate) -> str:
    return f"{written(score)} on {counted(score['n'], 'row')}"


def _digits(score: Estimate, key: str) -> str:
    return f"{score[key]:.{metrics.decimals(score['n'])}f}"
