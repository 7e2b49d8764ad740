"""The command line of a stage: paths in, a user's mistake out as one line."""

import errno
import inspect
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from safetensors import SafetensorError

from yelp_stars.pipeline.errors import UserError, one_line, quoted
from yelp_stars.pipeline.files import remove_unfinished

SIGNALS = (signal.SIGTERM, signal.SIGINT)  # DVC stops a stage with SIGTERM

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


def run(main: Callable[..., None]) -> None:
    """Call `main` with the paths of the command line; exit with 1 and one line on a user error.

    `main` takes one `Path` for each data dependency and output, in the order of dvc.yaml.
    """
    names = list(inspect.signature(main).parameters)
    if len(sys.argv) - 1 != len(names):
        module = Path(sys.argv[0]).stem
        fail(f"usage: python -m stages.{module} {' '.join(names)} (`dvc repro` runs it)")
    os.environ.setdefault("GOMP_SPINCOUNT", str(SPIN_COUNT))  # read when torch is imported
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        main(*map(Path, sys.argv[1:]))
        for number in SIGNALS:  # all is written: exit with 0
            signal.signal(number, signal.SIG_IGN)
    except UserError as error:
        fail(str(error))
    except OSError as error:
        if error.errno is None:
            raise
        file = f" {quoted(str(error.filename))}" if error.filename else ""
        advice = f"; {ADVICE[error.errno]}" if error.errno in ADVICE else ""
        fail(one_line(f"{os.strerror(error.errno)}{file}{advice}"))
    except SafetensorError as error:  # also on a full disk
        fail(one_line(f"the weights could not be read or written: {error}"))
    except MemoryError:
        fail("the memory is exhausted; close other programs and run again")
    except RecursionError as error:
        fail(one_line(f"an input is nested too deeply: {error}"))


def stop(number: int, frame: Any) -> NoReturn:
    """End the process on a signal; nothing half-written remains.

    At once, not by an exception: libraries swallow one that is raised inside of their callbacks
    and imports, as pyarrow does while it imports pandas, and the stage would run on.
    """
    remove_unfinished()
    os._exit(128 + number)


def fail(message: str) -> NoReturn:
    """Print an error to stderr and exit with 1."""
    sys.exit(f"error: {message}")
