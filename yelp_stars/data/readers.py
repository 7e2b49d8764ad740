"""Labelled text from the user's files, row by row: CSV, TSV, JSON lines, Parquet, .gz, .tgz.

Every reader yields (location, label value, text); the location names the file and line or row.
Files are streamed, never held in memory. An invalid row is an error with its location, not a guess.
"""

import contextlib
import csv
import functools
import gzip
import json
import shutil
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import pyarrow as pa
import pyarrow.parquet as pq

from yelp_stars.pipeline.errors import UserError


class Row(NamedTuple):
    """One row of a file, not validated yet."""

    location: str  # "mine.csv line 3"
    label: Any
    text: Any


ARCHIVES = (".tgz", ".tar.gz")


def rows(path: Path, text_column: str | int, label_column: str | int) -> Iterator[Row]:
    """Yield the rows of one file; columns by name, or by index in a file without a header.

    A file inside an archive is named as in a folder: `reviews.tgz/train.csv`.

    Raises:
        UserError: for a missing or empty file, a missing column, or a row that cannot be read.
    """
    name = path.name.removesuffix(".gz")
    read = READERS.get(Path(name).suffix)
    if read is None:
        allowed = ", ".join(READERS)
        raise UserError(f"{str(path)!r} must end in {allowed}, or one of them and .gz")
    empty = True
    try:
        with _open(path) as stream:
            for row in read(stream, str(path), text_column, label_column):
                empty = False
                yield row
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.ReadError) as error:
        raise UserError(f"{str(path)!r} is a damaged archive: {error}") from None
    if empty:
        raise UserError(f"{str(path)!r} is empty; it must have at least one review")


@contextlib.contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    with contextlib.ExitStack() as stack:
        stream: IO[bytes]
        archive = on_disk(path)
        if archive != path:
            tar = stack.enter_context(tarfile.open(archive, "r:gz"))
            stream = stack.enter_context(_member(tar, archive, path.relative_to(archive)))
        else:
            stream = stack.enter_context(path.open("rb"))
        if path.name.endswith(".gz"):
            stream = stack.enter_context(cast(IO[bytes], gzip.GzipFile(fileobj=stream)))
        yield stream


def on_disk(path: Path) -> Path:
    """The file that holds `path`: itself, or the archive it is in.

    Raises:
        UserError: if there is none.
    """
    archives = [p for p in path.parents if p.name.endswith(ARCHIVES) and p.is_file()]
    if not archives and not path.is_file():
        found = sorted(p.name for p in path.parent.glob("*") if not p.name.startswith("."))
        listed = ", ".join(found[:8]) or "nothing"
        raise UserError(f"no file {str(path)!r}; {str(path.parent)!r} holds {listed}")
    return archives[0] if archives else path


def _member(tar: tarfile.TarFile, archive: Path, wanted: Path) -> IO[bytes]:
    for member in tar:
        # Yelp's archive keeps its files in a folder: matching the end of the name is enough.
        if member.isfile() and f"/{member.name}".endswith(f"/{wanted}"):
            stream = tar.extractfile(member)
            assert stream is not None  # it is a regular file
            return stream
    raise UserError(f"no file {str(wanted)!r} in {str(archive)!r}")


def _lines(stream: IO[bytes], path: str) -> Iterator[str]:
    for number, line in enumerate(stream, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{path} line {number} is not UTF-8 (byte {error.object[error.start]:#04x}); "
                f"convert the file to UTF-8"
            ) from None


def _csv(
    stream: IO[bytes],
    path: str,
    text_column: str | int,
    label_column: str | int,
    delimiter: str = ",",
) -> Iterator[Row]:
    csv.field_size_limit(sys.maxsize)  # a review may be larger than csv's 128 KiB
    table = csv.reader(_lines(stream, path), delimiter=delimiter, strict=True)
    columns: tuple[int, int] | None = None
    width = None
    try:
        for fields in table:
            if not fields:
                continue
            if columns is None:
                columns = _columns(fields, path, text_column, label_column)
                width = len(fields)
                if isinstance(text_column, str):
                    continue
            if len(fields) != width:
                raise UserError(
                    f"{path} line {table.line_num} has {len(fields)} columns, not {width}"
                )
            text, label = columns
            yield Row(f"{path} line {table.line_num}", fields[label], fields[text])
    except csv.Error as error:
        raise UserError(f"{path} line {table.line_num} is not valid CSV: {error}") from None


def _columns(
    fields: list[str], path: str, text_column: str | int, label_column: str | int
) -> tuple[int, int]:
    """The indices of the text and the label in a line."""
    found = []
    for wanted in (text_column, label_column):
        if isinstance(wanted, int):
            if wanted >= len(fields):
                raise UserError(
                    f"{path} has no column {wanted}; its {len(fields)} columns are numbered from 0"
                )
            found.append(wanted)
        else:
            _check_column(wanted, fields, path)
            found.append(fields.index(wanted))
    return found[0], found[1]


def _check_column(wanted: str | int, columns: list[str], location: str) -> None:
    if wanted not in columns:
        raise UserError(
            f"{location} has no column {wanted!r}; it has {', '.join(map(repr, columns))}"
        )


def _jsonl(
    stream: IO[bytes], path: str, text_column: str | int, label_column: str | int
) -> Iterator[Row]:
    for number, line in enumerate(_lines(stream, path), 1):
        if not line.strip():
            continue
        location = f"{path} line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{location} is not JSON: {error}") from None
        if not isinstance(row, dict):
            raise UserError(f"{location} is not a JSON object")
        for name in (text_column, label_column):
            _check_column(name, list(row), location)
        yield Row(location, row[label_column], row[text_column])


def _parquet(
    stream: IO[bytes], path: str, text_column: str | int, label_column: str | int
) -> Iterator[Row]:
    # Parquet is read from its end: unpack a stream that cannot seek fast to disk first.
    with tempfile.TemporaryFile() as unpacked:
        if isinstance(stream, (gzip.GzipFile, tarfile.ExFileObject)):
            shutil.copyfileobj(stream, unpacked)
            stream = unpacked
        try:
            file = pq.ParquetFile(stream)
            for name in (text_column, label_column):
                _check_column(name, file.schema_arrow.names, path)
            number = 0
            for batch in file.iter_batches(1000, columns=[text_column, label_column]):
                labels, texts = batch.column(label_column), batch.column(text_column)
                for label, text in zip(labels.to_pylist(), texts.to_pylist(), strict=True):
                    number += 1
                    yield Row(f"{path} row {number}", label, text)
        except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            reason = " ".join(str(error).split())
            raise UserError(f"{path} is not valid Parquet: {reason}") from None


READERS: dict[str, Callable[..., Iterator[Row]]] = {
    ".csv": _csv,
    ".tsv": functools.partial(_csv, delimiter="\t"),
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}
