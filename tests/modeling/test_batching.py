"""Batches: every row once an epoch, of similar length, padded no more than needed."""

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


@pytest.mark.parametrize("rest", [1, 5, 15])
def test_the_rows_of_a_short_last_step_are_drawn_whatever_their_length(rest):
    lengths = np.arange(1600 + rest)
    last = [length_grouped(lengths, 16, seed, 0)[1600:] for seed in range(200)]
    share = np.concatenate(last).mean() / len(lengths)
    assert 0.4 < share < 0.6  # of all rows, how many are shorter; 0.9 if they were the longest


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


@pytest.mark.parametrize(("by_length", "order"), [(False, [0, 1, 2, 3]), (True, [1, 3, 2, 0])])
def test_a_dataset_has_the_rows_of_its_file_also_from_short_to_long(by_length, order):
    columns = {"input_ids": pa.list_(pa.uint16()), "label": pa.int64()}
    schema = arrow.make_schema(
        columns, ["bad", "good"], max_length=64, truncation="head", source="", origin={}
    )
    ids, labels = [[0, 1, 2], [3], [4, 5], [6]], [0, 1, 0, 1]
    arrays = [pa.array(ids, columns["input_ids"]), pa.array(labels)]
    rows = ReviewDataset(pa.table(arrays, schema=schema), by_length=by_length)
    assert (rows.label_names, rows.max_length, len(rows)) == (["bad", "good"], 64, 4)
    assert rows.lengths.tolist() == [len(ids[row]) for row in order]
    assert [list(rows[index]["input_ids"]) for index in range(4)] == [ids[row] for row in order]
    assert [rows[index]["labels"] for index in range(4)] == [labels[row] for row in order]
