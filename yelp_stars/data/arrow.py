"""Arrow IPC files whose bytes depend on their content only, mapped into memory to read.

One stream per split, record batches of `RECORD_BATCH_ROWS` rows. The schema's metadata carries the
Hugging Face features, so `datasets.Dataset.from_file` opens the same file without a copy;
`Dataset.save_to_disk` would add fingerprints that differ between two clones.
"""

import contextlib
import functools
import json
import mmap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from yelp_stars.pipeline.errors import UserError

RECORD_BATCH_ROWS = 1000


def make_schema(
    columns: Mapping[str, pa.DataType], label_names: list[str], **extra: Any
) -> pa.Schema:
    """A schema of `columns`, with `label` as a class label and `extra` as JSON metadata."""
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


def max_length(schema: pa.Schema) -> int:
    """The number of tokens that the rows of a tokenized file were truncated to."""
    length: int = json.loads(schema.metadata[b"max_length"])
    return length


def write(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Write record batches as one IPC stream."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def read(path: Path) -> pa.Table:
    """Map a file into memory; its columns are views, nothing is read yet.

    Raises:
        UserError: if the file is missing, or not an Arrow stream.
    """
    return read_mapped(path)[0]


def read_mapped(path: Path) -> tuple[pa.Table, mmap.mmap]:
    """`read`, and the mapping, whose pages a long pass over a large file can release."""
    with _user_errors(path), path.open("rb") as file:
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        stream, batches = pa.ipc.open_stream(pa.py_buffer(pages)), []
        for batch in stream:  # reading the batch offsets faults pages in; release them
            batches.append(batch)
            if len(batches) % 50 == 0:
                pages.madvise(mmap.MADV_DONTNEED)
        return pa.Table.from_batches(batches, stream.schema), pages


def stream(path: Path) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Read record batches one after the other, each with the bytes of the file read so far.

    Not mapped: batches that were read take no memory, however large the file.
    """
    with _user_errors(path), pa.OSFile(str(path)) as source:
        for batch in pa.ipc.open_stream(source):
            yield batch, source.tell()


def read_schema(path: Path) -> pa.Schema:
    """The schema of a file, without its rows."""
    with _user_errors(path), pa.OSFile(str(path)) as source:
        return pa.ipc.open_stream(source).schema


@contextlib.contextmanager
def _user_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"no file {str(path)!r}; run `dvc repro` or `dvc pull`") from None
    except (ValueError, OSError) as error:  # pyarrow's and mmap's are among these
        if isinstance(error, OSError) and error.errno is not None:
            raise
        # An out is a hard link into DVC's cache, so both are damaged. DVC trusts a cached file that
        # is read-only; one that is writable it hashes again, and replaces.
        raise UserError(
            f"{str(path)!r} is damaged; run `chmod u+w {path}`, then `dvc repro`"
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
