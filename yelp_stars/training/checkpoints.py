"""Resumable checkpoints, kept outside DVC outs because DVC deletes those before a rerun."""

import contextlib
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import distributed
from transformers import PreTrainedModel, TrainerCallback

from yelp_stars.modeling import compute
from yelp_stars.modeling.compute import Compute
from yelp_stars.pipeline.entrypoint import SIGNALS
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.files import sha256_of, write_json
from yelp_stars.pipeline.yaml_file import read_yaml

ROOT = Path("models/checkpoints")
MANIFEST = "complete.json"
# Seconds in which a signal is the first one again: torchrun sends its own after Ctrl-C, and Linux
# sends one for each thread of a DVC that dies.
REPEATED = 1
LIBRARIES = ("accelerate", "numpy", "tokenizers", "torch", "transformers")
VERSIONS = {name: importlib.metadata.version(name) for name in LIBRARIES}


def run_directory(params: Mapping[str, Any], resolved: Compute, weights: str) -> Path:
    """Name the folder for the checkpoints of one run by the hash of all that decides its weights.

    That is `params`, the machine, the versions of the libraries, the first `weights` by their
    digest, and the other dependencies of the stage `train` in dvc.yaml: its code and its data.
    """
    decisive = {
        "params": dict(params),
        "weights": weights,
        "precision": resolved.precision,
        "device": str(compute.device()),
        "devices": torch.accelerator.device_count(),
        "threads": torch.get_num_threads(),  # another number sums in another order
        "processes": os.environ.get("WORLD_SIZE", "1"),
        "versions": VERSIONS,
    }
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode())
    for path in map(Path, read_yaml(Path("dvc.yaml"))["stages"]["train"]["deps"]):
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            ignored = "__pycache__" in file.parts or file.suffix == ".safetensors"
            if file.is_file() and not ignored:
                digest.update(f"{file.as_posix()} {sha256_of(file)}\n".encode())
    return ROOT / digest.hexdigest()[:16]


def weights_digest(model: PreTrainedModel) -> str:
    """Hash the weights of a model on the CPU: large files of weights are not read once more."""
    digest = hashlib.sha256()
    for name, weight in model.state_dict().items():
        digest.update(name.encode())
        digest.update(weight.contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def write_manifest(checkpoint: Path) -> None:
    """Mark a checkpoint as complete: its files are on the disk, and have these hashes."""
    files = sorted(file for file in checkpoint.iterdir() if file.name != MANIFEST)
    for file in files:
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
    write_json(checkpoint / MANIFEST, {file.name: sha256_of(file) for file in files})


def is_complete(checkpoint: Path) -> bool:
    """Check that a checkpoint has the files of its manifest, and the best one so far, too."""
    try:
        manifest = json.loads((checkpoint / MANIFEST).read_text("utf-8"))
        if any(sha256_of(checkpoint / name) != digest for name, digest in manifest.items()):
            return False
        state = json.loads((checkpoint / "trainer_state.json").read_text("utf-8"))
        best = state["best_model_checkpoint"]
    except (FileNotFoundError, ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return False
    return best is None or Path(best) == checkpoint or is_complete(Path(best))


def checkpoints_of(run: Path) -> list[Path]:
    """List the checkpoints of a run, oldest first; not other folders, such as checkpoint-7.bak."""
    checkpoints = [
        path
        for path in run.glob("*")
        if re.fullmatch(r"checkpoint-(0|[1-9][0-9]*)", path.name) and path.is_dir()
    ]
    return sorted(checkpoints, key=lambda path: int(path.name.split("-")[1]))


def latest_complete(run: Path) -> tuple[Path | None, list[Path]]:
    """Find the latest complete checkpoint of a run, and the damaged ones after it."""
    damaged: list[Path] = []
    for checkpoint in reversed(checkpoints_of(run)):
        if is_complete(checkpoint):
            return checkpoint, damaged
        damaged.append(checkpoint)
    return None, damaged


def remove_damaged(checkpoints: Iterable[Path]) -> None:
    """Delete checkpoints that are damaged or incomplete, with a message for each."""
    for checkpoint in checkpoints:
        print(f"{checkpoint} is damaged or incomplete: skipped and deleted", flush=True)
        shutil.rmtree(checkpoint)


def remove_run(run: Path) -> None:
    """Delete the checkpoints of a run that has finished; those of other runs stay."""
    shutil.rmtree(run)
    with contextlib.suppress(OSError):  # not empty
        run.parent.rmdir()


@contextlib.contextmanager
def complete_or_removed(
    checkpoint: Path, is_main_process: bool, wait_for_everyone: Callable[[], None]
) -> Iterator[None]:
    """Write the manifest of what the block saves, once all processes have; delete it on error."""
    try:
        yield
        wait_for_everyone()
        if is_main_process:
            write_manifest(checkpoint)
    except BaseException as error:
        shutil.rmtree(checkpoint, ignore_errors=True)
        # On a full disk torch raises RuntimeError without errno; recognise it by its message: the
        # writing source file, or C++'s words if only closing the file fails.
        torch_failed = isinstance(error, RuntimeError) and any(
            known in str(error) for known in ("inline_container", "iostream error")
        )
        if torch_failed or isinstance(error, SafetensorError):
            raise UserError(
                f"{str(checkpoint)!r} could not be written",
                advice="free some space and run `dvc repro`: it resumes from the last checkpoint",
            ) from None
        raise


class SaveOnSignal(TrainerCallback):
    """Save every `save_steps` steps, and at once when the process is asked to stop."""

    def __init__(self, save_steps: int) -> None:
        self._save_steps = save_steps
        self._signal: str | None = None
        self._asked = 0.0
        self._stopping = False

    @contextlib.contextmanager
    def stop_on_signal(self) -> Iterator[None]:
        """Save and stop on the first SIGTERM, Ctrl-C or SIGHUP; exit at once on a later one."""
        handlers = {number: signal.getsignal(number) for number in SIGNALS}
        handled = {number: old for number, old in handlers.items() if old != signal.SIG_IGN}

        def restore() -> None:
            for number, handler in handled.items():
                signal.signal(number, handler)

        def request_stop(number: int, frame: Any) -> None:
            if self._signal is None:
                self._signal, self._asked = signal.Signals(number).name, time.monotonic()
            elif time.monotonic() > self._asked + REPEATED:
                restore()
                signal.raise_signal(number)

        for number in handled:
            signal.signal(number, request_stop)
        try:
            yield
        finally:
            restore()

    def on_step_end(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
        self._stopping = self._signal is not None
        if args.world_size > 1:  # all processes stop after the same step
            stopping = torch.tensor(int(self._stopping), device=args.device)
            distributed.all_reduce(stopping)
            self._stopping = bool(stopping)
        # The last step of an epoch is saved after its validation: a run resumed from an earlier
        # save would miss that point of the curves.
        ends = state.epoch.is_integer() or state.global_step >= state.max_steps
        if not ends and (self._stopping or state.global_step % self._save_steps == 0):
            control.should_save = True

    def on_save(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
        if self._stopping and state.global_step < state.max_steps:
            reason = self._signal or "a signal to another process"
            raise UserError(
                f"stopped by {reason} after step {state.global_step} of {state.max_steps}, which "
                f"is saved",
                advice="run `dvc repro` to resume",
            )
