"""Diagnose a run from its published numbers: what went wrong in training, and what to try."""

import csv
import math
from pathlib import Path
from typing import Any

from yelp_stars.pipeline.text import counted, listed
from yelp_stars.report.findings import Finding

FALLING = 0.98  # of the loss of the epoch before: less is still falling
ROSE = 1.1  # times the lowest validation loss
UNSURE = 0.7  # temperature: below it, the model was far surer on average than it let on
WIDE = 0.1  # of an interval of the accuracy: no decision between models fits in
FEW = 10  # training rows of a class


def read_curve(path: Path) -> list[float]:
    """Read the values of a curve of plots/training, in the order of its steps."""
    with path.open(encoding="utf-8", newline="") as file:
        return [float(value) for _, value in list(csv.reader(file, delimiter="\t"))[1:]]


def diagnose(
    params: dict[str, Any],
    curves: Path,
    evaluation: dict[str, Any],
    baseline: dict[str, Any],
    train_labels: dict[str, int],
) -> list[Finding]:
    """Name each problem of a run in a sentence, with the change to try as a command.

    `params` is the section `train`, `curves` the folder plots/training; the others are the contents
    of metrics/evaluation.json and metrics/baseline.json, and the training rows of each class.
    """
    training, validation, accuracy = (
        read_curve(curves / f"{name}.tsv")
        for name in ("train_loss", "validation_loss", "validation_accuracy")
    )
    scores, calibration = evaluation["scores"], evaluation["calibration"]
    behind = scores["accuracy"]["value"] <= baseline[baseline["strongest"]]["accuracy"]
    problems = [
        *_of_training(params, training, validation, accuracy, calibration, behind),
        *_of_classes(params, evaluation["per_class"], train_labels),
    ]
    low, high, n = (scores["accuracy"][key] for key in ("low", "high", "n"))
    if high - low > WIDE:
        more = math.ceil(n * ((high - low) / WIDE) ** 2) - n
        text = (
            f"The accuracy is known to {100 * (high - low) / 2:.0f} points on {counted(n, 'row')}: "
            f"models that differ by less cannot be told apart."
        )
        advice = f"Label about {more:,} more rows to test on."
        problems.append(Finding("fair", "Too little data", text, advice))
    return problems


def _of_training(
    params: dict[str, Any],
    training: list[float],
    validation: list[float],
    accuracy: list[float],
    calibration: dict[str, Any],
    behind: bool,
) -> list[Finding]:
    """Judge the curves: at most one of wrong learning rate, undertrained and overfitted."""
    lowest = min(range(len(validation)), key=validation.__getitem__)
    if len(training) > 1 and training[-1] > FALLING * training[0]:
        rate = params["learning_rate"]
        other = rate * 5 if rate < 1e-5 else rate / 5
        return [
            Finding(
                "poor",
                "Wrong learning rate",
                f"The training loss did not fall: {training[0]:.3g} at first, {training[-1]:.3g} "
                f"at the end.",
                f"Try `dvc exp run -S train.learning_rate={other:.2g}`.",
            )
        ]
    before = validation[-2] if len(validation) > 1 else training[0]
    falling = lowest == len(validation) - 1 and validation[-1] < FALLING * before
    signs = []
    temperature = calibration["temperature"]
    if temperature < UNSURE:
        signs.append(f"the probabilities are too low (temperature {temperature:.2g})")
    if behind:
        signs.append("the model is not better than its baseline")
    if falling and signs:
        return [
            Finding(
                "poor",
                "Undertrained",
                f"The validation loss was still falling at the end, from {before:.3g} to "
                f"{validation[-1]:.3g}, and {' and '.join(signs)}.",
                f"Try `dvc exp run -S train.num_train_epochs={2 * params['num_train_epochs']:g}`.",
            )
        ]
    # A loss may rise while the model only gets surer: the temperature takes that back.
    error = math.sqrt(accuracy[lowest] * (1 - accuracy[lowest]) / calibration["fitted_on"])
    overfitted = validation[-1] > ROSE * validation[lowest]
    overfitted &= accuracy[-1] < accuracy[lowest] - error
    if overfitted and not params["load_best_model_at_end"]:
        return [
            Finding(
                "poor",
                "Overfitted",
                f"The validation loss rose from {validation[lowest]:.3g} after epoch {lowest + 1} "
                f"to {validation[-1]:.3g}, and the accuracy fell from {accuracy[lowest]:.3g} to "
                f"{accuracy[-1]:.3g}.",
                "Try `dvc exp run -S train.load_best_model_at_end=true -S train.best_by=loss`.",
            )
        ]
    return []


def _of_classes(
    params: dict[str, Any], per_class: list[dict[str, Any]], train_labels: dict[str, int]
) -> list[Finding]:
    """Find the classes that are never predicted, and those with few training rows."""
    problems = []
    scored = [row for row in per_class if row["recall"]["n"]]
    never = [row["label"] for row in scored if not row["precision"]["n"]]
    if never:
        advice = "Label more rows of these classes."
        if params["class_weights"] == "none":
            advice = "Try `dvc exp run -S train.class_weights=balanced`."
        text = f"{listed(never)} of {counted(len(per_class), 'class', 'classes')} never predicted."
        problems.append(Finding("poor", "Never predicted", text, advice))
    few = [name for name, rows in train_labels.items() if rows < FEW]
    if few:
        text = f"Fewer than {FEW} training rows have the label {listed(few)}."
        advice = f"Label more of them: the model cannot know {'it' if len(few) == 1 else 'them'}."
        problems.append(Finding("fair", "Few rows of a class", text, advice))
    return problems
