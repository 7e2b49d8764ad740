"""Read the rows of the user's files one by one: CSV, TSV, JSON lines, Parquet, lines of text.

Files are streamed, never held in memory. An invalid row is an error with its location, not a guess.
"""

import contextlib
import csv
import functools
import io
import itertools
import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from yelp_stars.pipeline.errors import BadRow, UserError
from yelp_stars.pipeline.files import refusing
from yelp_stars.pipeline.text import counted, printable, quoted
from yelp_stars.reading.layout import Layout, Row
from yelp_stars.reading.lines import check_bytes, read_lines
from yelp_stars.reading.unpacking import ARCHIVES, BINARY, BUFFER, check_size, open_bytes

# A reader raises what is wrong with a file, yields what is wrong with a row, None for a blank line.
Rows = Iterator[Row | BadRow | None]
STATED = re.compile(r'"?sep=([^"\r\n])"?\s*')  # the separator, in a first line by Excel for itself
Skip = Callable[[BadRow], None]
Blank = Callable[[], Any]


def rows(
    path: Path, layout: Layout, name: str = "", skip: Skip | None = None, blank: Blank = bool
) -> Iterator[Row]:
    """Yield the rows of one file; a file inside an archive is `reviews.tgz/train.csv`.

    `name` is that of the file in errors. `skip` is called with the error of each row that cannot
    be read, and the row is left out; None raises the first. `blank` is called for each blank line.
    """
    name = name or printable(path, 160)
    ending = suffix(path)
    if path.name.lower().endswith(ARCHIVES):
        raise UserError(f"{name} is an archive; name the file in it: {path.name}/reviews.csv")
    empty = True
    with open_bytes(path) as stream:
        found = [kind for start, kind in BINARY.items() if re.match(start, stream.peek(1))]
        if found and ending != ".parquet":
            raise UserError(f"{name} is {found[0]}")
        if ending not in READERS or (ending == TEXT and layout.label_column is not None):
            endings = [known for known in READERS if known != TEXT or layout.label_column is None]
            raise UserError(f"{name} must end in {', '.join(endings)}, or one of them and .gz")
        for row in READERS[ending](stream, name, layout):
            empty = empty and row is None
            if isinstance(row, Row):
                yield row
            elif row is None:
                blank()
            elif skip is None:
                raise row
            else:
                skip(row)
    if empty:
        raise UserError(f"{name} is empty; it must have at least one review")


def suffix(path: Path) -> str:
    """Return the ending that names a file's format; that of `reviews.csv.gz` is .csv."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _text(stream: io.BufferedReader, name: str, layout: Layout) -> Rows:
    for number, line in enumerate(read_lines(stream, name, layout), 1):
        text, location = line.rstrip("\r\n"), f"{name} line {number}"
        if text:
            try:
                check_bytes(text, location, layout)
                yield Row(location, None, text, {"text": text})
            except BadRow as problem:
                yield problem
        else:
            yield None


def _delimited(
    stream: io.BufferedReader, name: str, layout: Layout, *, delimiter: str, quotes: bool
) -> Rows:
    delimiter = layout.delimiter or delimiter
    lines = read_lines(stream, name, layout)
    first = next(lines, "")
    if stated := STATED.fullmatch(first):
        delimiter, first = stated[1], "\n"
    lines = itertools.chain([first], lines)
    if quotes if layout.quoted is None else layout.quoted:
        if (other := re.match(r'"[^"]*"([;\t|,])', first)) and other[1] != delimiter:
            column = next(iter(layout.wanted.values()))
            raise _other_delimiter(name, column, first.rstrip(), other[1])
        table = _quoted_fields(lines, name, delimiter, layout.max_line)
    else:
        table = _plain_fields(lines, delimiter)
    header: list[str] = []
    for line, fields in table:
        location = f"{name} line {line}"
        if not fields:
            yield from [None] if header else []
            continue
        if not header:
            check_bytes("".join(fields), location, layout, UserError)
            if "\0" in "".join(fields):
                raise UserError("has a NUL byte in a name", location=location, advice="remove it")
            _check_header(fields, name, layout, delimiter)
            header = [str(index) for index in range(len(fields))]
            # Where columns have no names, pandas writes their indices.
            if isinstance(layout.text_column, str) or fields == header:
                header = _unique(fields)
                continue
        try:
            if len(fields) != len(header):
                raise BadRow(f"has {len(fields)} columns, not {len(header)}", location=location)
            for field in fields:
                check_bytes(field, location, layout)
            yield layout.row(dict(zip(header, fields)), location)
        except BadRow as problem:
            yield problem


def _plain_fields(lines: Iterator[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the fields of every line; a blank one has none."""
    for number, line in enumerate(lines, 1):
        content = line.removesuffix("\n").removesuffix("\r")
        yield number, content.split(delimiter) if content else []


def _quoted_fields(
    lines: Iterator[str], name: str, delimiter: str, max_line: int
) -> Iterator[tuple[int, list[str]]]:
    """Yield the last line and the fields of every row; a quoted field may have line breaks."""
    csv.field_size_limit(max_line)
    table = csv.reader(lines, delimiter=delimiter, strict=True)
    first = 1
    try:
        for fields in table:
            first = table.line_num + 1
            yield table.line_num, fields
    except csv.Error as error:
        # A quoted field may begin lines before its error.
        raise UserError(
            f"is not valid CSV: {error}",
            location=f"{name} line {first}",
            setting="download.quoted",
            advice="fix its quotes and line ends; if quotes have no meaning in the file, read it "
            "without them ({setting})",
        ) from None


def _check_header(fields: list[str], name: str, layout: Layout, delimiter: str) -> None:
    """Check that the first line has the columns that are read."""
    line = delimiter.join(fields)
    for column in layout.wanted.values():
        there = column < len(fields) if isinstance(column, int) else column in fields
        others = [
            other
            for other in ";\t|,".replace(delimiter, "")
            if (len(fields) == 1 and other in line) or column in line.split(other)
        ]
        if not there and others:
            raise _other_delimiter(name, column, line, others[0])
        if not there and isinstance(column, int):
            numbered = f"{counted(len(fields), 'column')}, numbered from 0"
            raise UserError(f"has no column {column}; it has {numbered}", location=name)
    if isinstance(layout.text_column, str):
        # Of the columns that are only kept, several may have one name: _unique numbers them.
        layout._replace(all_columns=False).check_names(fields, name)


def _unique(names: list[str]) -> list[str]:
    """Number the names that occur again, as pandas does: x, x.1; no other column is renamed."""
    again: Counter[str] = Counter()
    taken = set(names)
    unique: dict[str, None] = {}
    for name in names:
        numbered = name
        while numbered in unique or (again[name] and numbered in taken):
            again[name] += 1
            numbered = f"{name or 'Unnamed'}.{again[name]}"
        unique[numbered] = None
    return [*unique]


def _other_delimiter(name: str, column: str | int, line: str, other: str) -> UserError:
    return UserError(
        f"has no column {quoted(column)}; it has {quoted(line)}",
        location=name,
        setting="download.delimiter",
        advice=f"set {{setting}} to {other!r}",
    )


class _Object(dict[str, Any]):
    """A JSON object that knows its keys: a plain one silently keeps the last of two equal ones."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.written = [key for key, _ in pairs]


_parse_json = json.JSONDecoder(object_pairs_hook=_Object).decode


def _jsonl(stream: io.BufferedReader, name: str, layout: Layout) -> Rows:
    label, unlabelled = str(layout.label_column), layout._replace(label_column=None)
    labelled, first = layout.label_column is None, None
    for number, line in enumerate(read_lines(stream, name, layout), 1):
        if line.strip():
            location = f"{name} line {number}"
            try:
                fields = _json_object(line, location, layout)
                # A row without a label may lack the key, too.
                labelled = labelled or label in fields
                missing = {str(column) for column in layout.wanted.values()} - fields.keys()
                expected = unlabelled if missing == {label} else layout
                expected.check_names(fields.written, location, BadRow)
                first = first or (fields.written, location)
                yield layout.row(fields, location)
            except BadRow as problem:
                yield problem
        else:
            yield None
    if first and not labelled:
        layout.check_names(*first)


def _json_object(line: str, location: str, layout: Layout) -> _Object:
    check_bytes(line, location, layout)
    try:
        row = _parse_json(line.rstrip())
    except json.JSONDecodeError as error:
        array = " (a JSON array? write one object per line)" if line[:1] == "[" else ""
        problem = f"is not JSON: column {error.colno}: {error.msg}{array}"
        raise BadRow(problem, location=location) from None
    except (ValueError, RecursionError):
        raise BadRow("has a number or a nesting that is too long", location=location) from None
    if not isinstance(row, _Object):
        raise BadRow(
            "is not a JSON object",
            location=location,
            advice='write one object per line, such as {"text": "Great!", "label": 5}',
        )
    if layout.all_columns and any("\ud800" <= char <= "\udfff" for char in "".join(row.written)):
        problem = "has an unpaired surrogate in the name of a column"
        raise BadRow(problem, location=location, advice="fix it")
    return row


def _parquet(stream: io.BufferedReader, name: str, layout: Layout) -> Rows:
    with _parquet_file(stream, name) as (file, packed):
        names = file.schema_arrow.names
        layout.check_names(names, name)
        columns = names if layout.all_columns else [*map(str, layout.wanted.values())]
        # A row may be as large as all that its row group packs, one text repeated.
        groups = map(file.metadata.row_group, range(file.num_row_groups))
        largest = max((group.total_byte_size for group in groups), default=0)
        at_once = min(1000, 1 + 100 * (BUFFER + packed) // (1 + largest))
        first, size = 1, 0
        for batch in file.iter_batches(at_once, columns=columns):
            unpacked = [
                each.dictionary_decode() if isinstance(each, pa.DictionaryArray) else each
                for each in batch.columns
            ]
            size += sum(column.nbytes for column in unpacked)
            check_size(size, packed, name)
            for number, values in enumerate(zip(*map(_values, unpacked)), first):
                fields = dict(zip(batch.schema.names, values))
                yield layout.row(fields, f"{name} row {number}")
            first += len(batch)


def _values(column: pa.Array) -> list[Any]:
    """Return what Python has; of a time with nanoseconds or after the year 9999, its number."""
    values: list[Any] = []
    for value in column if pa.types.is_temporal(column.type) else ():
        values.append(value.value)
        with contextlib.suppress(ValueError, OverflowError):
            if value.type != pa.time64("ns") or not value.value or value.value % 1000 == 0:
                values[-1] = value.as_py()
    if pa.types.is_float16(column.type) or pa.types.is_float32(column.type):
        narrow = column.type.to_pandas_dtype()  # whose 0.1 is not that of a float64
        for value in column.to_pylist():
            values.append(value if value is None or value % 1 == 0 else float(str(narrow(value))))
    return values or column.to_pylist()


@contextlib.contextmanager
def _parquet_file(stream: io.BufferedReader, name: str) -> Iterator[tuple[pq.ParquetFile, int]]:
    # Parquet is read from its end: unpack a stream that cannot seek fast to disk first.
    with tempfile.TemporaryFile() as unpacked:
        is_file = isinstance(stream.raw, io.FileIO)
        if not is_file:
            shutil.copyfileobj(stream, unpacked, BUFFER)
        with refusing(f"{name} is not valid Parquet", "get it again"):
            source = stream if is_file else unpacked
            packed = source.seek(0, io.SEEK_END)
            yield pq.ParquetFile(source), packed


def parquet_schema(path: Path) -> pa.Schema:
    """Read the columns of a Parquet file, without what other programs have noted."""
    with open_bytes(path) as stream, _parquet_file(stream, quoted(str(path), 160)) as (file, _):
        return file.schema_arrow.remove_metadata()


TEXT = ".txt"
READERS: dict[str, Callable[[io.BufferedReader, str, Layout], Rows]] = {
    ".csv": functools.partial(_delimited, delimiter=",", quotes=True),
    # Quotes have no meaning in a TSV (IANA, text/tab-separated-values).
    ".tsv": functools.partial(_delimited, delimiter="\t", quotes=False),
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _jsonl,
    ".parquet": _parquet,
    TEXT: _text,
}
