"""Seeded samples that are prefixes of one permutation, and disjoint where promised."""

import mmap
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from yelp_stars.data import arrow
from yelp_stars.data.flags import KINDS, Kind
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


def take(order: np.ndarray, size: int | str, without: np.ndarray | None = None) -> np.ndarray:
    """The first `size` rows of `order`, or all, except those that the mask `without` marks."""
    if without is not None:
        order = order[~without[order]]
    return order if size == "all" else order[: int(size)].copy()  # a view would keep all of it


def check_sizes(
    n_train: int,
    n_test: int,
    *,
    n_excluded: int = 0,
    train_size: int | str,
    validation_size: int,
    validation_from: Literal["train", "test"],
    test_size: int | str,
    allow_overlap: bool,
) -> None:
    """Check that two splits of so many rows are large enough, without the excluded train rows.

    Raises:
        UserError: with every size that does not fit, and sizes that do.
    """
    found = f"data/raw has {n_train} train and {n_test} test rows"
    if n_excluded:
        found += f", of which sample.exclude removes {n_excluded} train rows"
    n_train -= n_excluded
    if n_train < 2 <= n_train + n_excluded and n_test:
        raise UserError(f"{found}, so too few are left; set sample.exclude to fewer kinds, or []")
    if n_train < 2 or n_test < 1:
        raise UserError(f"{found}, too few to train, validate and test on; get more reviews")
    from_train = validation_from == "train"
    train = 1 if train_size == "all" else int(train_size)
    train_fits = train + (validation_size if from_train else 0) <= n_train
    validation_fits = validation_size <= n_test or from_train
    test_fits = test_size == "all" or int(test_size) <= n_test
    if train_fits and validation_fits and test_fits:
        return
    fitting: dict[str, int | str] = {}
    if not from_train and not allow_overlap:  # rows of the test split could be drawn twice
        fitting["validation_from"], from_train = "train", True
    validation = min(validation_size, max(1, (n_train if from_train else n_test) // 5))
    if validation < validation_size and (fitting or not train_fits or not validation_fits):
        fitting["validation_size"] = validation
    else:
        validation = validation_size
    if train + (validation if from_train else 0) > n_train:
        fitting["train_size"] = "all"
    if not test_fits:
        fitting["test_size"] = "all"
    advice = ", ".join(f"{name}: {value}" for name, value in fitting.items())
    raise UserError(
        f"{found}; sample asks for train_size {train_size}, validation_size {validation_size} "
        f"(from {validation_from}) and test_size {test_size}; set {advice}"
    )


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
    excluded: np.ndarray | None = None,
) -> dict[str, Subset]:
    """Choose the rows of train, validation and test, given the labels of the two splits.

    Validation rows from `train` are set aside first: they stay the same for any `train_size`.
    With two seeds they are missing from the rest at random, so that its prefixes are stratified
    only approximately. So they are without the rows that the mask `excluded` marks, which are
    skipped in the same order of all train rows.

    Raises:
        UserError: if sizes exceed the data, or subsets overlap without permission.
    """
    check_sizes(
        len(train),
        len(test),
        n_excluded=0 if excluded is None else int(excluded.sum()),
        train_size=train_size,
        validation_size=validation_size,
        validation_from=validation_from,
        test_size=test_size,
        allow_overlap=allow_overlap,
    )
    from_train = validation_from == "train"
    order = permutation(train if from_train else test, validation_seed, stratify)
    validation = take(order, validation_size, excluded if from_train else None)
    held_out = excluded
    if from_train:
        held_out = np.zeros(len(train), bool) if excluded is None else excluded.copy()
        held_out[validation] = True
    subsets = {
        "train": Subset(
            "train",
            take(permutation(train, train_seed, stratify), train_size, held_out),
        ),
        "validation": Subset(validation_from, validation),
        "test": Subset("test", take(permutation(test, test_seed, stratify), test_size)),
    }
    if validation_from == "test" and not allow_overlap:
        both = np.intersect1d(validation, subsets["test"].rows)
        if len(both):
            raise UserError(
                f"{len(both)} rows would be in validation and in test; set "
                f"sample.validation_from to 'train', or sample.allow_overlap to true"
            )
    return subsets


def read_excluded(audited: Path, rows: int, kinds: Sequence[Kind]) -> np.ndarray | None:
    """Whether each of the `rows` train rows is of one of the `kinds`, by the audit; None for none.

    Raises:
        UserError: if the audit is missing, damaged, or of other data.
    """
    if not kinds:
        return None
    flags = [flag for flag, kind in KINDS.items() if kind in kinds]
    try:
        table = pq.read_table(
            audited, columns=["split", "row", *flags], page_checksum_verification=True
        )
        table = table.filter(pa.compute.equal(table["split"], "train"))
        found = np.zeros(rows, bool)
        if not np.array_equal(table["row"].to_numpy(), np.arange(rows)):
            raise ValueError
        for flag in flags:
            found |= table[flag].to_numpy()
    except FileNotFoundError:
        raise UserError(f"no file {str(audited)!r}; run `dvc repro` or `dvc pull`") from None
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        # An out is a hard link into DVC's cache: see yelp_stars/data/arrow.py.
        raise UserError(
            f"{str(audited)!r} is damaged, or of other data; run "
            f"`chmod u+w {shlex.quote(str(audited))}`, then `dvc repro`"
        ) from None
    return found


def describe_labels(labels: np.ndarray, n_classes: int) -> str:
    """The rows of each class, or the fewest and the most of more than ten classes."""
    counts = np.bincount(labels, minlength=n_classes).tolist()
    if n_classes <= 10:
        return f"by label {counts}"
    return f"{min(counts):,} to {max(counts):,} for each of {n_classes} labels"


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
