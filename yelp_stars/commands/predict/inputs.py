"""Read the input of `stars predict`: texts, lines of standard input, or rows of a file.

Every row is read at least twice: once to check all of them before anything is computed, and once
to predict them. Nothing but a few texts is ever in memory.
"""

import contextlib
import hashlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from tqdm import tqdm

from yelp_stars.pipeline.errors import BadRow, UserError
from yelp_stars.pipeline.files import sha256_of
from yelp_stars.pipeline.text import listed, quoted
from yelp_stars.reading import readers
from yelp_stars.reading.labels import canonical_label, label_number, unescape, valid_text
from yelp_stars.reading.layout import Layout, Row
from yelp_stars.reading.unpacking import on_disk

SUFFIXES = tuple(readers.READERS)
# Not read, but nobody's review: a file that is missing or must be unpacked.
OTHER_FILES = (".zip", ".tgz", ".tar", ".gz", ".bz2", ".xz", ".zst", ".xlsx", ".xls", ".arrow")
STDIN = "-"
MAX_COLUMNS = 10_000
Skip = Callable[[BadRow], None]
# Settings of the stage `download` that have another name on the command line.
OPTIONS = {"download.quoted": "--no-quoted", "download.labels": "--label VALUE=NAME"}


class Input(NamedTuple):
    """Texts, or a file of them."""

    name: str
    texts: list[str]
    """Empty for a file."""
    path: Path | None
    layout: Layout = Layout("text", None, all_columns=True)
    unescape: bool = False

    def rows(self, skip: Skip | None) -> Iterator[Row]:
        """Yield each row that has a text; call `skip` with the errors of others, or raise them."""
        for row in self._read(skip):
            try:
                text = valid_text(row.text, row.location)
                if not text.strip():
                    raise BadRow(
                        "has an empty text", location=row.location, advice="remove the row"
                    )
            except BadRow as error:
                if skip is None:
                    raise
                skip(error)
                continue
            yield row._replace(text=unescape(text) if self.unescape else text)

    def _read(self, skip: Skip | None) -> Iterator[Row]:
        if self.path is not None:
            name = "stdin" if self.name == STDIN else ""
            yield from readers.rows(self.path, self.layout, name, skip)
        for number, text in enumerate(self.texts, 1):
            yield Row(f"text {number}", None, text, {"text": text})

    def identity(self) -> tuple[str, str]:
        """Hash the content; name the file in an archive that it is."""
        if self.path is None:
            content = "\0".join(self.texts).encode(errors="replace")
            return hashlib.sha256(content).hexdigest(), ""
        archive = on_disk(self.path)
        member = "" if archive == self.path else str(self.path.relative_to(archive))
        return sha256_of(archive), member


def option(setting: str) -> str:
    """Name the option of the command for a setting of the stage `download`."""
    section, _, name = setting.rpartition(".")
    if section != "download":
        return setting
    return OPTIONS.get(setting) or f"--{name.replace('_', '-')}"


@contextlib.contextmanager
def open_input(arguments: list[str]) -> Iterator[Input]:
    """Open what the arguments are: texts, one file, or nothing, which is standard input."""
    if arguments in ([], [STDIN]):
        if not arguments and sys.stdin.isatty():
            raise UserError(
                f"nothing to predict; give texts, a file ending in {', '.join(SUFFIXES)}, or "
                f"lines on standard input"
            )
        # Read twice, so kept meanwhile.
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"stdin{readers.TEXT}")
            with path.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
            yield Input(STDIN, [], path)
        return
    files = [argument for argument in arguments if is_file(argument)]
    if not files:
        if len(arguments) == 1 and os.path.isdir(arguments[0]):  # noqa: PTH112
            raise UserError(f"{quoted(arguments[0])} is a folder; name a file in it")
        yield Input("texts", arguments, None)
    elif len(arguments) > 1:
        raise UserError(f"{quoted(files[0])} is a file; give one file, or only texts")
    else:
        yield Input(files[0], [], Path(files[0]))


def is_file(argument: str) -> bool:
    """Tell the path of a file from a text."""
    # Not pathlib's: it raises an error for a name that is too long.
    if os.path.isfile(argument):  # noqa: PTH113
        return True
    named = "\n" not in argument and len(argument) < 1000
    ending = readers.suffix(Path(argument)) if named else ""
    return ending in SUFFIXES or (argument.lower().endswith(OTHER_FILES) and " " not in argument)


def check(
    source: Input, numbers: Mapping[str, int] | None, skip: Skip | None
) -> tuple[int, pa.Schema]:
    """Read everything once: check texts and labels, return the number of rows and the columns."""
    rows = 0
    kinds: dict[str, set[type]] = {}
    for row in tqdm(source.rows(skip), "check", unit=" rows", delay=1):
        rows += 1
        if numbers is not None:
            label_number(row, numbers)
        for name, value in (row.fields or {}).items():
            kinds.setdefault(name, set()).add(_kind(value))
        if len(kinds) > MAX_COLUMNS:
            raise UserError(f"{row.location} makes more than {MAX_COLUMNS:,} columns")
    if source.path is not None and readers.suffix(source.path) == ".parquet":
        return rows, readers.parquet_schema(source.path)
    return rows, pa.schema([(name, column_type(types)) for name, types in kinds.items()])


class Large(int):
    """Kind of an integer that a float does not hold exactly."""


def _kind(value: Any) -> type:
    if type(value) is int and abs(value) > 2**53:
        return Large if -(2**63) <= value < 2**63 else object
    return type(value)


def column_type(kinds: set[type]) -> pa.DataType:
    """Choose the type of a column that has values of these kinds; mixed ones become text."""
    kinds = kinds - {type(None)}
    if kinds == {bool}:
        return pa.bool_()
    if kinds and kinds <= {int, Large}:
        return pa.int64()
    return pa.float64() if kinds and kinds <= {int, float} else pa.string()


def label_numbers(
    names: list[str], given: Sequence[str], trained: Mapping[str, str]
) -> dict[str, int]:
    """Map the values of a label column to labels, or as `given`.

    By name, by the number in it, and as in the training file, whose values are those of `trained`.
    """
    numbers = {str(canonical_label(name)): number for number, name in enumerate(names)}
    if given:
        for pair in given:
            value, equals, name = pair.partition("=")
            key, known = canonical_label(value), canonical_label(name)
            if not equals or key is None or known not in numbers:
                raise UserError(
                    f"--label {quoted(pair)} should be VALUE=NAME, NAME one of {listed(names, 10)}"
                )
            numbers[key] = numbers[known]
        return numbers
    # "5 stars" is also 5, if the number in each name is another one.
    digits = [re.findall(r"\d+", name) for name in names]
    values = [str(canonical_label(number[0])) for number in digits if len(number) == 1]
    if len(set(values)) == len(names):
        numbers.update(zip(values, range(len(names))))
    numbers.update({value: names.index(name) for value, name in trained.items() if name in names})
    return numbers


def ignore(error: BadRow) -> None:
    """Leave out a row whose error is noted elsewhere."""
