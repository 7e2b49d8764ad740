"""Batches: every row once an epoch, of similar length, padded no more than needed."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from yelp_stars.data import arrow
from yelp_stars.modeling.batching import (
    LengthGroupedSampler,
    ReviewDataset,
    length_grouped,
    pad,
    padding_share,
)
from yelp_stars.pipeline.errors import UserError

LENGTHS = st.lists(st.integers(1, 512), min_size=1, max_size=300).map(np.array)


@given(LENGTHS, st.integers(1, 32), st.integers(0, 99), st.integers(0, 9))
def test_every_row_comes_exactly_once_an_epoch(lengths, rows_per_step, seed, epoch):
    order = length_grouped(lengths, rows_per_step, seed, epoch)
    assert sorted(order) == list(range(len(lengths)))
    assert order.tolist() == length_grouped(lengths, rows_per_step, seed, epoch).tolist()


def yelps_lengths(rows: int) -> np.ndarray:
    drawn = np.random.default_rng(0).lognormal(np.log(125), 0.8, rows)
    return drawn.clip(8, 512).astype(int)


def test_grouped_batches_pad_under_5_percent_at_yelps_lengths():
    lengths = yelps_lengths(10_000)
    grouped = length_grouped(lengths, 16, 0, 0)
    assert padding_share(lengths, grouped, 16) < 0.05
    random = np.random.default_rng(0).permutation(len(lengths))
    assert padding_share(lengths, random, 16) > 0.4


def test_epochs_differ_and_do_not_run_from_short_to_long():
    lengths = yelps_lengths(1600)
    sampler = LengthGroupedSampler(lengths, 16, seed=0)
    first = list(sampler)
    assert first == sampler.order().tolist() == length_grouped(lengths, 16, 0, 0).tolist()
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert len(sampler) == 1600
    means = lengths[first].reshape(-1, 16).mean(axis=1)
    assert abs(np.corrcoef(means, np.arange(100))[0, 1]) < 0.3


def test_a_batch_is_padded_to_its_longest_row_or_to_a_width():
    examples = [
        {"input_ids": np.array([2, 9, 3], np.uint16), "labels": 4},
        {"input_ids": np.arange(10, 20).astype(np.uint16), "labels": 0},
    ]
    batch = pad(examples, pad_id=7)
    assert {tensor.dtype for tensor in batch.values()} == {torch.int64}
    assert batch["input_ids"].shape == (2, 16)
    assert batch["input_ids"][0].tolist() == [2, 9, 3] + [7] * 13
    assert batch["attention_mask"].sum(dim=1).tolist() == [3, 10]
    assert batch["labels"].tolist() == [4, 0]
    assert pad(examples, 0, width=512)["input_ids"].shape == (2, 512)


@given(lengths=LENGTHS, batch_size=st.integers(1, 32), width=st.sampled_from([None, 512]))
def test_the_padding_share_is_that_of_the_padded_batches(lengths, batch_size, width):
    rows = [{"input_ids": np.ones(length, np.uint16), "labels": 0} for length in lengths]
    order = np.arange(len(rows))
    starts = range(0, len(rows), batch_size)
    masks = [pad(rows[start : start + batch_size], 0, width)["attention_mask"] for start in starts]
    real, total = (sum(f(mask) for mask in masks) for f in (lambda m: int(m.sum()), torch.numel))
    assert padding_share(lengths, order, batch_size, width) == pytest.approx(1 - real / total)


def write_sample(path: Path, lengths: list[int]) -> None:
    columns = {"input_ids": pa.list_(pa.uint16()), "label": pa.int64()}
    schema = arrow.make_schema(
        columns, ["bad", "good"], max_length=64, truncation="head", source=""
    )
    ids = arrow.list_array(np.arange(sum(lengths)), np.array(lengths), pa.uint16())
    labels = pa.array(np.arange(len(lengths)) % 2)
    arrow.write(path, schema, [pa.record_batch([ids, labels], schema=schema)])


def test_a_dataset_has_the_rows_of_its_file_also_sorted_from_short_to_long(tmp_path):
    write_sample(tmp_path / "rows.arrow", [3, 1, 2, 1])
    rows = ReviewDataset.read(tmp_path / "rows.arrow")
    assert (rows.label_names, rows.max_length) == (["bad", "good"], 64)
    assert rows.lengths.tolist() == [3, 1, 2, 1]
    found = [(row["input_ids"].tolist(), row["labels"]) for row in (rows[0], rows[2])]
    assert found == [([0, 1, 2], 0), ([4, 5], 0)]
    ordered = ReviewDataset.read_sorted(tmp_path / "rows.arrow")
    assert ordered.lengths.tolist() == [1, 1, 2, 3]
    assert [ordered[index]["input_ids"][0] for index in range(len(ordered))] == [3, 6, 4, 0]
    assert [ordered[index]["labels"] for index in range(len(ordered))] == [1, 1, 0, 0]


def test_a_missing_sample_is_reported_with_the_next_command(tmp_path):
    with pytest.raises(UserError, match=r"no file '.*; run `dvc repro` or `dvc pull`"):
        ReviewDataset.read(tmp_path / "train.arrow")
