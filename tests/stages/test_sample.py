"""The stage `sample`: the rows that were drawn, unchanged, or one line and nothing."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import edit, fails_here

from stages.sample import main
from yelp_stars.data import arrow
from yelp_stars.data.permutation import permutation
from yelp_stars.pipeline.entrypoint import call

PATHS = ("data/tokenized", "data/audit.parquet", "data/sample")
COLUMNS = {"input_ids": pa.list_(pa.uint16()), "label": pa.int64(), "row": pa.int64()}


def write_tokenized(path, rows: int) -> None:
    """Row number n has the label n % 5 and the ids n, n, … (n % 4 times)."""
    schema = arrow.make_schema(
        COLUMNS, list("abcde"), max_length=32, truncation="head", source="files"
    )
    batches = []
    for start in range(0, rows, arrow.RECORD_BATCH_ROWS):
        numbers = np.arange(start, min(start + arrow.RECORD_BATCH_ROWS, rows))
        ids = arrow.list_array(np.repeat(numbers, numbers % 4), numbers % 4, pa.uint16())
        batches.append(pa.record_batch([ids, numbers % 5, numbers], schema=schema))
    arrow.write(path, schema, batches)


def write_audit(path, train: int, test: int) -> None:
    """Every 10th row leaks, every 11th is a duplicate, every 12th nearly one, 13th, 14th."""
    rows = np.concatenate([np.arange(train), np.arange(test)])
    flags = ("leak", "duplicate", "near_duplicate", "conflict", "short")
    columns = {flag: rows % number == 0 for number, flag in enumerate(flags, 10)}
    split = ["train"] * train + ["test"] * test
    pq.write_table(pa.table({"split": split, "row": rows, **columns}), path)


@pytest.fixture
def tokenized_project(data_project):
    """A project with token ids: the working folder."""
    (data_project / "data" / "tokenized").mkdir()
    write_tokenized(data_project / "data" / "tokenized" / "train.arrow", 5500)
    write_tokenized(data_project / "data" / "tokenized" / "test.arrow", 1200)
    write_audit(data_project / "data" / "audit.parquet", 5500, 1200)
    return data_project


def sample(project, **values):
    """Run the stage with `values`; returns the table of each subset."""
    edit(project, "sample", **values)
    call(main, *(project / path for path in PATHS))
    return {path.stem: arrow.read(path) for path in (project / "data" / "sample").iterdir()}


def test_the_drawn_rows_are_copied_in_their_order(tokenized_project):
    tables = sample(tokenized_project, train_size=3000, test_size="all", test_seed=7)
    sizes = {name: len(table) for name, table in tables.items()}
    assert sizes == {"train": 3000, "validation": 20, "test": 1200}
    expected = permutation(np.arange(1200) % 5, 7, stratify=True)
    assert tables["test"]["row"].to_numpy().tolist() == expected.tolist()
    for table in tables.values():
        assert arrow.label_names(table.schema) == list("abcde")
        assert arrow.metadata(table.schema, "max_length") == 32
        rows = table["row"].to_numpy()
        assert table["label"].to_numpy().tolist() == (rows % 5).tolist()
        expected = [[number] * (number % 4) for number in rows.tolist()]
        assert table["input_ids"].to_pylist() == expected
        assert table["input_ids"].type == pa.list_(pa.uint16())


@pytest.mark.parametrize(
    ("kinds", "numbers"),
    [(["duplicates"], [11, 12]), (["short", "leaks", "conflicts"], [10, 13, 14])],
)
def test_rows_of_the_excluded_kinds_are_drawn_from_train_no_more(
    tokenized_project, capsys, kinds, numbers
):
    kept = [row for row in range(5500) if all(row % number for number in numbers)]
    drawn = sample(tokenized_project, train_size="all", validation_size=300, exclude=kinds)
    rows = [drawn[name]["row"].to_pylist() for name in ("train", "validation")]
    assert sorted(rows[0] + rows[1]) == kept
    line = f"excluded: {5500 - len(kept):,} of 5,500 rows of train ({', '.join(kinds)})"
    assert capsys.readouterr().out.splitlines()[0] == line


def test_without_exclusions_the_audit_is_not_read(tokenized_project):
    first = sample(tokenized_project)
    (tokenized_project / "data" / "audit.parquet").unlink()
    assert sample(tokenized_project) == first


def test_a_missing_or_damaged_audit_or_one_of_other_rows_is_one_line(tokenized_project):
    edit(tokenized_project, "sample", exclude=["short"])
    file = tokenized_project / "data" / "audit.parquet"
    write_audit(file, 5499, 1200)
    other = "'data/audit.parquet' does not match data/tokenized; run `dvc repro`"
    assert fails_here(main, *PATHS) == other
    damaged = (
        "'data/audit.parquet' is damaged; run `chmod u+w data/audit.parquet`, then `dvc repro`"
    )
    file.write_bytes(file.read_bytes()[:-100])
    assert fails_here(main, *PATHS) == damaged
    pq.write_table(pa.table({"split": ["train"] * 5500}), file)
    assert fails_here(main, *PATHS) == damaged
    file.unlink()
    assert fails_here(main, *PATHS).startswith("no file 'data/audit.parquet'; run `dvc repro`")
    assert not (tokenized_project / "data" / "sample").exists()


def test_sizes_splits_and_label_counts_are_printed(tokenized_project, capsys):
    sample(tokenized_project, validation_from="test", allow_overlap=True)
    assert capsys.readouterr().out.splitlines() == [
        "train: 60 rows from train, by label [12, 12, 12, 12, 12]",
        "validation: 20 rows from test, by label [4, 4, 4, 4, 4]",
        "test: 30 rows from test, by label [6, 6, 6, 6, 6]",
    ]


def test_a_class_that_a_subset_lacks_is_named(tokenized_project, capsys):
    drawn = sample(tokenized_project, test_size=3)["test"]["label"].to_pylist()
    names = arrow.label_names(arrow.read_schema(Path("data", "tokenized", "test.arrow")))
    missing = ", ".join(repr(name) for label, name in enumerate(names) if label not in drawn)
    assert missing
    assert f"no test row has the label {missing}" in capsys.readouterr().out.splitlines()
