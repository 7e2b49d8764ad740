"""Run a stage from the command line; print a user's mistake as one line."""

import contextlib
import ctypes
import errno
import io
import json
import math
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Annotated, Any, NoReturn, get_type_hints

from safetensors import SafetensorError

from yelp_stars.pipeline import files
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import one_line, quoted

# The type of an output that people watch while the stage runs: it has no temporary name.
Live = Annotated[Path, "live"]

# From DVC and other programs; from Ctrl-C; from a terminal or an SSH connection that closes.
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
SIGNAL_IF_PARENT_DIES = 1  # PR_SET_PDEATHSIG of Linux

# What to do about an error of the operating system.
ADVICE = {
    errno.ENOENT: "run `dvc repro` or `dvc pull`",
    errno.EISDIR: "a file is expected there: move the folder away",
    errno.ENOTDIR: "a folder is expected there: move the file away",
    errno.EACCES: "change its permissions",
    errno.EPERM: "change its owner or permissions",
    errno.EROFS: "move the project to a disk that can be written",
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "free some space and run again"),
}

# How often an OpenMP thread of torch checks for work before it sleeps; libgomp's default is
# 300,000. Measured on two cores, the quickstart's training: 1 % slower on an idle machine (six
# runs), 25 to 43 % faster beside a busy process. 1,000 costs 3 to 5 % idle, 100,000 gains nothing.
SPIN_COUNT = 10_000

# Variables that change what a library computes or writes. A notebook, an image or
# `accelerate launch` may have left them: params.yaml decides.
FOREIGN = re.compile(
    "ACCELERATE_|CUBLAS_|DVCLIVE_|FSDP_|MEGATRON_LM_|MPLBACKEND|NVIDIA_TF32|PARALLELISM_CONFIG_|"
    "XLA_|(DNNL|ONEDNN)_DEFAULT_FPMATH|PYTORCH_TUNABLEOP|TORCH(DYNAMO|INDUCTOR)_(?!CACHE_DIR)|"
    "TORCH_(ALLOW_TF32|BLAS|COMPILE|CUDNN|DYNAMO|LINALG|MKLDNN)"
)
# Those that say which of several processes this one is, and one that only their launcher sets.
RANKS = re.compile("(LOCAL_)?(RANK|WORLD_SIZE)$|(PMI|OMPI_COMM_WORLD|MV2_COMM_WORLD)_")
LAUNCHED = "TORCHELASTIC_RUN_ID"  # by torchrun, also below accelerate

# How long each stage took when it last ran in this folder, for the report. Git ignores it.
SECONDS = Path("reports", "seconds.json")


def run(main: Callable[..., None]) -> None:
    """Call `main` with the paths of the command line; exit with 1 and one line on a user error.

    `main(given: Inputs, made: Outputs)` takes two tuples of paths: the data dependencies of
    dvc.yaml and its outs, in their order there.
    """
    script = Path(sys.argv[0])
    names = [name for paths in declared_paths(main) for name in paths._fields]
    if len(sys.argv) - 1 != len(names):
        fail(f"usage: python -m stages.{script.stem} {' '.join(names)} (`dvc repro` runs it)")
    for name in [*os.environ]:
        if FOREIGN.match(name) or (RANKS.match(name) and LAUNCHED not in os.environ):
            del os.environ[name]
    os.environ.setdefault("GOMP_SPINCOUNT", str(SPIN_COUNT))  # read when torch is imported
    print_anywhere()
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)
    if "DVC_STAGE" in os.environ and sys.platform == "linux":
        # Killed alone, DVC would leave its stage running, and the next one would run beside it.
        ctypes.CDLL(None).prctl(SIGNAL_IF_PARENT_DIES, signal.SIGTERM)
    started = time.monotonic()
    try:
        problem = (
            f"the stage {script.stem!r} is running in this folder already; wait until it ends or "
            f"stop it, then run `dvc repro`"
        )
        # Two processes would write the same files; those of one training share a lock.
        is_first = os.environ.get("RANK", "0") == "0" and script.is_file()
        with files.locked(script, problem) if is_first else contextlib.nullcontext():
            call(main, *map(Path, sys.argv[1:]))
        _record_seconds(script.stem, time.monotonic() - started)
        for number in SIGNALS:  # all is written: exit with 0
            signal.signal(number, signal.SIG_IGN)
    except UserError as error:
        fail(str(error))
    except OSError as error:
        if error.errno is None:
            raise
        fail(explain(error))
    except SafetensorError as error:  # also on a full disk
        fail(one_line(f"the weights could not be read or written: {error}"))
    except UnpicklingError:
        fail("models/checkpoints has a file that could hold code; it was not loaded: delete it")
    except MemoryError:
        fail("the memory is exhausted; close other programs and run again")
    except RecursionError as error:
        fail(one_line(f"an input is nested too deeply: {error}"))


def call(main: Callable[..., None], *paths: Path) -> None:
    """Fill the `Inputs` and `Outputs` of `main` with paths, and call it.

    Its outputs have temporary names until it returns, then all get their own names, or none. A
    `Live` one has its own name from the beginning. Of several processes that train, the first one
    renames.
    """
    inputs, outputs = declared_paths(main)
    given, made = inputs(*paths[: len(inputs._fields)]), outputs(*paths[len(inputs._fields) :])
    hints = get_type_hints(outputs, include_extras=True)
    renamed = [name for name in outputs._fields if hints[name] is not Live]
    final = [getattr(made, name) for name in renamed]
    others = contextlib.nullcontext([*map(files.unfinished, final)])
    is_first = os.environ.get("RANK", "0") == "0"
    with files.replacing_all(final) if is_first else others as partials:
        main(given, made._replace(**dict(zip(renamed, partials, strict=True))))


def declared_paths(main: Callable[..., None]) -> tuple[Any, Any]:
    """Return the two tuples of paths that `main` takes: its `Inputs` and its `Outputs`."""
    given, made = list(get_type_hints(main).values())[:2]
    return given, made


def print_anywhere() -> None:
    """Escape what the terminal's encoding lacks; ignore a width in which no table fits."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if os.environ.get("COLUMNS", "").isdecimal() and int(os.environ["COLUMNS"]) < 40:
        del os.environ["COLUMNS"]


def explain(error: OSError) -> str:
    """Return an error of the operating system, and what to do about it, as one line."""
    if "temporary directory" in (error.strerror or ""):  # of tempfile, on a full disk
        return one_line(f"{error.strerror}; {ADVICE[errno.ENOSPC]}")
    file = f" {quoted(str(error.filename))}" if error.filename else ""
    advice = f"; {ADVICE[error.errno]}" if error.errno in ADVICE else ""
    return one_line(f"{os.strerror(error.errno or 0)}{file}{advice}")


def stage_seconds() -> dict[str, float]:
    """Return how long each stage took when it last ran here, if that is known."""
    try:
        seconds = json.loads(SECONDS.read_text(encoding="utf-8"))
        return {name: value for name, value in seconds.items() if math.isfinite(value)}
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}


def _record_seconds(stage: str, seconds: float) -> None:
    """Keep the time of a stage, if the project has the folder for it."""
    if SECONDS.parent.is_dir() and os.environ.get("RANK", "0") == "0":
        with contextlib.suppress(OSError):  # the result is there; its time can be missing
            files.write_json(SECONDS, {**stage_seconds(), stage: round(seconds, 1)})


def stop(number: int, frame: Any) -> NoReturn:
    """End the process on a signal; nothing half-written remains.

    At once, not by an exception: libraries swallow one that is raised inside of their callbacks
    and imports, as pyarrow does while it imports pandas, and the stage would run on.
    """
    files.remove_unfinished()
    os._exit(128 + number)


def fail(message: str) -> NoReturn:
    """Print an error to stderr and exit with 1."""
    sys.exit(f"error: {message}")
