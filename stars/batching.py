"""Which rows make up a batch, and how they are padded."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch.utils.data import Dataset, Sampler

from stars import arrow

WINDOW = 50  # batches that are sorted together: more pads less, fewer shuffles better


class Examples(Dataset[dict[str, Any]]):
    """The rows of a sample, mapped from disk: {"input_ids": (length,), "labels": int}."""

    def __init__(self, table: pa.Table, order: np.ndarray | None = None) -> None:
        self._ids = arrow.Lists(table["input_ids"])
        self._labels = arrow.column(table, "label")
        self._order = np.arange(len(table)) if order is None else order
        self.lengths = self._ids.lengths[self._order]

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, place: int) -> dict[str, Any]:
        row = int(self._order[place])
        return {"input_ids": self._ids[row], "labels": int(self._labels[row])}


def pad(
    examples: Sequence[dict[str, Any]], pad_id: int, to: int | None = None
) -> dict[str, torch.Tensor]:
    """A batch of int64 tensors: `input_ids` and `attention_mask` of shape (batch, longest).

    Padded to the longest example, up to a multiple of 8, or to `to` tokens.
    """
    longest = max(len(example["input_ids"]) for example in examples)
    width = to or -(-longest // 8) * 8
    ids = np.full((len(examples), width), pad_id, np.int64)
    mask = np.zeros((len(examples), width), np.int64)
    for place, example in enumerate(examples):
        length = len(example["input_ids"])
        ids[place, :length] = example["input_ids"]
        mask[place, :length] = 1
    return {
        "input_ids": torch.from_numpy(ids),
        "attention_mask": torch.from_numpy(mask),
        "labels": torch.tensor([example["labels"] for example in examples]),
    }


def length_grouped(lengths: np.ndarray, batch_size: int, seed: int, epoch: int) -> np.ndarray:
    """Row numbers for one epoch, every row once; each run of `batch_size` is of similar length.

    A seeded permutation is sorted by length within windows, cut into batches, and the batches
    are shuffled. Only the last batch may be short.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths))
    window = WINDOW * batch_size
    for start in range(0, len(order), window):
        part = order[start : start + window]
        order[start : start + window] = part[np.argsort(lengths[part], kind="stable")]
    full = len(order) // batch_size * batch_size
    batches = order[:full].reshape(-1, batch_size)
    return np.concatenate([rng.permutation(batches).ravel(), order[full:]])


class LengthGroupedSampler(Sampler[int]):
    """`length_grouped`, a new order each epoch; the order depends on seed and epoch only."""

    def __init__(self, lengths: np.ndarray, batch_size: int, seed: int) -> None:
        self._lengths, self._batch_size, self._seed = lengths, batch_size, seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        order = length_grouped(self._lengths, self._batch_size, self._seed, self._epoch)
        return iter(order.tolist())


def padding_share(lengths: np.ndarray, order: np.ndarray, batch_size: int) -> float:
    """Which share of the tokens in padded batches is padding, 0 to 1."""
    real = padded = 0
    for batch in range(math.ceil(len(order) / batch_size)):
        rows = lengths[order[batch * batch_size : (batch + 1) * batch_size]]
        real += int(rows.sum())
        padded += len(rows) * -(-int(rows.max()) // 8) * 8
    return 1 - real / padded
