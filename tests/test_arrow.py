"""Arrow files: the same bytes for the same rows, read without a copy."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yelp_stars.data import arrow
from yelp_stars.data.labels import write_reviews
from yelp_stars.pipeline.errors import UserError

DAMAGED = r"' is damaged; run `chmod u\+w \S+`, then `dvc repro`$"
TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=30)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(texts=TEXTS)
def test_any_text_is_read_back_from_its_row(tmp_path, texts):
    path = tmp_path / "raw.arrow"
    write_reviews(path, [(0, text) for text in texts], ["a", "b"])
    table = arrow.read(path)
    assert [table["text"][row].as_py() for row in range(len(texts))] == texts


def test_the_same_rows_are_the_same_bytes(tmp_path):
    rows = [(row % 2, f"text {row}") for row in range(2500)]
    for name in ("first", "second"):
        write_reviews(tmp_path / name, iter(rows), ["bad", "good"])
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_datasets_opens_a_file_with_its_features(tmp_path):
    from datasets import ClassLabel, Dataset, List, Value

    path = tmp_path / "raw.arrow"
    write_reviews(path, [(row % 2, f"text {row}") for row in range(2500)], ["bad", "good"])
    opened = Dataset.from_file(str(path))
    assert opened.features["label"] == ClassLabel(names=["bad", "good"])
    assert opened[2499] == {"label": 1, "text": "text 2499"}
    assert opened.features["label"].int2str(1) == "good"
    columns = {"label": pa.int64(), "logits": pa.list_(pa.float32()), "ids": pa.list_(pa.uint16())}
    schema = arrow.make_schema(columns, ["bad", "good"])
    batch = pa.record_batch([[0], [[0.5]], [[7, 8]]], schema=schema)
    arrow.write(path, schema, [batch])
    opened = Dataset.from_file(str(path))
    assert opened.features["logits"] == List(Value("float32"))
    assert opened[0] == {"label": 0, "logits": [0.5], "ids": [7, 8]}


def test_batches_have_a_fixed_number_of_rows(tmp_path):
    path = tmp_path / "raw.arrow"
    write_reviews(path, [(0, "x")] * 2001, ["a", "b"])
    assert [len(batch) for batch in arrow.read(path).to_batches()] == [1000, 1000, 1]
    assert list(arrow.batch_ranges(2001)) == [(0, 1000), (1000, 2000), (2000, 2001)]
    assert list(arrow.batch_ranges(0)) == []


def test_the_schema_holds_class_names_and_metadata(tmp_path):
    columns = {"input_ids": pa.list_(pa.uint16()), "label": pa.int64()}
    schema = arrow.make_schema(columns, ["caf\u00e9", "b"], max_length=128)
    arrow.write(tmp_path / "x.arrow", schema, [])
    read = arrow.read_schema(tmp_path / "x.arrow")
    assert arrow.label_names(read) == ["caf\u00e9", "b"]
    assert arrow.max_length(read) == 128
    assert {name: read.field(name).type for name in read.names} == columns
    assert len(arrow.read(tmp_path / "x.arrow")) == 0


def lists_file(path, lengths, flat):
    schema = arrow.make_schema({"input_ids": pa.list_(pa.uint16()), "label": pa.int64()}, ["a"])
    ends = np.cumsum(lengths)
    batches = [
        pa.record_batch(
            [
                arrow.list_array(
                    flat[ends[start] - lengths[start] : ends[stop - 1]],
                    lengths[start:stop],
                    pa.uint16(),
                ),
                np.arange(start, stop),
            ],
            schema=schema,
        )
        for start, stop in arrow.batch_ranges(len(lengths))
    ]
    arrow.write(path, schema, batches)
    return path


def test_lists_are_read_by_row_as_views(tmp_path):
    lengths = np.arange(2300) % 7
    flat = np.arange(lengths.sum()) % 999
    table = arrow.read(lists_file(tmp_path / "lists.arrow", lengths, flat))
    lists = arrow.ListColumn(table["input_ids"])
    assert len(lists) == 2300
    assert lists.lengths.tolist() == lengths.tolist()
    ends = np.cumsum(lengths)
    for row in (0, 1, 999, 1000, 2299):
        expected = flat[ends[row] - lengths[row] : ends[row]]
        assert lists[row].tolist() == expected.tolist()
        assert not lists[row].flags.owndata


def test_a_file_of_many_batches_is_mapped_and_streamed_with_the_same_rows(tmp_path):
    lengths = np.full(120_000, 2)
    flat = np.arange(240_000) % 65_536
    path = lists_file(tmp_path / "lists.arrow", lengths, flat)
    table, pages = arrow.read_mapped(path)
    assert arrow.column(table, "label").tolist() == list(range(120_000))
    assert arrow.ListColumn(table["input_ids"])[119_999].tolist() == flat[-2:].tolist()
    assert len(pages) == path.stat().st_size
    streamed = list(arrow.stream(path))
    assert pa.Table.from_batches([batch for batch, _ in streamed]).equals(table)
    bytes_read = [position for _, position in streamed]
    assert bytes_read == sorted(set(bytes_read))
    assert 0 < bytes_read[-1] <= path.stat().st_size


@pytest.mark.parametrize(
    "reads",
    [arrow.read, arrow.read_schema, lambda path: list(arrow.stream(path))],
    ids=["read", "read_schema", "stream"],
)
def test_a_missing_or_damaged_file_is_reported_with_what_to_run(tmp_path, reads):
    with pytest.raises(UserError, match=r"none\.arrow'; run `dvc repro` or `dvc pull`$"):
        reads(tmp_path / "none.arrow")
    for content in (b"", b"not arrow at all", b"\0" * 500):
        (tmp_path / "bad.arrow").write_bytes(content)
        with pytest.raises(UserError, match=rf"bad\.arrow{DAMAGED}"):
            reads(tmp_path / "bad.arrow")


@pytest.mark.parametrize("size", [100, 30_000, 50_000])
def test_a_file_that_was_cut_is_reported(tmp_path, size):
    write_reviews(tmp_path / "cut.arrow", [(0, "x" * 100)] * 500, ["a", "b"])
    with (tmp_path / "cut.arrow").open("r+b") as file:
        file.truncate(size)
    for reads in (arrow.read, lambda path: list(arrow.stream(path))):
        with pytest.raises(UserError, match=rf"cut\.arrow{DAMAGED}"):
            reads(tmp_path / "cut.arrow")


def test_a_folder_in_place_of_a_file_is_an_error_of_the_operating_system(tmp_path):
    with pytest.raises(IsADirectoryError):
        arrow.read(tmp_path)
