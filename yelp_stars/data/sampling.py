"""Seeded samples that are prefixes of one permutation, and disjoint where promised."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import NonNegativeInt, PositiveInt
from tqdm import tqdm

from yelp_stars.data import arrow
from yelp_stars.data.flags import KINDS, Kind
from yelp_stars.data.permutation import permutation
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.files import reading
from yelp_stars.pipeline.params import Share, StageParams
from yelp_stars.pipeline.text import quoted

# Every row drawn keeps some pages of the file in memory (up to 64 kB): release them often enough
# to stay below 130 MB.
RELEASE_BATCHES = 2

Split = Literal["train", "test"]
Size = PositiveInt | Literal["all"]


class Params(StageParams):
    """Rows to train, validate and test on."""

    train_size: Size
    """Rows to train on, or all. A larger sample begins with the rows of a smaller one."""
    train_seed: NonNegativeInt
    """Seed of the training rows."""
    validation_size: PositiveInt | Share
    """Rows to validate on after each epoch, or their share of the split; choose models by these."""
    validation_seed: NonNegativeInt
    """Seed of the validation rows."""
    validation_from: Literal["train", "test"]
    """Split of the validation rows: train holds them out; test does as the notebook."""
    test_size: Size
    """Rows to test on, or all."""
    test_seed: NonNegativeInt
    """Seed of the test rows."""
    stratify: bool
    """Keep the label proportions in every subset; false draws as `Dataset.shuffle(seed)`."""
    allow_overlap: bool
    """Let validation and test rows overlap where both come from the test split."""
    exclude: list[Kind]
    """Kinds of flagged training rows to leave out; duplicates include near ones."""


class Subset(NamedTuple):
    """Rows of one split, in the order in which they are written."""

    split: Split
    rows: np.ndarray


def take(order: np.ndarray, size: Size, without: np.ndarray | None = None) -> np.ndarray:
    """Return the first `size` rows of `order`, except those that the mask `without` marks."""
    if without is not None:
        order = order[~without[order]]
    return order if size == "all" else order[:size].copy()  # a view would keep all of it


def check_sizes(n_train: int, n_test: int, params: Params, n_excluded: int = 0) -> None:
    """Check that splits of `n_train` and `n_test` rows are large enough for `params`.

    `n_excluded` of the train rows do not count.
    """
    rows = f"data/raw has {n_train} train and {n_test} test rows"
    if n_excluded:
        rows += f", of which sample.exclude removes {n_excluded} train rows"
    n_train -= n_excluded
    validation = {params.validation_from: params.validation_size}
    train = (1 if params.train_size == "all" else params.train_size) + validation.get("train", 0)
    test = max(1 if params.test_size == "all" else params.test_size, validation.get("test", 0))
    if train > n_train or test > n_test:
        raise UserError(
            f"{rows}, but sample needs {train} and {test} (train_size {params.train_size}, "
            f"validation_size {params.validation_size} from {params.validation_from}, test_size "
            f"{params.test_size})",
            advice="set smaller sizes or 'all', exclude fewer kinds, or get more reviews",
        )


def draw_subsets(
    train: np.ndarray, test: np.ndarray, params: Params, excluded: np.ndarray
) -> dict[str, Subset]:
    """Choose the rows of train, validation and test, given the labels of the two splits.

    Validation rows from `train` are set aside first: they stay the same for any `train_size`.
    With two seeds they are missing from the rest at random, so that its prefixes are stratified
    only approximately. So they are without the rows that the mask `excluded` marks, which are
    skipped in the same order of all train rows.
    """
    if isinstance(params.validation_size, float):
        rows = len(test) if params.validation_from == "test" else len(train) - int(excluded.sum())
        size = max(1, round(params.validation_size * rows))
        params = params.model_copy(update={"validation_size": size})
    assert isinstance(params.validation_size, int)
    check_sizes(len(train), len(test), params, int(excluded.sum()))
    from_train = params.validation_from == "train"
    order = permutation(train if from_train else test, params.validation_seed, params.stratify)
    validation = take(order, params.validation_size, excluded if from_train else None)
    if from_train:
        excluded = excluded.copy()
        excluded[validation] = True
    train_rows = take(
        permutation(train, params.train_seed, params.stratify), params.train_size, excluded
    )
    test_rows = take(permutation(test, params.test_seed, params.stratify), params.test_size)
    if not from_train and not params.allow_overlap:
        overlap = len(np.intersect1d(validation, test_rows))
        if overlap:
            problem = f"{overlap} rows would be in validation and in test"
            advice = "set {setting} to 'train', or sample.allow_overlap to true"
            raise UserError(problem, setting="sample.validation_from", advice=advice)
    return {
        "train": Subset("train", train_rows),
        "validation": Subset(params.validation_from, validation),
        "test": Subset("test", test_rows),
    }


def read_excluded(audited: Path, rows: int, kinds: Sequence[Kind]) -> np.ndarray:
    """Read which of the `rows` train rows the audit counts among `kinds`: bool, (rows,)."""
    excluded = np.zeros(rows, bool)
    if not kinds:
        return excluded
    flags = [flag for flag, kind in KINDS.items() if kind in kinds]
    columns = ["split", "row", *flags]
    with reading(audited, pa.ArrowException):
        table = pq.read_table(audited, columns=columns, page_checksum_verification=True)
        table = table.filter(pa.compute.equal(table["split"], "train"))
        if not np.array_equal(table["row"].to_numpy(), np.arange(rows)):
            problem = f"{quoted(str(audited))} does not match data/tokenized"
            raise UserError(problem, advice="run `dvc repro`")
        for flag in flags:
            excluded |= table[flag].to_numpy()
    return excluded


def describe_labels(labels: np.ndarray, n_classes: int) -> str:
    """Describe the rows of each class, or the fewest and the most of more than ten classes."""
    counts = np.bincount(labels, minlength=n_classes).tolist()
    if n_classes <= 10:
        return f"by label {counts}"
    return f"{min(counts):,} to {max(counts):,} for each of {n_classes} labels"


def read_labels(mapped: arrow.Mapped) -> np.ndarray:
    """Read the label of each row, in the narrowest dtype: there can be millions of rows."""
    dtype = np.min_scalar_type(len(arrow.label_names(mapped.table.schema)))
    parts = [batch.column("label").to_numpy().astype(dtype) for batch in mapped.batches()]
    return np.concatenate([np.empty(0, dtype), *parts])


def write_rows(mapped: arrow.Mapped, labels: np.ndarray, rows: np.ndarray, target: Path) -> None:
    """Copy `rows` of a tokenized file, in their order, one record batch in memory at a time."""
    schema = mapped.table.schema
    ids = mapped.table["input_ids"]
    dtype = schema.field("input_ids").type.value_type

    def batches() -> Iterator[pa.RecordBatch]:
        starts = range(0, len(rows), arrow.RECORD_BATCH_ROWS)
        shown = tqdm(starts, f"sample {target.stem}", delay=1, disable=None)
        for number, start in enumerate(shown):
            part = rows[start : start + arrow.RECORD_BATCH_ROWS]
            lists = [ids[row].values.to_numpy() for row in part.tolist()]
            lengths = np.fromiter(map(len, lists), np.int32, len(lists))
            chosen = arrow.list_array(np.concatenate(lists), lengths, dtype)
            numbers = [column.astype(np.int64) for column in (labels[part], part)]
            yield pa.record_batch([chosen, *numbers], schema=schema)
            if number % RELEASE_BATCHES == 0:
                mapped.release()

    arrow.write(target, schema, batches())
