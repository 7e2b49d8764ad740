"""Labelled text from the user's files, row by row: CSV, TSV, JSON lines, Parquet.

Every reader yields (location, label value, text); the location names the file and line or row.
Files are streamed, never held in memory. An invalid row is an error with its location, not a guess.
"""

import contextlib
import csv
import io
import itertools
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import quoted
from yelp_stars.reading.layout import Layout, Row, check_column, check_names, shown, skip_or_raise
from yelp_stars.reading.lines import read_lines, valid_bytes
from yelp_stars.reading.unpacking import ARCHIVES, BUFFER, on_disk, open_bytes


def rows(path: Path, layout: Layout) -> Iterator[Row]:
    """Yield the rows of one file; a file inside an archive is `reviews.tgz/train.csv`.

    Raises:
        UserError: for a missing, damaged or empty file, a missing or ambiguous column, or a row
            that cannot be read.
    """
    name = path.name.lower()
    read = READERS.get(Path(name.removesuffix(".gz")).suffix)
    if read is None:
        if name.endswith(ARCHIVES):
            raise UserError(
                f"{quoted(str(path), 160)} is an archive; name the file in it: "
                f"{path.name}/reviews.csv"
            )
        raise UserError(
            f"{quoted(str(path), 160)} must end in {', '.join(READERS)}, or one of them and .gz"
        )
    empty = True
    with open_bytes(path) as stream:
        for row in read(stream, path, layout):
            empty = False
            yield row
    if empty:
        raise UserError(f"{quoted(str(path), 160)} is empty; it must have at least one review")


def text_rows(path: Path, layout: Layout) -> Iterator[Row]:
    """Yield each line of a text file that is not empty, as a row without a label.

    Raises:
        UserError: as `rows` does.
    """
    empty = True
    with open_bytes(path) as stream:
        name = shown(path)
        bad = layout.skip is not None
        lines = read_lines(stream, name, layout.encoding, layout.longest_line, bad)
        for number, line in enumerate(lines, 1):
            text = line.rstrip("\r\n")
            if text and valid_bytes([text], f"{name} line {number}", layout):
                empty = False
                yield Row(f"{name} line {number}", None, text, {"text": text})
    if empty:
        raise UserError(f"{quoted(str(path), 160)} is empty; it must have at least one review")


def _csv(stream: io.BufferedReader, path: Path, layout: Layout) -> Iterator[Row]:
    yield from _delimited(stream, path, layout, ",", quotes=True)


def _tsv(stream: io.BufferedReader, path: Path, layout: Layout) -> Iterator[Row]:
    # Quotes have no meaning in a TSV (IANA, text/tab-separated-values).
    yield from _delimited(stream, path, layout, "\t", quotes=False)


def _delimited(
    stream: io.BufferedReader, path: Path, layout: Layout, delimiter: str, quotes: bool
) -> Iterator[Row]:
    name = shown(path)
    lines = read_lines(stream, name, layout.encoding, layout.longest_line, layout.skip is not None)
    delimiter = layout.delimiter or delimiter
    if quotes if layout.quoted is None else layout.quoted:
        table = _quoted_fields(lines, name, delimiter, layout.longest_line)
    else:
        table = _plain_fields(lines, delimiter)
    columns: tuple[int, int] | None = None
    header: list[str] = []
    for line, fields in table:
        if columns is None:
            columns, header = _columns(fields, name, layout, delimiter), fields
            if isinstance(layout.text_column, str):
                if layout.all_columns:
                    check_names(header, name)
                continue
            header = [str(index) for index in range(len(fields))]
        if len(fields) != len(header):
            problem = f"{name} line {line} has {len(fields)} columns, not {len(header)}"
            skip_or_raise(layout, UserError(problem))
            continue
        if not valid_bytes(fields, f"{name} line {line}", layout):
            continue
        text, label = columns
        kept = dict(zip(header, fields)) if layout.all_columns else None
        value = None if layout.label_column is None else fields[label]
        yield Row(f"{name} line {line}", value, fields[text], kept)


def _plain_fields(lines: Iterator[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The number and the fields of every line that is not empty."""
    for number, line in enumerate(lines, 1):
        content = line.removesuffix("\n").removesuffix("\r")
        if content:
            yield number, content.split(delimiter)


def _quoted_fields(
    lines: Iterator[str], path: str, delimiter: str, longest: int
) -> Iterator[tuple[int, list[str]]]:
    """The last line and the fields of every row; a quoted field may have line breaks."""
    csv.field_size_limit(longest)
    table = csv.reader(lines, delimiter=delimiter, strict=True)
    first = 1
    try:
        for fields in table:
            first = table.line_num + 1
            if fields:
                yield table.line_num, fields
    except csv.Error as error:
        reason = next(
            (ours for theirs, ours in CSV_ERRORS.items() if theirs in str(error)), str(error)
        )
        raise UserError(f"{path} line {first} is not valid CSV: {reason}") from None


# Python's message -> ours. A quoted field may begin lines before the one where it fails.
CSV_ERRORS = {
    "expected after": 'text follows a closing quote; write "" for a quote inside a quoted field, '
    "or set download.quoted to false",
    "unexpected end of data": "a quoted field is never closed; if quotes have no meaning in the "
    "file, set download.quoted to false",
    "new-line character": "a carriage return is outside quotes; end every line with a line feed",
    "field limit": "a field is longer than download.longest_line_mb; a quote may be missing",
}


def _columns(fields: list[str], path: str, layout: Layout, delimiter: str) -> tuple[int, int]:
    """The indices of the text and the label in a line."""
    found = []
    for wanted in layout.wanted:
        if isinstance(wanted, int):
            if wanted >= len(fields):
                raise UserError(
                    f"{path} has no column {wanted}; its {len(fields)} columns are numbered from 0"
                )
            found.append(wanted)
            continue
        if wanted not in fields and len(fields) == 1:
            others = [other for other in ";\t|," if other in fields[0] and other != delimiter]
            if others:
                raise UserError(
                    f"{path} has no column {quoted(wanted)}; it has {quoted(fields[0])}: "
                    f"set download.delimiter to {others[0]!r}"
                )
        check_column(wanted, fields, path)
        found.append(fields.index(wanted))
    return found[0], found[-1]


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as its pairs: a dict would silently keep the last of two equal keys."""


def _jsonl(stream: io.BufferedReader, path: Path, layout: Layout) -> Iterator[Row]:
    name = shown(path)
    lines = read_lines(stream, name, layout.encoding, layout.longest_line, layout.skip is not None)
    parse = json.JSONDecoder(object_pairs_hook=_Pairs).decode
    for number, line in enumerate(lines, 1):
        if not line.strip() or not valid_bytes([line], f"{name} line {number}", layout):
            continue
        try:
            yield _json_row(parse, line, f"{name} line {number}", layout)
        except UserError as problem:
            if layout.skip is None:
                raise
            layout.skip(problem)


def _json_row(parse: Callable[[str], Any], line: str, location: str, layout: Layout) -> Row:
    try:
        row = parse(line.rstrip())
    except json.JSONDecodeError as error:
        array = " (a JSON array? write one object per line)" if line[:1] == "[" else ""
        raise UserError(
            f"{location} is not JSON: column {error.colno}: {error.msg}{array}"
        ) from None
    except (ValueError, RecursionError):
        raise UserError(f"{location} has a number or a nesting that is too long") from None
    if not isinstance(row, _Pairs):
        raise UserError(
            f"{location} is not a JSON object; write one object per line, such as "
            f'{{"text": "Great!", "label": 5}}'
        )
    keys = [key for key, _ in row]
    for wanted in layout.wanted:
        check_column(wanted, keys, location)
    if layout.all_columns:
        check_names(keys, location)
    values: dict[Any, Any] = dict(row)
    label = None if layout.label_column is None else values[layout.label_column]
    kept = {key: _plain(value) for key, value in row} if layout.all_columns else None
    return Row(location, label, values[layout.text_column], kept)


def _plain(value: Any) -> Any:
    """A JSON value whose objects are dicts again."""
    if isinstance(value, _Pairs):
        return {key: _plain(inner) for key, inner in value}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _parquet(stream: io.BufferedReader, path: Path, layout: Layout) -> Iterator[Row]:
    name = shown(path)
    with _parquet_file(stream, path) as file:
        names = file.schema_arrow.names
        for wanted in layout.wanted:
            check_column(wanted, names, name)
        if layout.all_columns:
            check_names(names, name)
        chosen = names if layout.all_columns else layout.wanted
        number = 0
        for batch in file.iter_batches(1000, columns=chosen):
            columns = dict(zip(batch.schema.names, batch.to_pydict().values()))
            texts = columns[layout.text_column]
            unlabelled = layout.label_column is None
            labels = [None] * len(texts) if unlabelled else columns[layout.label_column]
            kept: Iterator[Any] = itertools.repeat(None)
            if layout.all_columns:
                kept = (dict(zip(columns, values)) for values in zip(*columns.values()))
            for label, text, fields in zip(labels, texts, kept):
                number += 1
                yield Row(f"{name} row {number}", label, text, fields)


@contextlib.contextmanager
def _parquet_file(stream: io.BufferedReader, path: Path) -> Iterator[Any]:
    # Parquet is read from its end: unpack a stream that cannot seek fast to disk first.
    with tempfile.TemporaryFile() as unpacked:
        source: Any = stream
        if on_disk(path) != path or path.suffix.lower() == ".gz":
            shutil.copyfileobj(stream, unpacked, BUFFER)
            source = unpacked
        try:
            yield pq.ParquetFile(source)
        except BAD_PARQUET as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            reason = " ".join(str(error).split())[:160]
            raise UserError(f"{shown(path)} is not valid Parquet: {reason}") from None


def parquet_schema(path: Path) -> pa.Schema:
    """The columns of a Parquet file, without what other programs have noted.

    Raises:
        UserError: as `rows` does.
    """
    with open_bytes(path) as stream, _parquet_file(stream, path) as file:
        return file.schema_arrow.remove_metadata()


# What pyarrow raises for files that make no sense, and for dates that Python does not have.
BAD_PARQUET = (
    pa.ArrowException, OSError, ValueError, KeyError, IndexError, OverflowError, TypeError,
)  # fmt: skip

READERS: dict[str, Callable[[io.BufferedReader, Path, Layout], Iterator[Row]]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _jsonl,
    ".parquet": _parquet,
}
