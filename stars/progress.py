"""What a person sees while the Trainer works: a bar, the notebook's table, live curves."""

import datetime
import math
import threading
import time
from pathlib import Path
from typing import Any

import torch
from dvclive import Live, monitor_system
from scmrepo.exceptions import SCMError
from tqdm import tqdm
from transformers import TrainerCallback

from stars.curves import CURVES
from stars.stage import UserError

ESTIMATE_AFTER = 10  # steps


class Progress(TrainerCallback):
    """A progress bar with the loss, and a line of the notebook's table after each epoch."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._loss: float | None = None
        self._started = self._now = 0.0
        self._from_step = self._from_tokens = self._step = self._tokens = 0

    def on_train_begin(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
        self._started = time.monotonic()
        self._from_step = self._step = state.global_step
        self._from_tokens = self._tokens = state.num_input_tokens_seen
        if state.is_world_process_zero:
            # smoothing 0: batches of long rows come by chance, the mean is what tells the rest
            self._bar = tqdm(
                total=state.max_steps,
                initial=state.global_step,
                desc="train",
                unit=" steps",
                dynamic_ncols=True,
                smoothing=0,
            )
            self._bar.write("Epoch  Training Loss  Validation Loss  Accuracy")

    def on_step_end(self, args, state, control, train_dataloader=None, **kwargs):  # type: ignore[no-untyped-def]
        self._step, self._tokens = state.global_step, state.num_input_tokens_seen
        self._now = time.monotonic()
        if self._bar is None:
            return
        self._bar.update(self._step - self._bar.n)
        if self._step - self._from_step == ESTIMATE_AFTER < state.max_steps:
            whole = int(train_dataloader.dataset.lengths.sum()) * args.num_train_epochs
            rate = self.rates()["tokens_per_second"]
            rest = datetime.timedelta(seconds=round((whole - self._tokens) / rate))
            self._bar.write(f"{rest} to go, by the tokens of the first {ESTIMATE_AFTER} steps")

    def on_log(self, args, state, control, logs=None, **kwargs):  # type: ignore[no-untyped-def]
        if not math.isfinite(logs.get("loss", 0.0)):
            raise diverged(state.global_step)
        if self._bar is not None and "loss" in logs:
            self._loss = logs["loss"]
            rate = f"{self.rates()['tokens_per_second']:,.0f}"
            lr = f"{logs['learning_rate']:.1e}"
            self._bar.set_postfix({"loss": f"{self._loss:.3f}", "lr": lr, "tokens/s": rate})

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):  # type: ignore[no-untyped-def]
        if self._bar is not None:
            loss = "No log" if self._loss is None else f"{self._loss:.4f}"
            self._bar.write(
                f"{state.epoch:5.4g}  {loss:>13}  {metrics['eval_loss']:15.4f}  "
                f"{metrics['eval_accuracy']:8.4f}"
            )

    def rates(self) -> dict[str, float]:
        """Steps and tokens (padding not counted) a second, from the first step to the last."""
        seconds = max(self._now - self._started, 1e-9)  # none if all had been done before
        return {
            "steps_per_second": (self._step - self._from_step) / seconds,
            "tokens_per_second": (self._tokens - self._from_tokens) / seconds,
        }

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

            for entry in state.log_history:  # of a training that goes on
                self._log(entry, entry["step"])

    def on_log(self, args, state, control, logs=None, **kwargs):  # type: ignore[no-untyped-def]
        if self._live is not None:
            self._log(logs, state.global_step)

    def _log(self, logs: dict[str, float], step: int) -> None:
        assert self._live is not None
        self._live.step = step
        for name, ours in CURVES.items():
            if name in logs:
                self._live.log_metric(ours, logs[name])
        self._live.make_summary()

    def close(self) -> None:
        """Stop watching the machine, also after an error: the thread would outlive the stage."""
        if self._live is not None:
            self._live.end()
            # DVCLive 3.49 tells its thread to stop but does not wait: it would write once more,
            # into a folder that may be gone.
            for thread in threading.enumerate():
                if thread.name.endswith("(_monitoring_loop)"):
                    thread.join()


def diverged(step: int) -> UserError:
    """The error of a training whose numbers have overflowed."""
    return UserError(
        f"the loss or the logits are no numbers by step {step}; lower train.learning_rate, "
        f"or set train.precision to 'fp32'"
    )
