"""Arrow files: the same bytes for the same rows, read without a copy."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.download import write_split
from stars import arrow
from stars.stage import UserError, replacing, write_json

TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=30)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(texts=TEXTS)
def test_any_text_comes_back_from_its_row(tmp_path, texts):
    path = tmp_path / "raw.arrow"
    write_split(path, [(0, text) for text in texts], ["a", "b"])
    table = arrow.read(path)
    assert [table["text"][row].as_py() for row in range(len(texts))] == texts


def test_datasets_opens_our_files_with_their_features(tmp_path):
    from datasets import ClassLabel, Dataset

    path = tmp_path / "raw.arrow"
    write_split(path, [(row % 2, f"text {row}") for row in range(2500)], ["bad", "good"])
    opened = Dataset.from_file(str(path))
    assert opened.features["label"] == ClassLabel(names=["bad", "good"])
    assert opened[2499] == {"label": 1, "text": "text 2499"}
    assert opened.features["label"].int2str(1) == "good"


def test_batches_have_a_fixed_number_of_rows(tmp_path):
    path = tmp_path / "raw.arrow"
    write_split(path, [(0, "x")] * 2001, ["a", "b"])
    assert [len(batch) for batch in arrow.read(path).to_batches()] == [1000, 1000, 1]


def test_lists_are_read_by_row_as_views(tmp_path):
    lengths = np.arange(2300) % 7
    flat = np.arange(lengths.sum()) % 999
    kind = pa.list_(pa.uint16())
    schema = arrow.schema({"input_ids": kind, "label": pa.int64()}, ["a", "b"])
    ends = np.cumsum(lengths)
    batches = [
        pa.record_batch(
            [
                arrow.list_array(
                    flat[ends[start] - lengths[start] : ends[stop - 1]],
                    lengths[start:stop],
                    pa.uint16(),
                ),
                np.zeros(stop - start, np.int64),
            ],
            schema=schema,
        )
        for start, stop in arrow.spans(len(lengths))
    ]
    path = tmp_path / "lists.arrow"
    arrow.write(path, schema, batches)
    lists = arrow.Lists(arrow.read(path)["input_ids"])
    assert len(lists) == 2300
    assert lists.lengths.tolist() == lengths.tolist()
    for row in (0, 1, 999, 1000, 2299):
        expected = flat[ends[row] - lengths[row] : ends[row]]
        assert lists[row].tolist() == expected.tolist()
        assert not lists[row].flags.owndata


def test_a_missing_or_damaged_file_is_told_with_what_to_type(tmp_path):
    with pytest.raises(UserError, match="type `dvc repro`"):
        arrow.read(tmp_path / "none.arrow")
    (tmp_path / "bad.arrow").write_bytes(b"not arrow at all")
    with pytest.raises(UserError, match="is damaged; type `dvc checkout"):
        arrow.read(tmp_path / "bad.arrow")
    write_split(tmp_path / "cut.arrow", [(0, "x" * 100)] * 500, ["a", "b"])
    with (tmp_path / "cut.arrow").open("r+b") as file:
        file.truncate(30_000)
    with pytest.raises(UserError, match="is damaged; type `dvc checkout"):
        arrow.read(tmp_path / "cut.arrow")


def test_a_failure_leaves_neither_the_new_nor_a_partial_file(tmp_path):
    with pytest.raises(RuntimeError), replacing(tmp_path / "out") as partial:  # noqa: PT012
        partial.mkdir()
        (partial / "half").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_is_replaced_as_a_whole(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("old")
    with replacing(tmp_path / "out") as partial:
        partial.mkdir()
        (partial / "new").write_text("new")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["new"]


def test_json_holds_no_number_that_json_does_not_know(tmp_path):
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []
