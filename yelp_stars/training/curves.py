"""Record training curves: live in DVCLive, then as tables, a picture, arguments and state.

Files that git keeps hold no times and no locations, and floats of 4 significant digits: further
digits differ between CPUs.
"""

import dataclasses
import math
import sqlite3
import threading
from pathlib import Path
from typing import Any

import torch
from dvclive import Live, monitor_system
from scmrepo.exceptions import SCMError
from transformers import TrainerCallback, TrainerState, TrainingArguments

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.files import write_json
from yelp_stars.scoring import plots
from yelp_stars.scoring.tracking import Tracker

# Trainer's name of a logged value -> ours, in the curves and in DVCLive.
CURVES = {
    "loss": "train/loss",
    "learning_rate": "train/learning_rate",
    "grad_norm": "train/grad_norm",
    "eval_loss": "validation/loss",
    "eval_accuracy": "validation/accuracy",
}
TIMES = ("runtime", "per_second")
MONITOR = "(_monitoring_loop)"  # end of the name of DVCLive's thread


class DVCLiveCurves(TrainerCallback):
    """Log the curves to DVCLive and a tracker, step by step; to DVCLive also the machine's load.

    DVCLive's own callback edits dvc.yaml while the stage runs, and adds a step after the last.
    """

    def __init__(self, folder: Path, tracker: Tracker) -> None:
        self._folder, self._tracker = folder, tracker
        self._live: Live | None = None
        self._print_traceback = threading.excepthook

    def on_train_begin(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
        if state.is_world_process_zero:
            if not torch.cuda.is_available():
                # DVCLive 3.49 asks for a GPU all the same, fails, and records no CPU load either.
                monitor_system.GPU_AVAILABLE = False
            threading.excepthook = self._on_thread_error
            try:
                self._live = Live(
                    str(self._folder), dvcyaml=False, save_dvc_exp=False, monitor_system=True
                )
            except SCMError:
                advice = "run `git add -A && git commit -m start`"
                raise UserError("this git repository has no commit", advice=advice) from None
            except sqlite3.OperationalError as error:  # DVC's state, outside of the project
                problem = f"DVC cannot write its state ({error})"
                raise UserError(problem, advice="free some space and run again") from None
            for entry in state.log_history:  # of the run that is resumed
                self._log(entry, entry["step"])

    def on_log(self, args, state, control, logs=None, **kwargs):  # type: ignore[no-untyped-def]
        if self._live is not None:
            self._log(logs, state.global_step)

    def _log(self, logs: dict[str, float], step: int) -> None:
        assert self._live is not None
        self._live.step = step
        values = {curve: logs[name] for name, curve in CURVES.items() if name in logs}
        for curve, value in values.items():
            self._live.log_metric(curve, value)
        self._live.make_summary()
        self._tracker.log(values, step)

    def _on_thread_error(self, error: threading.ExceptHookArgs) -> None:
        """Print no traceback of DVCLive's thread on a full disk: the training reports it."""
        monitor = error.thread is not None and error.thread.name.endswith(MONITOR)
        if not (monitor and issubclass(error.exc_type, OSError)):
            self._print_traceback(error)

    def close(self) -> None:
        """Stop watching the machine, also after an error: the thread would outlive the stage."""
        if self._live is None:
            return
        try:
            self._live.end()
        finally:
            # DVCLive 3.49 stops its thread without waiting: it would write once more, into a
            # folder that may be gone.
            for thread in threading.enumerate():
                if thread.name.endswith(MONITOR):
                    thread.join()
            threading.excepthook = self._print_traceback


def write_plots(state: TrainerState, args: TrainingArguments, folder: Path) -> None:
    """Write the curves as TSV and as a picture, the resolved arguments and the trainer's state."""
    folder.mkdir()
    curves = {
        curve: [
            (entry["step"], significant(entry[name]))
            for entry in state.log_history
            if name in entry and math.isfinite(entry[name])
        ]
        for name, curve in CURVES.items()
    }
    for name, curve in curves.items():
        title = name.replace("/", "_")
        lines = [f"step\t{name.split('/')[1]}", *(f"{step}\t{value}" for step, value in curve)]
        (folder / f"{title}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "training.svg").write_bytes(plots.draw_training_curves(curves))
    locations = ("output_dir", "run_name")
    arguments = {name: value for name, value in args.to_dict().items() if name not in locations}
    write_json(folder / "arguments.json", arguments)
    fields = dataclasses.asdict(state)
    fields["log_history"] = [
        without_times(entry)
        for entry in state.log_history
        if "train_loss" not in entry  # the summary of one process, not of the run
    ]
    # Machine-specific paths; and total_flos, whose rounding depends on the number of saves.
    for name in ("best_model_checkpoint", "stateful_callbacks", "total_flos"):
        fields.pop(name)
    fields["best_metric"] = significant(fields["best_metric"])
    write_json(folder / "state.json", fields)


def without_times(entry: dict[str, Any]) -> dict[str, Any]:
    """Drop the durations and rates of a log entry, which differ on every run.

    The keys are sorted, as in an entry that was read back from a checkpoint.
    """
    entries = sorted(entry.items())
    return {key: significant(value) for key, value in entries if not key.endswith(TIMES)}


def significant(value: Any) -> Any:
    """Round a float to 4 significant digits.

    One that JSON cannot hold, such as the norm of a gradient that overflowed, becomes None.
    """
    if not isinstance(value, float):
        return value
    return float(f"{value:.4g}") if math.isfinite(value) else None
