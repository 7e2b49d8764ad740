"""What `stars predict` reads: texts, lines of standard input, or the rows of a file.

Every row is read at least twice: once to check all of them before anything is computed, and once
to predict them. Nothing but a few texts is ever in memory.
"""

import contextlib
import hashlib
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from tqdm import tqdm

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.files import sha256_of
from yelp_stars.pipeline.text import listed, quoted
from yelp_stars.reading import readers
from yelp_stars.reading.labels import canonical_label
from yelp_stars.reading.layout import Layout, Row
from yelp_stars.reading.texts import unescape, valid_text
from yelp_stars.reading.unpacking import on_disk

TEXT = ".txt"
SUFFIXES = (TEXT, *readers.READERS)
# Not read, but nobody's review: a file that is missing or must be unpacked.
OTHER_FILES = (".zip", ".tgz", ".tar", ".gz", ".bz2", ".xz", ".zst", ".xlsx", ".xls", ".arrow")
STDIN = "-"
MOST_COLUMNS = 10_000
Skip = Callable[[UserError], None]

# What the readers advise, in the words of a stage -> in those of the command line.
ADVICE = {
    "must end in .csv": f"must end in {TEXT}, .csv",
    "set download.quoted to false": "add --no-quoted",
    "set download.text_column and download.label_column to two of": "set --text-column to one of",
}


OR_SKIP = ", or add --skip-bad FILE"


class Input(NamedTuple):
    """Texts, or a file of them."""

    name: str
    texts: list[str]
    """Empty for a file."""
    path: Path | None
    layout: Layout
    unescape: bool

    def rows(self, skip: Skip | None) -> Iterator[Row]:
        """Yield each row that has a text, with all of its columns.

        Raises:
            UserError: for a file that cannot be read; for a row that cannot, unless it can `skip`.
        """
        layout = self.layout._replace(skip=skip and (lambda error: skip(self.explained(error))))
        try:
            for row in self._read(layout):
                try:
                    text = valid_text(row.text, row.location)
                    if not text.strip():
                        raise UserError(f"{row.location} has an empty text; remove the row")
                except UserError as error:
                    if skip is None:
                        raise UserError(f"{error}{OR_SKIP}") from None
                    skip(self.explained(error))
                    continue
                yield row._replace(text=unescape(text) if self.unescape else text)
        except UserError as error:
            raise self.explained(error) from None

    def _read(self, layout: Layout) -> Iterator[Row]:
        if self.path is None:
            for number, text in enumerate(self.texts, 1):
                yield Row(f"text {number}", None, text, {"text": text})
        elif suffix(self.path) == TEXT:
            yield from readers.text_rows(self.path, layout)
        else:
            yield from readers.rows(self.path, layout)

    def explained(self, error: UserError) -> UserError:
        """A reader's error in the words of the command line."""
        message = str(error)
        for theirs, ours in ADVICE.items():
            message = message.replace(theirs, ours)
        message = re.sub(
            r"\bdownload\.(\w+)", lambda match: f"--{match[1].replace('_', '-')}", message
        )
        if self.path is not None and self.name == STDIN:
            message = message.replace(repr(str(self.path)), "stdin")
            message = message.replace(str(self.path), "stdin")
        return UserError(message)

    def sha256(self) -> str:
        """A hash of the content."""
        if self.path is not None:
            return sha256_of(on_disk(self.path))
        return hashlib.sha256("\0".join(self.texts).encode(errors="replace")).hexdigest()


class Checked(NamedTuple):
    """What is known about an input after all of it has been read once."""

    rows: int
    schema: pa.Schema
    """Of its own columns."""


def suffix(path: Path) -> str:
    """The ending that says how a file is written; that of `reviews.csv.gz` is .csv."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


@contextlib.contextmanager
def open_input(arguments: list[str], layout: Layout, unescape: bool) -> Iterator[Input]:
    """Find out what the arguments are: texts, one file, or nothing, which is standard input.

    Raises:
        UserError: for a file beside others or beside texts, or if there is nothing at all.
    """
    if arguments in ([], [STDIN]):
        if not arguments and sys.stdin.isatty():
            raise UserError(
                f"nothing to predict; give texts, a file that ends in {', '.join(SUFFIXES)}, or "
                f"lines on standard input"
            )
        # Read twice, so kept meanwhile.
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"stdin{TEXT}")
            with path.open("wb") as kept:
                shutil.copyfileobj(sys.stdin.buffer, kept)
            yield Input(STDIN, [], path, layout, unescape)
        return
    files = [argument for argument in arguments if is_file(argument)]
    if not files:
        if len(arguments) == 1 and is_folder(arguments[0]):
            raise UserError(f"{quoted(arguments[0])} is a folder; name a file in it")
        yield Input("texts", arguments, None, layout, unescape)
    elif len(arguments) > 1:
        raise UserError(f"{quoted(files[0])} is a file: give it alone, or texts alone")
    else:
        yield Input(files[0], [], Path(files[0]), layout, unescape)


def is_file(argument: str) -> bool:
    """Whether an argument is the path of a file, and not a text."""
    ending = suffix(Path(argument)) if "\n" not in argument and len(argument) < 1000 else ""
    if ending in SUFFIXES or (argument.lower().endswith(OTHER_FILES) and " " not in argument):
        return True
    with contextlib.suppress(OSError):  # a name that is too long
        return Path(argument).is_file()
    return False


def is_folder(argument: str) -> bool:
    with contextlib.suppress(OSError, ValueError):  # a name that is too long, or has a NUL
        return Path(argument).is_dir()
    return False


def check(source: Input, numbers: Mapping[str, int] | None, skip: Skip | None) -> Checked:
    """Read everything once: count the rows, check texts and labels, find the columns.

    Raises:
        UserError: for the first row that cannot be predicted, unless it can `skip`; if none can.
    """
    rows = 0
    kinds: dict[str, set[type]] = {}
    for row in tqdm(source.rows(skip), "check", unit=" rows", delay=1):
        rows += 1
        if numbers is not None:
            label_of(row, numbers)
        for name, value in (row.fields or {}).items():
            found = kinds.get(name)
            if found is None:
                found = kinds[name] = set()
                if len(kinds) > MOST_COLUMNS:
                    raise UserError(f"{row.location} makes more than {MOST_COLUMNS:,} columns")
            found.add(_kind(value))
    if not rows:
        raise UserError(f"{quoted(source.name)} has no row that can be predicted")
    if source.path is not None and suffix(source.path) == ".parquet":
        return Checked(rows, readers.parquet_schema(source.path))
    return Checked(rows, pa.schema([(name, column_type(found)) for name, found in kinds.items()]))


class Large(int):
    """The kind of an integer that a float does not hold exactly."""


def _kind(value: Any) -> type:
    if type(value) is int and abs(value) > 2**53:
        return Large if -(2**63) <= value < 2**63 else object
    return type(value)


def column_type(kinds: set[type]) -> pa.DataType:
    """The type of a column that has values of these kinds; what is mixed becomes text."""
    kinds = kinds - {type(None)}
    if kinds == {bool}:
        return pa.bool_()
    if kinds and kinds <= {int, Large}:
        return pa.int64()
    return pa.float64() if kinds and kinds <= {int, float} else pa.string()


def label_numbers(names: list[str], given: list[str]) -> dict[str, int]:
    """Which label each value of a label column is: its name, the number in it, or as `given`.

    Raises:
        UserError: for a `given` one that is not VALUE=NAME.
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
    found = [re.findall(r"\d+", name) for name in names]
    values = [str(canonical_label(each[0])) for each in found if len(each) == 1]
    if len(set(values)) == len(names):
        numbers.update(zip(values, range(len(names))))
    return numbers


def label_of(row: Row, numbers: Mapping[str, int]) -> int | None:
    """The number of a row's label; None if it has none.

    Raises:
        UserError: for a value that is not a label of the model.
    """
    try:
        key = canonical_label(row.label)
    except TypeError:
        raise UserError(
            f"{row.location} has {quoted(row.label)} where a label is expected"
        ) from None
    if key is not None and key not in numbers:
        raise UserError(
            f"{row.location} has the label {quoted(key)}; the model's values are "
            f"{listed(list(numbers), 10)}: add --label {key[:20]}=NAME for each value"
        )
    return None if key is None else numbers[key]


def member(source: Input) -> str:
    """Which file of an archive it is; empty for a file of its own."""
    if source.path is None or on_disk(source.path) == source.path:
        return ""
    return str(source.path.relative_to(on_disk(source.path)))


def ignore(error: UserError) -> None:
    """Leave out a row whose error is noted elsewhere."""
