"""What the terminal shows during training: a bar, an estimate, a row for each epoch."""

import datetime
import math
import time
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback

from yelp_stars.pipeline.errors import UserError

WARM_UP = 3  # steps that allocate memory and compile: rates and estimates leave them out
ESTIMATE_AFTER = 10  # steps


class ConsoleProgress(TrainerCallback):
    """A progress bar with the loss, and a row of scores after each epoch."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._loss: float | None = None
        self._started = self._now = 0.0
        self._first_step = self._from_step = self._step = 0
        self._from_tokens = self._tokens = 0

    def on_train_begin(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
        self._first_step = state.global_step
        self._restart_clock(state)
        if state.is_world_process_zero:
            # smoothing=0: batch times vary with length, so estimate from the overall mean.
            self._bar = tqdm(
                total=state.max_steps,
                initial=state.global_step,
                desc="train",
                unit="step",
                dynamic_ncols=True,
                smoothing=0,
            )
            self._bar.write("Epoch  Training Loss  Validation Loss  Accuracy")

    def _restart_clock(self, state: Any) -> None:
        self._started = self._now = time.monotonic()
        self._from_step = self._step = state.global_step
        self._from_tokens = self._tokens = state.num_input_tokens_seen

    def on_step_end(self, args, state, control, train_dataloader=None, **kwargs):  # type: ignore[no-untyped-def]
        self._step, self._tokens = state.global_step, state.num_input_tokens_seen
        self._now = time.monotonic()
        if self._step - self._first_step == WARM_UP:
            self._restart_clock(state)
        if self._bar is None:
            return
        self._bar.update(self._step - self._bar.n)
        if self._from_step == self._step:
            self._bar.initial = self._step
            # tqdm ends the line of a bar only if it was printed after its start.
            self._bar.start_t = self._bar.last_print_t = time.time()
        if self._step - self._from_step == ESTIMATE_AFTER and self._step < state.max_steps:
            total = int(train_dataloader.dataset.lengths.sum()) * args.num_train_epochs
            rate = self.rates()["tokens_per_second"]
            left = datetime.timedelta(seconds=round((total - self._tokens) / rate))
            self._bar.write(
                f"about {left} left, estimated from the tokens of {ESTIMATE_AFTER} steps"
            )

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

    def on_train_end(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
        self.close()

    def rates(self) -> dict[str, float]:
        """Steps and tokens (without padding) per second, after the warm-up."""
        seconds = max(self._now - self._started, 1e-9)  # no step, if all were done before
        return {
            "steps_per_second": (self._step - self._from_step) / seconds,
            "tokens_per_second": (self._tokens - self._from_tokens) / seconds,
        }

    def close(self) -> None:
        """End the bar's line, so that the next line does not continue it."""
        if self._bar is not None:
            self._bar.close()


def diverged(step: int) -> UserError:
    """The error of a training whose numbers have overflowed."""
    return UserError(
        f"loss or logits became NaN or infinite by step {step}; lower train.learning_rate, "
        f"or set train.precision to 'fp32'"
    )
