"""What a person sees while the Trainer works: a bar, the notebook's table, live curves."""

import math
from pathlib import Path
from typing import Any

import torch
from dvclive import Live, monitor_system
from scmrepo.exceptions import SCMError
from tqdm import tqdm
from transformers import TrainerCallback

from stars.stage import UserError

# Trainer's name of a logged value -> ours, in the curves and in DVCLive.
CURVES = {
    "loss": "train/loss",
    "learning_rate": "train/learning_rate",
    "grad_norm": "train/grad_norm",
    "eval_loss": "validation/loss",
    "eval_accuracy": "validation/accuracy",
}
TIMES = ("runtime", "per_second")


class Progress(TrainerCallback):
    """A progress bar with the loss, and a line of the notebook's table after each epoch."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._loss: float | None = None

    def on_train_begin(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
        if state.is_world_process_zero:
            self._bar = tqdm(total=state.max_steps, desc="train", unit=" steps", dynamic_ncols=True)
            self._bar.write("Epoch  Training Loss  Validation Loss  Accuracy")

    def on_step_end(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
        if self._bar is not None:
            self._bar.update(state.global_step - self._bar.n)

    def on_log(self, args, state, control, logs=None, **kwargs):  # type: ignore[no-untyped-def]
        if not math.isfinite(logs.get("loss", 0.0)):
            raise diverged(state.global_step)
        if self._bar is not None and "loss" in logs:
            self._loss = logs["loss"]
            self._bar.set_postfix(loss=f"{self._loss:.3f}", lr=f"{logs['learning_rate']:.1e}")

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):  # type: ignore[no-untyped-def]
        if self._bar is not None:
            loss = "No log" if self._loss is None else f"{self._loss:.4f}"
            self._bar.write(
                f"{state.epoch:5.4g}  {loss:>13}  {metrics['eval_loss']:15.4f}  "
                f"{metrics['eval_accuracy']:8.4f}"
            )

    def close(self) -> None:
        """End the bar's line, also after an error: its message would stand behind the bar."""
        if self._bar is not None:
            self._bar.close()


class LiveCurves(TrainerCallback):
    """The same values to DVCLive, step by step, with the machine's load beside them.

    DVCLive's own callback edits dvc.yaml while the stage runs, and adds a step after the last.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._live: Live | None = None

    def on_train_begin(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
        if state.is_world_process_zero:
            if not torch.cuda.is_available():
                # DVCLive 3.49 asks for a GPU all the same, fails, and records no CPU load either.
                monitor_system.GPU_AVAILABLE = False
            try:
                self._live = Live(
                    str(self._folder), dvcyaml=False, save_dvc_exp=False, monitor_system=True
                )
            except SCMError:
                raise UserError(
                    "this git repository has no commit; type `git add -A && git commit -m start`"
                ) from None

    def on_log(self, args, state, control, logs=None, **kwargs):  # type: ignore[no-untyped-def]
        if self._live is not None:
            self._live.step = state.global_step
            for name, ours in CURVES.items():
                if name in logs:
                    self._live.log_metric(ours, logs[name])
            self._live.make_summary()

    def close(self) -> None:
        """Stop watching the machine, also after an error: the thread would outlive the stage."""
        if self._live is not None:
            self._live.end()


def diverged(step: int) -> UserError:
    """The error of a training whose numbers have overflowed."""
    return UserError(
        f"the loss or the logits are no numbers by step {step}; lower train.learning_rate, "
        f"or set train.precision to 'fp32'"
    )


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
    """
    return {
        key: value if not isinstance(value, float) or math.isfinite(value) else None
        for key, value in entry.items()
        if not key.endswith(TIMES)
    }
