"""Show training: a bar in a terminal, else a line per logging step; a row per epoch."""

import datetime
import math
import time
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback, TrainerState

from yelp_stars.pipeline.errors import UserError

WARM_UP = 3  # steps that allocate memory and compile: rates and estimates leave them out
ESTIMATE_AFTER = 10  # steps
# Without steps per second, the bar is visible in 80 columns.
BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"


class ConsoleProgress(TrainerCallback):
    """A progress bar with the loss, and a row of scores after each epoch."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._loss: float | None = None
        self._first_step = 0
        self._start = self._now = (0.0, 0, 0)  # seconds, steps, tokens

    def on_train_begin(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
        self._first_step = state.global_step
        self._start = self._now = _moment(state)
        if state.is_world_process_zero:
            # smoothing=0: batch times vary with length, so estimate from the overall mean.
            self._bar = tqdm(
                total=state.max_steps,
                initial=state.global_step,
                desc="train",
                bar_format=BAR,
                dynamic_ncols=True,
                smoothing=0,
                disable=None,  # without a terminal
            )
            self._bar.write("Epoch  Training Loss  Validation Loss  Accuracy")

    def on_step_end(self, args, state, control, train_dataloader=None, **kwargs):  # type: ignore[no-untyped-def]
        self._now = _moment(state)
        done = state.global_step - self._first_step
        if done == WARM_UP:
            self._start = self._now
        if self._bar is None:
            return
        self._bar.update(state.global_step - self._bar.n)
        if done == WARM_UP:
            self._bar.initial = state.global_step
            # tqdm ends the line of a bar only if it was printed after its start.
            self._bar.start_t = self._bar.last_print_t = time.time()
        if done == WARM_UP + ESTIMATE_AFTER and state.global_step < state.max_steps:
            rows = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
            total = train_dataloader.dataset.lengths.mean() * rows * state.max_steps
            rate = self.rates()["tokens_per_second"]
            left = datetime.timedelta(seconds=round((total - state.num_input_tokens_seen) / rate))
            self._bar.write(
                f"about {left} left, estimated from the tokens of {ESTIMATE_AFTER} steps"
            )

    def on_log(self, args, state, control, logs=None, **kwargs):  # type: ignore[no-untyped-def]
        if not math.isfinite(logs.get("loss", 0.0)):
            raise diverged(state.global_step)
        if self._bar is not None and "loss" in logs:
            self._loss = logs["loss"]
            shown = f"loss {self._loss:.3f}, {self.rates()['tokens_per_second']:,.0f} tokens/s"
            self._bar.set_postfix_str(shown)
            if self._bar.disable:
                print(f"step {state.global_step:,} of {state.max_steps:,}: {shown}", flush=True)

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
        """Return steps and tokens (without padding) per second, after the warm-up."""
        seconds, steps, tokens = (now - start for now, start in zip(self._now, self._start))
        seconds = max(seconds, 1e-9)  # no step, if all were done before
        return {"steps_per_second": steps / seconds, "tokens_per_second": tokens / seconds}

    def close(self) -> None:
        """End the bar's line, so that the next line does not continue it."""
        if self._bar is not None:
            self._bar.close()


def _moment(state: TrainerState) -> tuple[float, int, int]:
    return time.monotonic(), state.global_step, state.num_input_tokens_seen


def diverged(step: int) -> UserError:
    """Report a training whose numbers have overflowed."""
    return UserError(
        f"loss or logits became NaN or infinite by step {step}",
        setting="train.learning_rate",
        advice="lower {setting}, or set train.precision to 'fp32'",
    )
