"""What every stage's command line shares: paths in, a user's mistake out as one line."""

import contextlib
import errno
import inspect
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from safetensors import SafetensorError


class UserError(Exception):
    """A mistake that its user can mend: the message says what is wrong and what to type next."""


def run(main: Callable[..., None]) -> None:
    """Call `main` with the command line's paths; exit 1 after one line if the user has to act.

    `main` takes one `Path` for each data dependency and output, in the order of dvc.yaml.
    """
    names = list(inspect.signature(main).parameters)
    if len(sys.argv) - 1 != len(names):
        module = Path(sys.argv[0]).stem
        _fail(f"usage: python -m stages.{module} {' '.join(names)} (`dvc repro` types it)")
    # DVC stops a stage with SIGTERM: as an exception it lets half-written outputs be removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main(*map(Path, sys.argv[1:]))
    except UserError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno is None:
            raise
        name = f" {str(error.filename)!r}" if error.filename else ""
        hint = "; free some space and run again" if error.errno in _FULL else ""
        _fail(f"{os.strerror(error.errno)}{name}{hint}")
    except SafetensorError as error:  # a full disk, too
        _fail(f"the weights could not be read or written: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def _fail(message: str) -> NoReturn:
    sys.exit(f"error: {message}")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path` to write to; rename it when the block ends well.

    A file or a folder. On any error, also SIGTERM and Ctrl-C, nothing is left behind.
    """
    partial = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove(partial)
    try:
        yield partial
        _remove(path)
        partial.rename(path)
    finally:
        _remove(partial)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented UTF-8 JSON, whole or not at all."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    with replacing(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")
