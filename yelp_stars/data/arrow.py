"""Arrow IPC files whose bytes depend on their content only, mapped into memory to read.

One stream per split, record batches of `RECORD_BATCH_ROWS` rows. The schema's metadata carries the
Hugging Face features, so `datasets.Dataset.from_file` opens the same file without a copy;
`Dataset.save_to_disk` would add fingerprints that differ between two clones.

The metadata of the schema and of each batch hold a checksum of the file so far, and every reader
compares: a damaged file is reported, and never read as other rows.
"""

import json
import mmap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from xxhash import xxh3_64_intdigest

from yelp_stars.pipeline.files import reading

RECORD_BATCH_ROWS = 1000
RELEASE_BATCHES = 20  # of a mapped file, after which their pages are released
CHECKSUM = b"xxh3"
END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"


def make_schema(
    columns: Mapping[str, pa.DataType],
    label_names: list[str],
    *,
    ordered: bool = True,
    **extra: Any,
) -> pa.Schema:
    """Make a schema of `columns`, with `label` as a class label and `extra` as JSON metadata."""
    extra["ordered"] = ordered
    features = {name: _feature(dtype) for name, dtype in columns.items()}
    features["label"] = {"names": label_names, "_type": "ClassLabel"}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    metadata.update({key: json.dumps(value) for key, value in extra.items()})
    return pa.schema([pa.field(*column) for column in columns.items()], metadata)


def _feature(dtype: pa.DataType) -> dict[str, Any]:
    if pa.types.is_list(dtype):
        return {"feature": _feature(dtype.value_type), "_type": "List"}
    return {"dtype": str(dtype), "_type": "Value"}


def label_names(schema: pa.Schema) -> list[str]:
    """Return the names of the classes, in the order of their labels."""
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    return features["label"]["names"]


def ordered(schema: pa.Schema) -> bool:
    """Say whether the classes have an order, from worst to best."""
    return bool(metadata(schema, "ordered"))


def metadata(schema: pa.Schema, name: str) -> Any:
    """Return a value that `make_schema` was given beside the columns and the labels."""
    return json.loads(schema.metadata[name.encode()])


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


class Mapped(NamedTuple):
    """A memory-mapped file whose pages can be released after reading."""

    table: pa.Table
    pages: mmap.mmap

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the record batches in order, and release those before."""
        for number, batch in enumerate(self.table.to_batches(), 1):
            yield batch
            if number % RELEASE_BATCHES == 0:
                self.release()

    def release(self) -> None:
        """Free the memory of the pages read so far; each row read keeps up to 64 kB."""
        self.pages.madvise(mmap.MADV_DONTNEED)


def read(path: Path) -> pa.Table:
    """Map a file into memory; its columns are views."""
    return read_mapped(path).table


def read_mapped(path: Path) -> Mapped:
    """Map a file into memory for a long pass over it."""
    with reading(path, pa.ArrowException), path.open("rb") as file:
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        batches = []
        for batch, _ in _read_batches(pa.BufferReader(pa.py_buffer(pages))):
            batches.append(batch)
            if len(batches) % RELEASE_BATCHES == 0:
                pages.madvise(mmap.MADV_DONTNEED)
        return Mapped(pa.Table.from_batches(batches, read_schema(path)), pages)


def stream(path: Path) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Read record batches one after the other, each with the bytes of the file read so far.

    Not mapped: batches that were read take no memory, however large the file.
    """
    with reading(path, pa.ArrowException), pa.OSFile(str(path)) as source:
        yield from _read_batches(source)


def read_schema(path: Path) -> pa.Schema:
    """Read the schema of a file, without its rows."""
    with reading(path, pa.ArrowException), pa.OSFile(str(path)) as source:
        return _start(pa.ipc.open_stream(source))[0]


def _start(reader: pa.RecordBatchStreamReader) -> tuple[pa.Schema, int, bool]:
    """Return the schema as `write` received it, its checksum, and whether the file has no batch."""
    metadata = dict(reader.schema.metadata or {})
    mark = metadata.pop(CHECKSUM, None)
    schema = reader.schema.with_metadata(metadata)
    checksum = _schema_checksum(schema)
    return schema, checksum, _is_last(mark, checksum)


def _read_batches(source: pa.NativeFile) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Yield the batches of a stream, each compared with its checksum before it is used."""
    reader = pa.ipc.open_stream(source)
    schema, checksum, last = _start(reader)
    while not last:
        try:
            batch, metadata = reader.read_next_batch_with_custom_metadata()
        except StopIteration:
            raise pa.ArrowInvalid("a batch is missing") from None
        batch.validate()
        checksum = _batch_checksum(batch, checksum)
        last = _is_last((metadata or {}).get(CHECKSUM), checksum)
        yield batch.replace_schema_metadata(schema.metadata), source.tell()
    if source.read() != END_OF_STREAM:
        raise pa.ArrowInvalid("the end is missing, or there is more after it")


def _mark(checksum: int, last: bool) -> bytes:
    return b"%016x%s" % (checksum, b" last" if last else b"")


def _is_last(mark: bytes | None, checksum: int) -> bool:
    """Say whether the file ends here, by the mark of its schema or of a batch."""
    if mark not in (_mark(checksum, last=False), _mark(checksum, last=True)):
        raise pa.ArrowInvalid("the content differs from its checksum")
    return mark == _mark(checksum, last=True)


def _schema_checksum(schema: pa.Schema) -> int:
    fields = [f"{field.name!r}: {field.type}, {field.nullable}" for field in schema]
    return xxh3_64_intdigest(repr((fields, sorted(schema.metadata.items()))).encode())


def _batch_checksum(batch: pa.RecordBatch, checksum: int) -> int:
    """Return the checksum of a file up to this batch, given that of what is before it."""
    for column in batch.columns:
        if column.null_count:
            raise pa.ArrowInvalid("a value is missing")
        for part in _content(column):
            # With its size: bytes that move from one part to the next change the checksum, too.
            checksum = xxh3_64_intdigest(b"%d" % part.nbytes, checksum)
            checksum = xxh3_64_intdigest(part.data, checksum)
    return checksum


def _content(array: pa.Array) -> Iterator[np.ndarray]:
    """Yield the values of an array, wherever it begins in its buffers."""
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


def list_array(values: np.ndarray, lengths: np.ndarray, dtype: pa.DataType) -> pa.ListArray:
    """Cut flat `values` into rows of `lengths`, as an Arrow list column."""
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values, dtype))
