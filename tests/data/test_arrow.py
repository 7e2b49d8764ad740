"""Arrow files: the same bytes for the same rows, read without a copy, damaged ones never."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from helpers import FUZZ_EXAMPLES

from yelp_stars.data import arrow
from yelp_stars.data.sources import write_reviews
from yelp_stars.pipeline.errors import Damaged, Missing


def write(path: Path, **columns: Any) -> Path:
    """Write columns in record batches of 1,000 rows."""
    whole = pa.record_batch(columns)
    types = dict(zip(whole.schema.names, whole.schema.types))
    schema = arrow.make_schema(types, ["a", "b"], max_length=9)
    slices = [whole.slice(start, 1000) for start in range(0, len(whole), 1000)]
    arrow.write(path, schema, [part.replace_schema_metadata(schema.metadata) for part in slices])
    return path


def test_any_text_is_read_back_from_its_row(tmp_path):
    texts = ["", " ", "a\nb", "caf\u00e9", "\U0001f32e", "\u202e", "\x01\x85\u2028", "x" * 100_000]
    path = tmp_path / "raw.arrow"
    write_reviews(path, [(0, text) for text in texts], ["a", "b"])
    table = arrow.read(path)
    assert [table["text"][row].as_py() for row in range(len(texts))] == texts


def test_datasets_opens_a_file_with_its_features(tmp_path):
    from datasets import ClassLabel, Dataset, List, Value

    path = tmp_path / "raw.arrow"
    write_reviews(path, [(row % 2, f"text {row}") for row in range(2500)], ["bad", "good"])
    opened = Dataset.from_file(str(path))
    assert opened.features["label"] == ClassLabel(names=["bad", "good"])
    assert opened[2499] == {"label": 1, "text": "text 2499"}
    ids = pa.array([[7, 8]], pa.list_(pa.uint16()))
    opened = Dataset.from_file(str(write(path, input_ids=ids, label=np.array([0]))))
    assert opened.features["input_ids"] == List(Value("uint16"))
    assert opened[0] == {"input_ids": [7, 8], "label": 0}


def test_a_file_of_many_batches_is_mapped_and_streamed_with_the_same_rows(tmp_path):
    rows = np.arange(45_000)  # batches that are released while they are read
    flat = np.arange(90_000) % 65_536
    ids = arrow.list_array(flat, np.full(len(rows), 2), pa.uint16())
    path = write(tmp_path / "lists.arrow", input_ids=ids, label=rows)
    mapped = arrow.read_mapped(path)
    assert mapped.table["label"].to_numpy().tolist() == rows.tolist()
    lists = mapped.table["input_ids"]
    assert lists.to_pylist() == flat.reshape(-1, 2).tolist()
    assert pa.Table.from_batches(mapped.batches()).equals(mapped.table)
    streamed = list(arrow.stream(path))
    assert pa.Table.from_batches([batch for batch, _ in streamed]).equals(mapped.table)
    bytes_read = [position for _, position in streamed]
    assert bytes_read == sorted(set(bytes_read))
    assert 0 < bytes_read[-1] <= path.stat().st_size


def stream(path: Path) -> list[pa.RecordBatch]:
    return [batch for batch, _ in arrow.stream(path)]


@pytest.mark.parametrize("reads", [arrow.read, arrow.read_schema, stream])
def test_a_missing_or_damaged_file_is_reported_with_what_to_run(tmp_path, reads):
    with pytest.raises(Missing) as missing:
        reads(tmp_path / "none.arrow")
    assert missing.value.advice == "run `dvc repro` or `dvc pull`"
    path = tmp_path / "bad.arrow"
    batch = pa.record_batch({"label": [0, 1], "text": ["x", "y"]})
    with pa.ipc.new_stream(str(path), batch.schema) as writer:
        writer.write_batch(batch)
    for content in (b"", b"not arrow at all", b"\0" * 500, path.read_bytes()):  # not one of ours
        path.write_bytes(content)
        with pytest.raises(Damaged) as damaged:
            reads(path)
        assert damaged.value.advice == f"run `chmod u+w {path}`, then `dvc repro`"


def of_stage(path: Path, stage: str) -> Path:
    """Write a file with the columns of a stage's, of three record batches."""
    rng, rows = np.random.default_rng(0), 2300
    lengths, labels = rng.integers(1, 20, rows), rng.integers(0, 2, rows)
    if stage == "download":
        texts = pa.array(["\u00e9" * length for length in lengths.tolist()], pa.large_string())
        return write(path, label=labels, text=texts)
    ids = arrow.list_array(rng.integers(0, 99, lengths.sum()), lengths, pa.uint16())
    return write(path, input_ids=ids, label=labels, row=np.arange(rows))


STAGES = ["download", "tokenize"]


def mapped(path: Path) -> Any:
    table = arrow.read(path)
    return table.schema.metadata, table.to_pydict()


def streamed(path: Path) -> Any:
    schema = arrow.read_schema(path)
    return schema.metadata, pa.Table.from_batches(stream(path), schema).to_pydict()


READERS = [mapped, streamed]


def damage(content: bytes, kind: str, rng: random.Random) -> bytes:
    """Change `content` in one random location; the first half of the time in the schema."""
    size = len(content)
    where = rng.randrange(size) if rng.random() < 0.5 else rng.randrange(min(1500, size))
    length = rng.choice([1, 8, 512, 4096])
    head, tail = content[:where], content[where:]
    return {
        "a flipped bit": lambda: head + bytes([tail[0] ^ 1 << rng.randrange(8)]) + tail[1:],
        "a cut": lambda: head,
        "zeroed": lambda: head + bytes(len(tail[:length])) + tail[length:],
        "inserted": lambda: head + rng.randbytes(length) + tail,
        "removed": lambda: head + tail[length:],
        "more at the end": lambda: content + rng.randbytes(length),
    }[kind]()


KINDS = ["a flipped bit", "a cut", "zeroed", "inserted", "removed", "more at the end"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stage", STAGES)
def test_a_damaged_file_is_reported_or_reads_as_the_same_rows(tmp_path, stage, kind):
    content = of_stage(tmp_path / "x.arrow", stage).read_bytes()
    expected = mapped(tmp_path / "x.arrow")
    assert streamed(tmp_path / "x.arrow") == expected
    rng, reported = random.Random(f"{stage} {kind}"), 0
    tries = max(1, FUZZ_EXAMPLES // 50)
    for _ in range(tries):
        (tmp_path / "x.arrow").write_bytes(damage(content, kind, rng))
        for reads in READERS:
            try:
                assert reads(tmp_path / "x.arrow") == expected
            except Damaged:
                reported += 1
    assert reported >= tries  # the padding between buffers is all that may change


def boundaries(path: Path) -> list[int]:
    """Return the sizes of a file after its schema, and after each record batch."""
    with pa.OSFile(str(path)) as source:
        reader = pa.ipc.open_stream(source)
        return [source.tell(), *(source.tell() for _ in reader)]


Edit = Callable[[bytes, list[int]], bytes]
EDITS: dict[str, Edit] = {
    "cut after the schema": lambda content, at: content[: at[0]],
    "cut before the end marker": lambda content, at: content[: at[3]],
    "the last batch removed": lambda content, at: content[: at[2]] + content[at[3] :],
    "a batch removed": lambda content, at: content[: at[0]] + content[at[1] :],
    "a batch twice": lambda content, at: content[: at[1]] + content[at[0] :],
    "two batches swapped": lambda content, at: (
        content[: at[0]] + content[at[1] : at[2]] + content[at[0] : at[1]] + content[at[2] :]
    ),
    "a byte more": lambda content, at: content + b"\0",
}


@pytest.mark.parametrize("reads", READERS)
@pytest.mark.parametrize("edit", EDITS)
def test_missing_moved_and_foreign_batches_are_reported(tmp_path, reads, edit):
    path = of_stage(tmp_path / "x.arrow", "tokenize")
    content, at = path.read_bytes(), boundaries(path)
    path.write_bytes(EDITS[edit](content, at))
    with pytest.raises(Damaged):
        reads(path)


def test_what_is_read_is_written_back_as_the_same_bytes(tmp_path):
    for stage in STAGES:
        path = of_stage(tmp_path / "x.arrow", stage)
        table = arrow.read(path)
        arrow.write(tmp_path / "y.arrow", table.schema, table.to_batches())
        assert (tmp_path / "y.arrow").read_bytes() == path.read_bytes()
