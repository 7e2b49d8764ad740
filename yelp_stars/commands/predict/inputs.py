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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from tqdm import tqdm

from yelp_stars.pipeline.errors import BadRow, UserError
from yelp_stars.pipeline.files import sha256_of
from yelp_stars.pipeline.text import listed, printable, quoted
from yelp_stars.reading import readers
from yelp_stars.reading.labels import canonical_label, label_number, unescape, valid_text
from yelp_stars.reading.layout import Layout, Row
from yelp_stars.reading.readers import Blank, Skip
from yelp_stars.reading.unpacking import on_disk

SUFFIXES = tuple(readers.READERS)
# A file that is not there, and nobody's review: the word has a slash, or ends like a file.
PATH = re.compile(r"\S*[/\\]\S*|\S+\.[A-Za-z]\w{0,9}")
STDIN = "-"
AS_TEXT = "if it is a text, give it on standard input"
MAX_COLUMNS = 10_000
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
    opened: tuple[int, int] | None = None
    """Size and time of the file before it is read."""

    def rows(self, skip: Skip | None, blank: Blank = bool) -> Iterator[Row]:
        """Yield rows that have a text; call `skip` with the errors of others, or raise them."""
        for row in self._read(skip, blank):
            try:
                text = valid_text(row.text, row.location)
                if not text.strip():
                    problem = "has an empty text"
                    raise BadRow(problem, location=row.location, advice="remove the row")
            except BadRow as error:
                if skip is None:
                    raise
                skip(error)
                continue
            yield row._replace(text=unescape(text) if self.unescape else text)

    def _read(self, skip: Skip | None, blank: Blank) -> Iterator[Row]:
        if self.path is not None:
            name, disk = printable(self.name, 160), on_disk(self.path)
            for row in readers.rows(self.path, self.layout, name, skip, blank):
                now = disk.stat()
                if self.opened not in (None, (now.st_size, now.st_mtime_ns)):
                    advice = "delete the .part folder, if there is one, and run again"
                    raise UserError(f"{quoted(self.name)} has changed meanwhile", advice=advice)
                yield row
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
def open_input(arguments: list[str], is_table: bool = False) -> Iterator[Input]:
    """Open texts, one file or pipe, or standard input: as CSV if `is_table` and not JSON."""
    is_stdin = arguments in ([], [STDIN])
    if is_stdin and (sys.stdin is None or (not arguments and sys.stdin.isatty())):
        raise UserError(
            f"nothing to predict; give texts, a file ending in {', '.join(SUFFIXES)}, or "
            f"lines on standard input"
        )
    name, *others = ["stdin"] if is_stdin else arguments
    files = [argument for argument in arguments if is_file(argument)]
    # Asked first: pathlib raises an error for a name that is too long.
    if is_stdin or (files and not others and os.path.exists(name) and Path(name).is_fifo()):  # noqa: PTH110
        # Read twice, so kept meanwhile.
        with tempfile.TemporaryDirectory() as folder:
            pipe = sys.stdin.buffer if is_stdin else Path(name).open("rb")  # noqa: SIM115
            path = Path(folder, Path(name).name)
            with path.open("wb") as file:
                shutil.copyfileobj(pipe, file)
            if readers.suffix(path) not in SUFFIXES:
                path = path.rename(path.with_suffix(_format(path, is_table)))
                print(f"{name} is read as a {path.suffix} file", file=sys.stderr)
            yield Input(name, [], path)
    elif not files:
        yield Input("texts", arguments, None)
    elif others:
        raise UserError(f"{quoted(files[0])} is a file; give one file, or only texts; {AS_TEXT}")
    elif "://" in name:
        raise UserError(f"{quoted(name)} is an address; download the file and name it; {AS_TEXT}")
    else:
        opened = on_disk(Path(name)).stat()
        yield Input(name, [], Path(name), opened=(opened.st_size, opened.st_mtime_ns))


def _format(path: Path, is_table: bool) -> str:
    """Tell the format of a stream by its first bytes."""
    with path.open("rb") as file:
        start = file.read(100).replace(b"\0", b"")  # of UTF-16
    if re.match(rb"(\xef\xbb\xbf|\xff\xfe|\xfe\xff)?\s*[\[{]\s*[\[{}\"]", start):
        return ".jsonl"
    return ".parquet" if start.startswith(b"PAR1") else ".csv" if is_table else readers.TEXT


def is_file(argument: str) -> bool:
    """Tell a file, or what looks like one, from a text."""
    if os.path.exists(argument):  # noqa: PTH110
        return True
    named = "\n" not in argument and len(argument) < 256
    return named and bool(readers.suffix(Path(argument)) in SUFFIXES or PATH.fullmatch(argument))


def check(
    source: Input, numbers: Mapping[str, int] | None, skip: Skip | None
) -> tuple[int, pa.Schema]:
    """Read everything once: check texts and labels, return the number of rows and the columns."""
    rows = 0
    kinds: dict[str, set[type]] = {}
    for row in tqdm(source.rows(skip), "check", unit=" rows", delay=1, disable=None):
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
