"""What training shows: a bar or lines, an estimate, a row for each epoch, the result below."""

import contextlib
import math
import re
import time
from collections.abc import Iterator
from io import StringIO
from types import SimpleNamespace

import numpy as np
import pytest
from transformers import TrainerControl, TrainerState

from yelp_stars.training.progress import ConsoleProgress

HEADER = "Epoch  Training Loss  Validation Loss  Accuracy"
CONTROL = TrainerControl()


class Training:
    """Drives the callback as Trainer does: `epochs` of `per_epoch` steps."""

    def __init__(self, *, epochs: int = 2, per_epoch: int = 10, done: int = 0, main: bool = True):
        self.progress = ConsoleProgress()
        self.per_epoch = per_epoch
        self.args = SimpleNamespace(train_batch_size=1, gradient_accumulation_steps=1, world_size=1)
        # Trainer hands its DataLoader on: here of an epoch of 100 tokens a step.
        dataset = SimpleNamespace(lengths=np.full(per_epoch, 100))
        self.loader = SimpleNamespace(dataset=dataset)
        self.state = TrainerState(
            global_step=done, max_steps=epochs * per_epoch, is_world_process_zero=main
        )
        self.progress.on_train_begin(self.args, self.state, CONTROL)

    def step(self, tokens: int = 100) -> None:
        self.state.global_step += 1
        self.state.epoch = self.state.global_step / self.per_epoch
        self.state.num_input_tokens_seen += tokens
        self.progress.on_step_end(self.args, self.state, CONTROL, train_dataloader=self.loader)

    def log(self, **logs: float) -> None:
        self.progress.on_log(self.args, self.state, CONTROL, logs=logs)

    def evaluate(self, loss: float, accuracy: float) -> None:
        metrics = {"eval_loss": loss, "eval_accuracy": accuracy}
        self.progress.on_evaluate(self.args, self.state, CONTROL, metrics=metrics)

    def run(self) -> None:
        while self.state.global_step < self.state.max_steps:
            self.step()
            if self.state.global_step % 5 == 0:
                self.log(loss=2 / self.state.global_step, learning_rate=1e-4)
            if self.state.epoch.is_integer():
                self.evaluate(1.5 / self.state.epoch, self.state.epoch / 4)
        self.progress.on_train_end(self.args, self.state, CONTROL)


class Terminal(StringIO):
    """What a terminal receives."""

    def isatty(self) -> bool:
        return True


@contextlib.contextmanager
def terminal(kind: type[StringIO] = Terminal) -> Iterator[StringIO]:
    """Standard output and standard error in one, as a terminal receives them."""
    received = kind()
    with contextlib.redirect_stdout(received), contextlib.redirect_stderr(received):
        yield received


def lines_of(received: str) -> list[str]:
    """The lines that stay on the screen: a carriage return begins a line anew."""
    return [line.rsplit("\r", 1)[-1].rstrip() for line in received.split("\n")]


def test_the_terminal_has_the_bar_the_time_left_and_a_row_of_scores_for_each_epoch():
    with terminal() as received:
        Training(epochs=2, per_epoch=10).run()
        print("trained in 1 s")
    *lines, bar, result, _ = lines_of(received.getvalue())
    assert [line for line in lines if line.startswith(("Epoch", " "))] == [
        HEADER,
        "    1         0.2000           1.5000    0.2500",
        "    2         0.1000           0.7500    0.5000",
    ]
    (left,) = [line for line in lines if " left" in line]  # once
    assert re.fullmatch(r"about \d+:\d\d:\d\d left, estimated from the tokens of 10 steps", left)
    assert re.search(
        r"train: 100%\|.*\| 20/20 \[00:0\d<00:00, loss 0\.100, [\d,]+ tokens/s\]$", bar
    )
    assert result == "trained in 1 s"


def test_in_a_terminal_of_80_columns_the_bar_is_visible(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with terminal() as received:
        training = Training(epochs=1, per_epoch=99_999)
        time.sleep(0.1)
        training.step(tokens=20_000)
        training.state.global_step = 50_000
        training.log(loss=12.3456, learning_rate=1e-4)
        training.progress.close()
    bars = [part for part in re.split("[\r\n]+", received.getvalue()) if part.startswith("train:")]
    assert "loss 12.346, " in bars[-1]
    assert max(map(len, bars)) <= 80
    assert all(re.match(r"train: +\d+%\|[^|]{8,}\| [\d/]+ \[", bar) for bar in bars)


def test_without_a_terminal_there_is_a_line_for_each_logging_step_and_no_bar():
    with terminal(StringIO) as received:
        Training(epochs=2, per_epoch=10).run()
    steps = [line for line in received.getvalue().splitlines() if line.startswith("step ")]
    assert len(steps) == 4
    assert re.fullmatch(r"step 5 of 20: loss 0\.400, [\d,]+ tokens/s", steps[0])
    assert HEADER in received.getvalue().splitlines()
    assert "    2         0.1000           0.7500    0.5000\n" in received.getvalue()
    assert "\r" not in received.getvalue()
    assert "%" not in received.getvalue()


@pytest.mark.parametrize("steps", [1, 3, 4, 13])
def test_a_training_too_short_for_it_has_no_estimate_and_no_training_loss(steps):
    with terminal() as received:
        training = Training(epochs=1, per_epoch=steps)
        for _ in range(steps):
            training.step()
        training.evaluate(1.5, 0.25)
        training.progress.close()
    assert " left, estimated" not in received.getvalue()
    assert received.getvalue().endswith("\n")
    assert "    1         No log           1.5000    0.2500" in lines_of(received.getvalue())


def test_a_resumed_training_begins_its_bar_where_it_stopped_also_after_the_last_step():
    with terminal() as received:
        training = Training(done=20)
        assert "| 20/20 [" in received.getvalue()
        training.run()
        assert training.progress.rates() == {"steps_per_second": 0, "tokens_per_second": 0}


@pytest.mark.parametrize("steps", [0, 1, 3, 4])
def test_after_an_error_close_ends_the_bar(steps):
    with terminal() as received:
        training = Training()
        for _ in range(steps):
            training.step()
        assert not received.getvalue().endswith("\n")
        training.progress.close()
        assert received.getvalue().endswith("\n")
        before = received.getvalue()
        training.progress.close()  # of a training that ended by itself
        assert received.getvalue() == before


def test_other_processes_than_the_main_one_print_nothing():
    with terminal() as received:
        training = Training(main=False)
        training.run()
        assert received.getvalue() == ""
        assert training.progress.rates()["steps_per_second"] > 0


def test_rates_leave_out_the_warm_up():
    with terminal():
        training = Training(done=5)
        for _ in range(3):
            training.step(tokens=10_000)
        for _ in range(8):
            training.step(tokens=100)
        rates = training.progress.rates()
        assert all(math.isfinite(rate) and rate > 0 for rate in rates.values())
        # Whatever the clock says, this is the number of tokens a step.
        assert rates["tokens_per_second"] / rates["steps_per_second"] == pytest.approx(100)
        training.progress.close()
