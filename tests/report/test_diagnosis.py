"""The diagnosis: each problem in a run that was made to have it, and none in a healthy one."""

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from yelp_stars.data import arrow
from yelp_stars.report.diagnosis import diagnose

PARAMS = {
    "learning_rate": 5e-5,
    "num_train_epochs": 3,
    "min_steps": 0,
    "load_best_model_at_end": False,
    "class_weights": "none",
}
HEALTHY = {
    "training": [1.1, 0.7, 0.5],
    "validation": [0.8, 0.7, 0.69],
    "accuracy": [0.7, 0.74, 0.75],
    "temperature": 1.2,
    "score": (0.75, 0.72, 0.78, 1000),
    "baseline": 0.6,
    "predicted": [500, 500],
    "tested": [500, 500],
    "rows": {"good": 900, "bad": 900},
}


def problems(folder: Path, params: dict[str, Any], **values: Any) -> list[Any]:
    """The diagnosis of a healthy run with some other numbers."""
    run = {**HEALTHY, **values}
    curves = {"train_loss": "training", "validation_loss": "validation"}
    for name, curve in {**curves, "validation_accuracy": "accuracy"}.items():
        rows = "".join(f"{step}\t{value}\n" for step, value in enumerate(run[curve]))
        (folder / f"{name}.tsv").write_text(f"step\tloss\n{rows}")
    value, low, high, n = run["score"]
    evaluation = {
        "scores": {"accuracy": {"value": value, "low": low, "high": high, "n": n}},
        "calibration": {"temperature": run["temperature"], "fitted_on": 500},
        "per_class": [
            {"label": name, "precision": {"n": predicted}, "recall": {"n": tested}}
            for name, predicted, tested in zip(
                run["rows"], run["predicted"], run["tested"], strict=True
            )
        ],
    }
    baseline = {"strongest": "frozen", "frozen": {"accuracy": run["baseline"]}}
    schema = arrow.make_schema({"label": pa.int64()}, [*run["rows"]])
    labels = np.repeat(np.arange(len(run["rows"])), [*run["rows"].values()])
    arrow.write(folder / "train.arrow", schema, [pa.record_batch([labels], schema=schema)])
    metrics = {"baseline": baseline, "evaluation": evaluation}
    return diagnose({**PARAMS, **params}, folder, metrics, folder / "train.arrow")


@pytest.mark.parametrize(
    ("title", "values"),
    [
        ("Wrong learning rate", {"training": [1.61, 1.6, 1.62]}),
        ("Undertrained", {"validation": [1.6, 1.5, 1.4], "temperature": 0.28}),
        ("Undertrained", {"validation": [1.6, 1.5, 1.4], "baseline": 0.8}),
        ("Overfitted", {"validation": [0.6, 0.8, 1.2], "accuracy": [0.75, 0.7, 0.65]}),
        ("Overfitted", {"validation": [0.65, 0.8, 1.58], "accuracy": [0.7, 0.71, 0.69]}),
        ("Never predicted", {"predicted": [1000, 0]}),
        ("Never tested", {"tested": [1000, 0]}),
        ("Few rows of a class", {"rows": {"good": 900, "bad": 9}}),
        ("Few rows of a class", {"rows": {"good": 900, "bad": 0}}),
        ("Too little data", {"score": (0.75, 0.62, 0.84, 60)}),
    ],
)
def test_each_problem_is_named_with_what_to_try(tmp_path, title, values):
    (problem,) = problems(tmp_path, {}, **values)
    assert problem.title == title
    if "`" in problem.advice:
        command = shlex.split(problem.advice.split("`")[1])
        assert command[:3] == ["dvc", "exp", "run"]
        assert all(setting.startswith("train.") for setting in command[4::2])
    else:
        assert problem.advice.startswith("Label ")


@pytest.mark.parametrize(
    ("params", "values"),
    [
        ({}, {}),
        ({}, {"validation": [1.6, 1.5, 1.4]}),  # still falling, and good all the same
        ({}, {"validation": [0.6, 0.8, 1.2]}),  # surer, and better all the same
        ({"load_best_model_at_end": True}, {"validation": [0.6, 0.8], "accuracy": [0.7, 0.6]}),
        ({"num_train_epochs": 1}, {"training": [1.1], "validation": [0.7], "accuracy": [0.7]}),
        ({"num_train_epochs": 1}, {"training": [], "validation": [0.7], "accuracy": [0.7]}),
        ({}, {"training": [], "temperature": 0.5, "validation": [0.7], "accuracy": [0.7]}),
    ],
)
def test_a_healthy_run_has_none(tmp_path, params, values):
    assert problems(tmp_path, params, **values) == []


def test_a_single_epoch_compares_the_loss_in_training_with_that_in_validation(tmp_path):
    one = {"training": [1.6, 1.2], "validation": [0.7], "accuracy": [0.7], "baseline": 0.8}
    (problem,) = problems(tmp_path, {"num_train_epochs": 1}, **one)
    assert problem.text.startswith("The loss fell from 1.6 in training to 0.7 in validation, and ")


def test_an_undertrained_run_of_few_rows_needs_more_steps_as_its_epochs_only_divide_them(tmp_path):
    (problem,) = problems(tmp_path, {"min_steps": 150}, validation=[1.6, 1.4], baseline=0.8)
    changes = "-S train.num_train_epochs=6 -S train.min_steps=300"
    assert problem.advice == f"Try `dvc exp run {changes}`."


def test_never_predicted_classes_that_are_weighted_already_need_rows(tmp_path):
    (problem,) = problems(tmp_path, {"class_weights": "balanced"}, predicted=[1000, 0])
    assert problem.advice == "Label more rows of these classes."
