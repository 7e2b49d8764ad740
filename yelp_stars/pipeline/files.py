"""Outputs that are complete or absent, and content hashes."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from yelp_stars.pipeline.errors import Damaged, Missing, UserError
from yelp_stars.pipeline.text import one_line, quoted, shell_word

# What Python raises on the content of a damaged file.
DAMAGE = (OSError, AttributeError, LookupError, TypeError, ValueError, RecursionError)
# Outputs that are being written, for `remove_unfinished`.
_unfinished: set[Path] = set()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path` to write to; rename it if the block succeeds.

    For a file or a folder. On any error, SIGTERM and Ctrl-C included, nothing is left behind.
    """
    with replacing_all([path]) as (partial,):
        yield partial


@contextlib.contextmanager
def replacing_all(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Yield a temporary name for each path; rename all of them if the block succeeds, or none."""
    partials = [unfinished(path) for path in paths]
    for path, partial in zip(paths, partials, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove(partial)
    with contextlib.ExitStack() as stack:
        for partial in partials:
            stack.enter_context(remove_on_error(partial))
        yield partials
        for path, partial in zip(paths, partials, strict=True):
            remove(path)
            stack.enter_context(remove_on_error(path))
            partial.rename(path)


def unfinished(path: Path) -> Path:
    """Return the temporary name of an output."""
    return path.with_name(f".{path.name}.partial")


def finished(partial: Path) -> Path:
    """Return the name that an output with a temporary name gets."""
    return partial.with_name(partial.name[1:].removesuffix(".partial"))


@contextlib.contextmanager
def remove_on_error(path: Path) -> Iterator[None]:
    """Delete a file or a folder if the block fails."""
    _unfinished.add(path)
    try:
        yield
    except BaseException:
        remove(path, ignore_errors=True)
        raise
    finally:
        _unfinished.discard(path)


def remove_unfinished() -> None:
    """Delete what is being written, in a process that ends now."""
    for path in [*_unfinished]:
        for _ in range(10):  # another thread may be writing
            remove(path, ignore_errors=True)
            if not path.exists():
                break


def remove(path: Path, ignore_errors: bool = False) -> None:
    """Delete a file, a link or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors)
    else:
        with contextlib.suppress(OSError) if ignore_errors else contextlib.nullcontext():
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def damaged_as(
    path: Path, *errors: type[BaseException], advice: str = "run `dvc repro`"
) -> Iterator[None]:
    """Report what a library raises on the content of `path` as `Damaged`.

    `errors` are its own ones, beside those of Python. A full disk, or a file that is not there,
    stays an error of the operating system, with a number.
    """
    try:
        yield
    except errors + DAMAGE as error:
        # pyarrow's FileNotFoundError has no number.
        if isinstance(error, FileNotFoundError) or getattr(error, "errno", None) is not None:
            raise
        raise Damaged(f"{quoted(str(path))} is damaged", advice=advice) from None


@contextlib.contextmanager
def refusing(problem: str, advice: str) -> Iterator[None]:
    """Report any error as a file of the user's that is not valid.

    Only for calls of libraries that parse it and document no errors: a damaged checkpoint gives
    almost every built-in one in transformers, a bare `Exception` in tokenizers, and a panic of
    Rust is not even that. `damaged_as` is for the others.
    """
    try:
        yield
    except (UserError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        if isinstance(error, OSError) and error.errno is not None:  # a full disk, for example
            raise
        # The first lines give the reason; after an empty one, some libraries explain at length.
        reason = one_line(str(error).split("\n\n")[0])[:160]
        name = type(error).__name__
        raise Damaged(f"{problem} ({name}: {reason})", advice=advice) from None


@contextlib.contextmanager
def reading(path: Path, *errors: type[BaseException]) -> Iterator[None]:
    """Report an out of a stage that is not there as `Missing`, and one that is not whole.

    `errors` are those of the library that reads it.
    """
    # An out is a hard link into DVC's cache, so both are damaged. DVC trusts a cached file that is
    # read-only; one that is writable it hashes again, and replaces.
    advice = f"run `chmod u+w {shell_word(path)}`, then `dvc repro`"
    try:
        with damaged_as(path, *errors, advice=advice):
            yield
    except FileNotFoundError:
        problem, advice = f"no file {quoted(str(path))}", "run `dvc repro` or `dvc pull`"
        raise Missing(problem, advice=advice) from None


@contextlib.contextmanager
def locked(path: Path, problem: str) -> Iterator[int]:
    """Hold the lock of a file, which ends with the process; report the `problem` if another has it.

    A process that inherits the descriptor holds it, too.
    """
    # NFS locks only what may be written; a script may be read-only.
    is_read_only = path.is_file() and not os.access(path, os.W_OK)
    flags = os.O_RDONLY if is_read_only else os.O_RDWR | os.O_CREAT
    with os.fdopen(os.open(path, flags, 0o666)) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(problem) from None
        except OSError:  # a file system without locks
            pass
        yield file.fileno()


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented UTF-8 JSON, completely or not at all."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    with replacing(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file that a stage wrote."""
    try:  # it may hold the marks of a merge conflict
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise Damaged(f"{quoted(str(path))} is not JSON", advice="run `dvc repro`") from None


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object that may be missing or damaged: it is then empty."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        content = json.loads(path.read_text(encoding="utf-8"))
        return content if isinstance(content, dict) else {}
    return {}


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file's content, as 64 hexadecimal digits."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
