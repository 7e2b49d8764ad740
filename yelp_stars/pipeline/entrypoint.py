"""The command line of a stage: paths in, a user's mistake out as one line."""

import errno
import inspect
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from safetensors import SafetensorError

from yelp_stars.pipeline.errors import UserError

FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

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
    # DVC stops a stage with SIGTERM: raise SystemExit so that cleanup handlers run.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main(*map(Path, sys.argv[1:]))
    except UserError as error:
        fail(str(error))
    except OSError as error:
        if error.errno is None:
            raise
        name = f" {str(error.filename)!r}" if error.filename else ""
        hint = "; free some space and run again" if error.errno in FULL_DISK else ""
        fail(f"{os.strerror(error.errno)}{name}{hint}")
    except SafetensorError as error:  # also on a full disk
        fail(f"the weights could not be read or written: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def fail(message: str) -> NoReturn:
    """Print one line to stderr and exit with 1."""
    sys.exit(f"error: {message}")
