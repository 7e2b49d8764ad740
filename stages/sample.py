"""Draw the seeded subsets that one training run can afford."""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import NonNegativeInt, PositiveInt
from tqdm import tqdm

from stars import arrow
from stars.memory import give_back_freed_memory
from stars.params import StageParams, load_params
from stars.stage import UserError, replacing, run

# Every row drawn leaves some pages of the file in memory (up to 64 kB): give them back so often
# that they stay below 130 MB.
RELEASE_BATCHES = 2

Size = PositiveInt | Literal["all"]


class Params(StageParams):
    train_size: Size
    train_seed: NonNegativeInt
    validation_size: PositiveInt
    validation_seed: NonNegativeInt
    validation_from: Literal["train", "test"]
    test_size: Size
    test_seed: NonNegativeInt
    stratify: bool
    allow_overlap: bool


def shuffled(labels: np.ndarray, seed: int, stratify: bool) -> np.ndarray:
    """Row numbers in seeded random order, of shape (rows,): a sample is a prefix of it.

    The order is that of `datasets.Dataset.shuffle(seed)`. With `stratify`, every prefix has the
    labels in the proportions of the whole, to within a row or so for each label.
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
        for start, stop in arrow.spans(len(rows)):
            order[places(np.arange(start, stop), label, counts)] = rows[start:stop]
    return order


def places(k: np.ndarray, label: int, counts: list[int]) -> np.ndarray:
    """The place in the order of a label's k-th rows, if each label's rows are spread evenly.

    A label's k-th row of n stands at the share (k + 1/2) / n of the whole; where two labels
    share a place, the smaller label comes first.
    """
    place, n = k.copy(), counts[label]
    for other, rows in enumerate(counts):
        if other != label and rows:
            # How many j have (j + 1/2) / rows < (k + 1/2) / n; or <=, in whole numbers.
            ahead = (2 * k + 1) * rows - n
            place += ahead // (2 * n) + 1 if other < label else -(-ahead // (2 * n))
    return place


def take(
    order: np.ndarray, size: int | str, name: str, without: np.ndarray | None = None
) -> np.ndarray:
    """The first `size` rows of `order` that are not in `without`.

    Raises:
        UserError: if there are not that many.
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
    return order[: int(size)].copy()  # not a view, which would keep all of the order in memory


def draw(train: np.ndarray, test: np.ndarray, params: Params) -> dict[str, tuple[str, np.ndarray]]:
    """Choose the rows of each subset: name -> (the split they come from, row numbers).

    Validation rows from `train` are set aside first: they stay the same for any `train_size`.
    With two seeds they are missing from the order of the rest at random: its prefixes have their
    labels in proportion only by and large.

    Raises:
        UserError: if sizes exceed the data, or rows would be in two subsets unasked.
    """
    source = train if params.validation_from == "train" else test
    validation = take(
        shuffled(source, params.validation_seed, params.stratify),
        params.validation_size,
        "validation",
    )
    held_out = validation if params.validation_from == "train" else None
    chosen: dict[str, tuple[str, np.ndarray]] = {
        "train": (
            "train",
            take(
                shuffled(train, params.train_seed, params.stratify),
                params.train_size,
                "train",
                held_out,
            ),
        ),
        "validation": (params.validation_from, validation),
        "test": (
            "test",
            take(shuffled(test, params.test_seed, params.stratify), params.test_size, "test"),
        ),
    }
    if not len(chosen["train"][1]):
        raise UserError("no row is left to train on; lower sample.validation_size")
    if params.validation_from == "test" and not params.allow_overlap:
        both = np.intersect1d(validation, chosen["test"][1])
        if len(both):
            raise UserError(
                f"{len(both)} rows would be in validation and in test; set "
                f"sample.validation_from to 'train', or sample.allow_overlap to true"
            )
    return chosen


def write_rows(
    tokenized: pa.Table, pages: mmap.mmap, labels: np.ndarray, rows: np.ndarray, target: Path
) -> None:
    """Copy the chosen rows, in the order given, one record batch in memory at a time."""
    schema = tokenized.schema
    ids = arrow.Lists(tokenized["input_ids"])
    kind = schema.field("input_ids").type.value_type

    def batches() -> Iterator[pa.RecordBatch]:
        spans = tqdm(list(arrow.spans(len(rows))), f"sample {target.stem}", delay=1)
        for number, (start, stop) in enumerate(spans):
            part = rows[start:stop]
            lists = [ids[row] for row in part.tolist()]
            lengths = np.fromiter(map(len, lists), np.int32, len(lists))
            chosen = arrow.list_array(np.concatenate(lists), lengths, kind)
            numbers = [column.astype(np.int64) for column in (labels[part], part)]
            yield pa.record_batch([chosen, *numbers], schema=schema)
            if number % RELEASE_BATCHES == 0:
                pages.madvise(mmap.MADV_DONTNEED)

    arrow.write(target, schema, batches())


def labels_of(file: Path) -> np.ndarray:
    """The label of each row, in the narrowest type: there can be millions of rows."""
    kind = np.min_scalar_type(len(arrow.label_names(arrow.schema_of(file))))
    parts = [batch.column("label").to_numpy().astype(kind) for batch, _ in arrow.stream(file)]
    return np.concatenate([np.empty(0, kind), *parts])


def main(tokenized: Path, sampled: Path) -> None:
    params = load_params(Params, "sample")
    give_back_freed_memory()
    files = {split: tokenized / f"{split}.arrow" for split in ("train", "test")}
    labels = {split: labels_of(file) for split, file in files.items()}
    splits = {split: arrow.mapped(file) for split, file in files.items()}
    chosen = draw(labels["train"], labels["test"], params)
    with replacing(sampled) as partial:
        partial.mkdir()
        for name, (split, rows) in chosen.items():
            write_rows(*splits[split], labels[split], rows, partial / f"{name}.arrow")
            counts = np.bincount(labels[split][rows])
            print(f"{name}: {len(rows):,} rows from {split}, by label {counts.tolist()}")


if __name__ == "__main__":
    run(main)
