"""Diagnose a run from its published numbers: what went wrong in training, and what to try."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from yelp_stars.data import arrow
from yelp_stars.pipeline.text import counted, listed
from yelp_stars.report.findings import Finding

FALLING = 0.98  # of an earlier loss: less has fallen
ROSE = 1.1  # times the lowest validation loss
LEARNED = 0.05  # training loss: nothing is left to learn from the training rows
UNSURE = 0.7  # temperature: below it, the model was far surer on average than it let on
WIDE = 0.1  # of an interval of the accuracy: no decision between models fits in
FEW = 10  # rows of a class, of those trained on
OF_CLASSES = ("Never predicted", "Never tested", "Few rows of a class")  # titles


def diagnose(
    params: dict[str, Any], curves: Path, metrics: dict[str, Any], sample: Path
) -> list[Finding]:
    """Name each problem of a run in a sentence, with the change to try as a command.

    `params` is the section `train`, `curves` the folder plots/training, `metrics` has the contents
    of the files in metrics/ by their names, and `sample` is the file of the training rows.
    """
    evaluation, baseline = metrics["evaluation"], metrics["baseline"]
    accuracy = evaluation["scores"]["accuracy"]
    behind = accuracy["value"] <= baseline[baseline["strongest"]]["accuracy"]
    problems = [
        _of_training(params, curves, evaluation["calibration"], behind),
        _never_predicted(params, evaluation["per_class"]),
        _never_tested(evaluation["per_class"]),
        _few_rows(sample),
        _wide_interval(accuracy),
    ]
    return [problem for problem in problems if problem is not None]


def _of_training(
    params: dict[str, Any], curves: Path, calibration: dict[str, Any], behind: bool
) -> Finding | None:
    """Judge the curves: wrong learning rate, undertrained or overfitted.

    `behind`: whether the model is not better than its baseline.
    """
    training, validation, accuracy = (
        _values(curves / f"{name}.tsv")
        for name in ("train_loss", "validation_loss", "validation_accuracy")
    )
    # A short training has no point of the training loss, see train.logging_steps.
    first, last = (training[0], training[-1]) if training else (validation[0], 0.0)
    if len(training) > 1 and last > FALLING * first:
        rate = params["learning_rate"]
        text = f"The training loss did not fall: {first:.3g} at first, {last:.3g} at the end."
        advice = (
            f"Try `dvc exp run -S train.learning_rate={5e-5 if rate < 1e-5 else rate / 5:.2g}`."
        )
        return Finding("poor", "Wrong learning rate", text, advice)
    best, before = int(np.argmin(validation)), validation[0] if len(validation) > 1 else first
    lowest, last = validation[best], validation[-1]
    temperature = calibration["temperature"]
    signs = []
    if temperature < UNSURE:
        signs.append(f"the probabilities are too low (temperature {temperature:.2g})")
    if behind:
        signs.append("the model is not better than its baseline")
    learned = training and training[-1] < LEARNED
    if signs and not learned and best == len(validation) - 1 and last < FALLING * before:
        text = f"The validation loss fell until the end, from {before:.3g} to {last:.3g}"
        if len(validation) == 1:
            text = f"The loss fell from {first:.3g} in training to {last:.3g} in validation"
        text += f", and {' and '.join(signs)}."
        epochs, steps = 2 * params["num_train_epochs"], 2 * params["min_steps"]
        advice = (
            f"Try `dvc exp run -S train.num_train_epochs={epochs:g} -S train.min_steps={steps:d}`."
            if steps  # few rows take these, whatever the epochs
            else f"Try `dvc exp run -S train.num_train_epochs={epochs:g}`."
        )
        return Finding("poor", "Undertrained", text, advice)
    # A loss may rise while the model only gets surer: the temperature takes that back. Where it
    # doubles, few rows need not show by how much the accuracy fell.
    error = math.sqrt(accuracy[best] * (1 - accuracy[best]) / calibration["fitted_on"])
    fell = accuracy[best] - accuracy[-1]
    worse = (last > ROSE * lowest and fell > error) or (last > 2 * lowest and fell > 0)
    if worse and not params["load_best_model_at_end"]:
        text = (
            f"The validation loss rose from {lowest:.3g} after epoch {best + 1} to {last:.3g}, "
            f"and the accuracy fell from {accuracy[best]:.3g} to {accuracy[-1]:.3g}."
        )
        advice = "Try `dvc exp run -S train.load_best_model_at_end=true -S train.best_by=loss`."
        return Finding("poor", "Overfitted", text, advice)
    return None


def _values(path: Path) -> list[float]:
    """Read the values of a curve, in the order of its steps."""
    rows = path.read_text("utf-8").splitlines()[1:]
    return [float(row.split("\t")[1]) for row in rows]


def _never_predicted(params: dict[str, Any], per_class: list[dict[str, Any]]) -> Finding | None:
    never = [row["label"] for row in per_class if row["recall"]["n"] and not row["precision"]["n"]]
    if not never:
        return None
    verb = "is" if len(never) == 1 else "are"
    text = f"{len(never)} of {len(per_class)} classes {verb} never predicted: {listed(never)}."
    advice = "Label more rows of these classes."
    if params["class_weights"] == "none":
        advice = "Try `dvc exp run -S train.class_weights=balanced`."
    return Finding("poor", "Never predicted", text, advice)


def _never_tested(per_class: list[dict[str, Any]]) -> Finding | None:
    untested = [row["label"] for row in per_class if not row["recall"]["n"]]
    if not untested:
        return None
    text = f"No test row has the label {listed(untested)}: no score says how well it is predicted."
    return Finding("fair", "Never tested", text, "Label test rows of it.")


def _few_rows(sample: Path) -> Finding | None:
    if not sample.is_file():  # a clone without data has the scores all the same
        return None
    table = arrow.read(sample)
    names = arrow.label_names(table.schema)
    rows = np.bincount(table["label"].to_numpy(), minlength=len(names))
    few = [name for name, count in zip(names, rows, strict=True) if count < FEW]
    if not few:
        return None
    text = f"Fewer than {FEW} of the rows trained on have the label {listed(few)}."
    them = "it" if len(few) == 1 else "them"
    advice = f"Label more of {them}, or raise sample.train_size: the model cannot know {them}."
    return Finding("fair", "Few rows of a class", text, advice)


def _wide_interval(accuracy: dict[str, Any]) -> Finding | None:
    n, width = accuracy["n"], accuracy["high"] - accuracy["low"]
    if width <= WIDE:
        return None
    text = (
        f"The accuracy is known to {100 * width / 2:.0f} points on {counted(n, 'row')}: models "
        f"that differ by less cannot be told apart."
    )
    advice = f"Label about {math.ceil(n * (width / WIDE) ** 2) - n:,} more rows to test on."
    return Finding("fair", "Too little data", text, advice)
