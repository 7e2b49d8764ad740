"""Checkpoints that a killed training goes on from, outside the outs, which DVC deletes."""

import contextlib
import hashlib
import importlib.metadata
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import distributed
from transformers import TrainerCallback

from stars.stage import UserError, write_json

SEAL = "complete.json"
LIBRARIES = ("accelerate", "numpy", "tokenizers", "torch", "transformers")


def key(decides: Any, files: Iterable[Path]) -> str:
    """A name for one run: the hash of everything that decides its weights.

    That is `decides` (parameters and device, as JSON), the content of `files` and of all files in
    those that are folders (data, checkpoint, code), and the versions of the libraries.
    """
    versions = {name: importlib.metadata.version(name) for name in LIBRARIES}
    whole = hashlib.sha256(json.dumps([decides, versions], sort_keys=True).encode())
    for path in files:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                whole.update(f"{file.name} {_digest(file)}".encode())
    return whole.hexdigest()[:16]


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def seal(checkpoint: Path) -> None:
    """Mark a checkpoint as whole: its files are on the disk, and have these hashes."""
    files = sorted(file for file in checkpoint.iterdir() if file.name != SEAL)
    for file in files:
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
    write_json(checkpoint / SEAL, {file.name: _digest(file) for file in files})


def is_whole(checkpoint: Path) -> bool:
    """Whether a checkpoint's files are those that were sealed; and those of the best one so far."""
    try:
        sealed = json.loads((checkpoint / SEAL).read_text("utf-8"))
        if any(_digest(checkpoint / name) != digest for name, digest in sealed.items()):
            return False
        best = json.loads((checkpoint / "trainer_state.json").read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return False
    named = best["best_model_checkpoint"]
    return named is None or Path(named) == checkpoint or is_whole(Path(named))


def newest(folder: Path) -> tuple[Path | None, list[Path]]:
    """The newest whole checkpoint of a run, and those after it that are damaged."""
    numbered = {int(path.name.split("-")[1]): path for path in folder.glob("checkpoint-*")}
    damaged: list[Path] = []
    for step in sorted(numbered, reverse=True):
        if is_whole(numbered[step]):
            return numbered[step], damaged
        damaged.append(numbered[step])
    return None, damaged


@contextlib.contextmanager
def saving(checkpoint: Path, first: bool, wait: Callable[[], None]) -> Iterator[None]:
    """Seal what the block saves, once all processes have (`wait`); `first` is one of them.

    Raises:
        UserError: if it cannot be written; nothing of it is left then.
    """
    try:
        yield
        wait()
        if first:
            seal(checkpoint)
    except BaseException as error:
        shutil.rmtree(checkpoint, ignore_errors=True)
        # torch tells a full disk without its errno, but with the file of its code that writes; or,
        # where it is full only when the file is closed, with C++'s name for that.
        torch_could_not = isinstance(error, RuntimeError) and any(
            known in str(error) for known in ("inline_container", "iostream error")
        )
        if torch_could_not or isinstance(error, SafetensorError):
            raise UserError(
                f"{str(checkpoint)!r} could not be written; free some space and type `dvc repro`: "
                f"it goes on from the checkpoint before"
            ) from None
        raise


class Checkpoints(TrainerCallback):
    """Saves every `save_steps` steps, and at once when the process is told to stop."""

    def __init__(self, save_steps: int) -> None:
        self._save_steps = save_steps
        self._told: str | None = None
        self._stops = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGTERM and Ctrl-C as the wish to save and stop; the second one stops at once."""
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        def told(number: int, frame: Any) -> None:
            self._told = signal.Signals(number).name
            restore()

        for number in before:
            signal.signal(number, told)
        try:
            yield
        finally:
            restore()

    def on_step_end(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
        self._stops = self._told is not None
        if args.world_size > 1:  # all processes stop after the same step
            told = torch.tensor(int(self._stops), device=args.device)
            distributed.all_reduce(told)
            self._stops = bool(told)
        # The last step of an epoch is saved after its validation, or a run that goes on from it
        # would miss that point of the curves.
        ends = state.epoch.is_integer() or state.global_step >= state.max_steps
        if not ends and (self._stops or state.global_step % self._save_steps == 0):
            control.should_save = True

    def on_save(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
        if self._stops and state.global_step < state.max_steps:
            told = self._told or "a signal to another process"
            raise UserError(
                f"stopped by {told} after step {state.global_step} of {state.max_steps}, which is "
                f"saved; type `dvc repro` to go on from there"
            )
