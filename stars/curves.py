"""What is kept of a training: its curves, its resolved arguments, its state and its scores."""

import dataclasses
import math
from pathlib import Path
from typing import Any

from transformers import TrainerState, TrainingArguments

from stars import pictures
from stars.stage import write_json

# Trainer's name of a logged value -> ours, in the curves and in DVCLive.
CURVES = {
    "loss": "train/loss",
    "learning_rate": "train/learning_rate",
    "grad_norm": "train/grad_norm",
    "eval_loss": "validation/loss",
    "eval_accuracy": "validation/accuracy",
}
TIMES = ("runtime", "per_second")


def curves(log_history: list[dict[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    """The (step, value) pairs of each curve, by our name."""
    return {
        ours: [
            (entry["step"], entry[name])
            for entry in log_history
            if name in entry and math.isfinite(entry[name])
        ]
        for name, ours in CURVES.items()
    }


def without_times(entry: dict[str, Any]) -> dict[str, Any]:
    """A log entry less its durations and rates, which differ on every run.

    A number that JSON does not know, such as the norm of a gradient that overflowed, is None.
    The keys are in order: those of an entry that was read back from a checkpoint are.
    """
    return {
        key: value if not isinstance(value, float) or math.isfinite(value) else None
        for key, value in sorted(entry.items())
        if not key.endswith(TIMES)
    }


def write(state: TrainerState, args: TrainingArguments, folder: Path) -> None:
    """The curves as TSV and as a picture, the resolved arguments and the trainer's state."""
    folder.mkdir()
    found = curves(state.log_history)
    for name, pairs in found.items():
        title = name.replace("/", "_")
        lines = [f"step\t{name.split('/')[1]}", *(f"{step}\t{value}" for step, value in pairs)]
        (folder / f"{title}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    pictures.training_curves(found, folder / "training.svg")
    arguments = args.to_dict()
    for place in ("output_dir", "run_name"):  # names of this machine, not of this run
        arguments.pop(place, None)
    write_json(folder / "arguments.json", arguments)
    kept = dataclasses.asdict(state)
    kept["log_history"] = [
        without_times(entry)
        for entry in state.log_history
        if "train_loss" not in entry  # the summary of what one process did, not of the run
    ]
    # Places of this machine; and a sum whose rounding depends on how often it was saved.
    for name in ("best_model_checkpoint", "stateful_callbacks", "total_flos"):
        kept.pop(name)
    write_json(folder / "state.json", kept)


def validation_scores(log_history: list[dict[str, Any]], best: bool) -> dict[str, Any]:
    """The validation scores of the model that is kept: the last epoch's, or the best one's."""
    evaluated = [entry for entry in log_history if "eval_accuracy" in entry]
    entry = max(evaluated, key=lambda entry: entry["eval_accuracy"]) if best else evaluated[-1]
    ours = {key.removeprefix("eval_"): entry[key] for key in without_times(entry)}
    return {key: value for key, value in ours.items() if key not in ("epoch", "step")}
