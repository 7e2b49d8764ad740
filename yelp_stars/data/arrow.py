"""Arrow IPC files whose bytes depend on their content only, mapped into memory to read.

One stream per split, record batches of `RECORD_BATCH_ROWS` rows. The schema's metadata carries the
Hugging Face features, so `datasets.Dataset.from_file` opens the same file without a copy;
`Dataset.save_to_disk` would add fingerprints that differ between two clones.

The metadata of the schema and of each batch hold a checksum of the file so far, and every reader
compares: a damaged file is reported, and never read as other rows.
"""

import contextlib
import functools
import json
import mmap
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from xxhash import xxh3_64_intdigest

from yelp_stars.pipeline.errors import UserError

RECORD_BATCH_ROWS = 1000
CHECKSUM = b"xxh3"
END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"


def make_schema(
    columns: Mapping[str, pa.DataType],
    label_names: list[str],
    *,
    ordered: bool = True,
    **extra: Any,
) -> pa.Schema:
    """A schema of `columns`, with `label` as a class label and `extra` as JSON metadata."""
    extra["ordered"] = ordered
    features = {name: _feature(dtype) for name, dtype in columns.items()}
    features["label"] = {"names": label_names, "_type": "ClassLabel"}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    metadata.update({key: json.dumps(value) for key, value in extra.items()})
    return pa.schema([pa.field(*column) for column in columns.items()], metadata)


def _feature(dtype: pa.DataType) -> dict[str, Any]:
    if pa.types.is_list(dtype):
        return {"feature": _feature(dtype.value_type), "_type": "List"}
    names = {pa.float32(): "float32", pa.float64(): "float64"}
    return {"dtype": names.get(dtype, str(dtype)), "_type": "Value"}


def label_names(schema: pa.Schema) -> list[str]:
    """The names of the classes, in the order of their labels."""
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    names: list[str] = features["label"]["names"]
    return names


def ordered(schema: pa.Schema) -> bool:
    """Whether the classes have an order, from worst to best."""
    return bool(json.loads(schema.metadata[b"ordered"]))


def max_length(schema: pa.Schema) -> int:
    """The number of tokens that the rows of a tokenized file were truncated to."""
    length: int = json.loads(schema.metadata[b"max_length"])
    return length


def truncation(schema: pa.Schema) -> str:
    """Which tokens were kept of longer texts: head, tail or head_tail."""
    kept: str = json.loads(schema.metadata[b"truncation"])
    return kept


def source(schema: pa.Schema) -> str:
    """Where the reviews are from: "synthetic", "files", or a repository of the Hub."""
    name: str = json.loads(schema.metadata[b"source"])
    return name


def write(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Write record batches as one IPC stream."""
    checksum, coming = _schema_checksum(schema), iter(batches)
    following = next(coming, None)
    metadata = {**schema.metadata, CHECKSUM: _mark(checksum, last=following is None)}
    with (
        pa.OSFile(str(path), "wb") as sink,
        pa.ipc.new_stream(sink, schema.with_metadata(metadata)) as writer,
    ):
        while (batch := following) is not None:
            following = next(coming, None)
            checksum = _batch_checksum(batch, checksum)
            writer.write_batch(batch, {CHECKSUM: _mark(checksum, last=following is None)})


def read(path: Path) -> pa.Table:
    """Map a file into memory; its columns are views.

    Raises:
        UserError: if the file is missing, damaged, or not an Arrow stream.
    """
    return read_mapped(path)[0]


def read_mapped(path: Path, *, verified: bool = False) -> tuple[pa.Table, mmap.mmap]:
    """`read`, and the mapping, whose pages a long pass over a large file can release.

    A file that `stream` has just read need not be compared with its checksums again.
    """
    with _user_errors(path), path.open("rb") as file:
        if not verified:
            with pa.OSFile(str(path)) as source:  # without the mapping: no page of it is used
                for _ in _read_batches(source):
                    pass
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        reader, batches = pa.ipc.open_stream(pa.py_buffer(pages)), []
        for batch in reader:  # reading the batch offsets faults pages in; release them
            batches.append(batch)
            if len(batches) % 50 == 0:
                pages.madvise(mmap.MADV_DONTNEED)
        table = pa.Table.from_batches(batches, reader.schema)
        return table.replace_schema_metadata(_read_schema(reader).metadata), pages


def stream(path: Path) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Read record batches one after the other, each with the bytes of the file read so far.

    Not mapped: batches that were read take no memory, however large the file.
    """
    with _user_errors(path), pa.OSFile(str(path)) as source:
        for batch in _read_batches(source):
            yield batch, source.tell()


def read_schema(path: Path) -> pa.Schema:
    """The schema of a file, without its rows."""
    with _user_errors(path), pa.OSFile(str(path)) as source:
        return _read_schema(pa.ipc.open_stream(source))


def _read_schema(reader: pa.RecordBatchStreamReader) -> pa.Schema:
    """The schema as `write` received it."""
    metadata = dict(reader.schema.metadata or {})
    mark = metadata.pop(CHECKSUM, None)
    schema = reader.schema.with_metadata(metadata)
    _is_last(mark, _schema_checksum(schema))
    return schema


def _read_batches(source: pa.NativeFile) -> Iterator[pa.RecordBatch]:
    """The batches of a stream, each compared with its checksum before it is used."""
    reader = pa.ipc.open_stream(source)
    schema = _read_schema(reader)
    checksum = _schema_checksum(schema)
    last = _is_last(reader.schema.metadata[CHECKSUM], checksum)
    while not last:
        try:
            batch, metadata = reader.read_next_batch_with_custom_metadata()
        except StopIteration:
            raise pa.ArrowInvalid("a batch is missing") from None
        batch.validate(full=True)
        checksum = _batch_checksum(batch, checksum)
        last = _is_last((metadata or {}).get(CHECKSUM), checksum)
        yield batch.replace_schema_metadata(schema.metadata)
    if source.read() != END_OF_STREAM:
        raise pa.ArrowInvalid("the end is missing, or there is more after it")


def _mark(checksum: int, last: bool) -> bytes:
    return b"%016x%s" % (checksum, b" last" if last else b"")


def _is_last(mark: bytes | None, checksum: int) -> bool:
    """Whether the file ends here, by the mark of its schema or of a batch."""
    if mark not in (_mark(checksum, last=False), _mark(checksum, last=True)):
        raise pa.ArrowInvalid("the content differs from its checksum")
    return mark == _mark(checksum, last=True)


def _schema_checksum(schema: pa.Schema) -> int:
    fields = [f"{field.name!r}: {field.type}, {field.nullable}" for field in schema]
    return xxh3_64_intdigest(repr((fields, sorted(schema.metadata.items()))).encode())


def _batch_checksum(batch: pa.RecordBatch, checksum: int) -> int:
    """The checksum of a file up to this batch, given that of what is before it."""
    for column in batch.columns:
        if column.null_count:
            raise pa.ArrowInvalid("a value is missing")
        for part in _content(column):
            # With its size: bytes that move from one part to the next change the checksum, too.
            checksum = xxh3_64_intdigest(b"%d" % part.nbytes, checksum)
            checksum = xxh3_64_intdigest(part.data, checksum)
    return checksum


def _content(array: pa.Array) -> Iterator[np.ndarray]:
    """The values of an array, wherever it begins in its buffers."""
    if pa.types.is_list(array.type):
        offsets = array.offsets.to_numpy()
        yield offsets - offsets[:1]
        yield from _content(array.values[slice(*offsets[[0, -1]].tolist())])
    elif pa.types.is_large_string(array.type):
        _, offsets, text = array.buffers()
        offsets = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
        yield offsets - offsets[:1]
        yield np.frombuffer(text or b"", np.uint8)[slice(*offsets[[0, -1]].tolist())]
    else:
        yield array.to_numpy()


@contextlib.contextmanager
def _user_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"no file {str(path)!r}; run `dvc repro` or `dvc pull`") from None
    except (pa.ArrowException, ValueError, OSError, TypeError, KeyError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        # An out is a hard link into DVC's cache, so both are damaged. DVC trusts a cached file that
        # is read-only; one that is writable it hashes again, and replaces.
        raise UserError(
            f"{str(path)!r} is damaged; run `chmod u+w {shlex.quote(str(path))}`, then `dvc repro`"
        ) from None


def column(table: pa.Table, name: str) -> np.ndarray:
    """A column of plain numbers, of shape (rows,)."""
    values: np.ndarray = table[name].to_numpy()
    return values


class ListColumn:
    """A column of lists, read by row without a copy: `column[row]` is a view of shape (length,)."""

    def __init__(self, values: pa.ChunkedArray) -> None:
        self._chunks = [
            (chunk.offsets.to_numpy(), chunk.values.to_numpy()) for chunk in values.chunks
        ]
        self._starts = np.cumsum([0] + [len(chunk) for chunk in values.chunks])

    @functools.cached_property
    def lengths(self) -> np.ndarray:
        """The length of each list, of shape (rows,)."""
        parts = [np.diff(offsets) for offsets, _ in self._chunks]
        return np.concatenate([np.zeros(0, np.int32), *parts])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, row: int) -> np.ndarray:
        # Every chunk but the last holds RECORD_BATCH_ROWS rows: a division finds it.
        chunk, index = divmod(row, RECORD_BATCH_ROWS)
        offsets, values = self._chunks[chunk]
        view: np.ndarray = values[offsets[index] : offsets[index + 1]]
        return view


def list_array(values: np.ndarray, lengths: np.ndarray, dtype: pa.DataType) -> pa.ListArray:
    """Flat `values` cut into rows of `lengths`, as an Arrow list column."""
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values, dtype))


def batch_ranges(rows: int) -> Iterator[tuple[int, int]]:
    """The (start, stop) of each record batch of a file of `rows` rows."""
    for start in range(0, rows, RECORD_BATCH_ROWS):
        yield start, min(start + RECORD_BATCH_ROWS, rows)
