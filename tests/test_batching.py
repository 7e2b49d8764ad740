"""Batches: every row once an epoch, of similar length, padded no more than needed."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stars.batching import LengthGroupedSampler, length_grouped, pad, padding_share


@given(
    lengths=st.lists(st.integers(1, 512), min_size=1, max_size=300).map(np.array),
    batch_size=st.integers(1, 32),
    seed=st.integers(0, 99),
    epoch=st.integers(0, 9),
)
def test_every_row_comes_exactly_once_an_epoch(lengths, batch_size, seed, epoch):
    order = length_grouped(lengths, batch_size, seed, epoch)
    assert sorted(order) == list(range(len(lengths)))
    assert order.tolist() == length_grouped(lengths, batch_size, seed, epoch).tolist()


def yelps_lengths(rows: int) -> np.ndarray:
    drawn = np.random.default_rng(0).lognormal(np.log(125), 0.8, rows)
    return drawn.clip(8, 512).astype(int)


def test_grouped_batches_pad_under_a_twentieth_at_yelps_lengths():
    lengths = yelps_lengths(10_000)
    grouped = length_grouped(lengths, 16, 0, 0)
    assert padding_share(lengths, grouped, 16) < 0.05
    random = np.random.default_rng(0).permutation(len(lengths))
    assert padding_share(lengths, random, 16) > 0.4


def test_epochs_differ_and_do_not_run_from_short_to_long():
    lengths = yelps_lengths(1600)
    sampler = LengthGroupedSampler(lengths, 16, seed=0)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert len(sampler) == 1600
    means = lengths[first].reshape(-1, 16).mean(axis=1)
    assert abs(np.corrcoef(means, np.arange(100))[0, 1]) < 0.3


def test_a_batch_is_padded_to_its_longest_row_or_to_a_length():
    examples = [
        {"input_ids": np.array([2, 9, 3], np.uint16), "labels": 4},
        {"input_ids": np.arange(10, 20).astype(np.uint16), "labels": 0},
    ]
    batch = pad(examples, pad_id=7)
    assert batch["input_ids"].shape == (2, 16)
    assert batch["input_ids"][0].tolist() == [2, 9, 3] + [7] * 13
    assert batch["attention_mask"].sum(dim=1).tolist() == [3, 10]
    assert batch["labels"].tolist() == [4, 0]
    assert pad(examples, 0, to=512)["input_ids"].shape == (2, 512)
