"""Seeded samples that are prefixes of one permutation, and disjoint where promised."""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from yelp_stars.data import arrow
from yelp_stars.pipeline.errors import UserError

# Every row drawn keeps some pages of the file in memory (up to 64 kB): release them often enough
# to stay below 130 MB.
RELEASE_BATCHES = 2


class Subset(NamedTuple):
    """Rows of one split, in the order in which they are written."""

    split: Literal["train", "test"]
    rows: np.ndarray


def permutation(labels: np.ndarray, seed: int, stratify: bool) -> np.ndarray:
    """Row numbers in seeded random order, of shape (rows,): a sample is a prefix of it.

    The order is that of `datasets.Dataset.shuffle(seed)`. With `stratify`, every prefix has the
    label proportions of all rows, to within a row or two for each label.
    """
    rng = np.random.default_rng(seed)
    if not stratify:
        order = np.arange(len(labels), dtype=np.uint32)
        rng.shuffle(order)
        return order
    order = np.empty(len(labels), np.uint32)
    counts = np.bincount(labels).tolist()
    for label in range(len(counts)):
        rows = np.flatnonzero(labels == label).astype(np.uint32)
        rng.shuffle(rows)
        for start, stop in arrow.batch_ranges(len(rows)):
            order[stratified_positions(np.arange(start, stop), label, counts)] = rows[start:stop]
    return order


def stratified_positions(k: np.ndarray, label: int, counts: list[int]) -> np.ndarray:
    """The positions of a label's k-th rows in an order that spreads each label evenly.

    The k-th of n rows has the rank (k + 1/2) / n; equal ranks are ordered by label. This is the
    inverse of a stable argsort of all ranks, computed for some rows at a time: the argsort takes
    307 MB for 7 million rows, this 99 MB.
    """
    position, n = k.copy(), counts[label]
    for other, rows in enumerate(counts):
        if other != label and rows:
            # The number of j with (j + 1/2) / rows < (k + 1/2) / n (or <=), in integers.
            ahead = (2 * k + 1) * rows - n
            position += ahead // (2 * n) + 1 if other < label else -(-ahead // (2 * n))
    return position


def take(
    order: np.ndarray, size: int | str, name: str, without: np.ndarray | None = None
) -> np.ndarray:
    """The first `size` rows of `order` that are not in `without`.

    Raises:
        UserError: if there are fewer.
    """
    if without is not None:
        taken = np.zeros(len(order), bool)
        taken[without] = True
        order = order[~taken[order]]
    if size == "all":
        return order
    if int(size) > len(order):
        raise UserError(
            f"sample.{name}_size is {size}, but only {len(order)} rows are left to draw from; "
            f"set at most {len(order)}"
        )
    return order[: int(size)].copy()  # a view would keep the complete order in memory


def draw_subsets(
    train: np.ndarray,
    test: np.ndarray,
    *,
    train_size: int | str,
    train_seed: int,
    validation_size: int,
    validation_seed: int,
    validation_from: Literal["train", "test"],
    test_size: int | str,
    test_seed: int,
    stratify: bool,
    allow_overlap: bool,
) -> dict[str, Subset]:
    """Choose the rows of train, validation and test, given the labels of the two splits.

    Validation rows from `train` are set aside first: they stay the same for any `train_size`.
    With two seeds they are missing from the rest at random, so that its prefixes are stratified
    only approximately.

    Raises:
        UserError: if sizes exceed the data, or subsets overlap without permission.
    """
    source = train if validation_from == "train" else test
    validation = take(permutation(source, validation_seed, stratify), validation_size, "validation")
    held_out = validation if validation_from == "train" else None
    subsets = {
        "train": Subset(
            "train",
            take(permutation(train, train_seed, stratify), train_size, "train", held_out),
        ),
        "validation": Subset(validation_from, validation),
        "test": Subset("test", take(permutation(test, test_seed, stratify), test_size, "test")),
    }
    if not len(subsets["train"].rows):
        raise UserError("no row is left to train on; lower sample.validation_size")
    if validation_from == "test" and not allow_overlap:
        both = np.intersect1d(validation, subsets["test"].rows)
        if len(both):
            raise UserError(
                f"{len(both)} rows would be in validation and in test; set "
                f"sample.validation_from to 'train', or sample.allow_overlap to true"
            )
    return subsets


def read_labels(file: Path) -> np.ndarray:
    """The label of each row, in the narrowest dtype: there can be millions of rows."""
    dtype = np.min_scalar_type(len(arrow.label_names(arrow.read_schema(file))))
    parts = [batch.column("label").to_numpy().astype(dtype) for batch, _ in arrow.stream(file)]
    return np.concatenate([np.empty(0, dtype), *parts])


def write_rows(
    tokenized: pa.Table, pages: mmap.mmap, labels: np.ndarray, rows: np.ndarray, target: Path
) -> None:
    """Copy `rows` of a mapped file, in their order, one record batch in memory at a time."""
    schema = tokenized.schema
    ids = arrow.ListColumn(tokenized["input_ids"])
    dtype = schema.field("input_ids").type.value_type

    def batches() -> Iterator[pa.RecordBatch]:
        ranges = tqdm(list(arrow.batch_ranges(len(rows))), f"sample {target.stem}", delay=1)
        for number, (start, stop) in enumerate(ranges):
            part = rows[start:stop]
            lists = [ids[row] for row in part.tolist()]
            lengths = np.fromiter(map(len, lists), np.int32, len(lists))
            chosen = arrow.list_array(np.concatenate(lists), lengths, dtype)
            numbers = [column.astype(np.int64) for column in (labels[part], part)]
            yield pa.record_batch([chosen, *numbers], schema=schema)
            if number % RELEASE_BATCHES == 0:
                pages.madvise(mmap.MADV_DONTNEED)

    arrow.write(target, schema, batches())
