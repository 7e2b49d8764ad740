"""Labelled text from files: the same rows from every format, an error with its location."""

import gzip
import json
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import as_csv

from yelp_stars.data import readers
from yelp_stars.pipeline.errors import UserError

ROWS = [(0, "plain"), (1, 'a "quoted", one'), (0, "two\nlines"), (1, "caf\u00e9 \U0001f32e")]


def write(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def parquet(folder: Path, rows=ROWS) -> bytes:
    table = pa.table({"label": [label for label, _ in rows], "text": [text for _, text in rows]})
    pq.write_table(table, folder / "written.parquet")
    return (folder / "written.parquet").read_bytes()


def jsonl() -> str:
    return "".join(json.dumps({"label": label, "text": text}) + "\n" for label, text in ROWS)


def content_of(suffix: str, folder: Path) -> bytes:
    if suffix == "parquet":
        return parquet(folder)
    tab = "\t" if suffix == "tsv" else ","
    return (jsonl() if suffix == "jsonl" else as_csv(ROWS, delimiter=tab)).encode()


def read(path: Path, text_column="text", label_column="label") -> list[tuple[int, str]]:
    return [(int(label), text) for _, label, text in readers.rows(path, text_column, label_column)]


def error(path: Path, text_column="text", label_column="label") -> str:
    with pytest.raises(UserError) as caught:
        list(readers.rows(path, text_column, label_column))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_every_format_gives_the_same_rows(tmp_path, suffix, zipped):
    content = content_of(suffix, tmp_path)
    name = f"reviews.{suffix}{'.gz' if zipped else ''}"
    assert read(write(tmp_path / name, gzip.compress(content) if zipped else content)) == ROWS


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet", "csv.gz"])
@pytest.mark.parametrize("archive", ["a.tgz", "a.tar.gz"])
def test_a_file_in_an_archive_is_read_as_in_a_folder(tmp_path, archive, suffix):
    content = content_of(suffix.removesuffix(".gz"), tmp_path)
    member = write(
        tmp_path / "folder" / f"train.{suffix}",
        gzip.compress(content) if suffix.endswith(".gz") else content,
    )
    with tarfile.open(tmp_path / archive, "w:gz") as tar:
        tar.add(member.parent, "some/folder")
    for inside in (f"some/folder/train.{suffix}", f"folder/train.{suffix}", f"train.{suffix}"):
        assert read(tmp_path / archive / inside) == ROWS
    assert readers.on_disk(tmp_path / archive / f"train.{suffix}") == tmp_path / archive
    assert f"no file 'other.csv' in '{tmp_path / archive}'" in error(
        tmp_path / archive / "other.csv"
    )


def test_columns_are_chosen_by_index_where_there_is_no_header(tmp_path):
    rows = [("3", "first"), ("4", "second")]
    path = write(tmp_path / "a.csv", as_csv(rows, header=None))
    assert read(path, text_column=1, label_column=0) == [(3, "first"), (4, "second")]


def test_a_location_is_the_last_line_of_a_row(tmp_path):
    path = write(tmp_path / "a.csv", 'label,text\n0,"one\ntwo"\n\n1,x\n')
    locations = [row.location for row in readers.rows(path, "text", "label")]
    assert locations == [f"{path} line 3", f"{path} line 5"]
    path = write(tmp_path / "a.jsonl", '{"label": 0, "text": "x"}\n\n{"label": 1, "text": "y"}\n')
    locations = [row.location for row in readers.rows(path, "text", "label")]
    assert locations == [f"{path} line 1", f"{path} line 3"]
    path = write(tmp_path / "a.parquet", parquet(tmp_path, [(0, "x")] * 2500))
    locations = [row.location for row in readers.rows(path, "text", "label")]
    assert locations == [f"{path} row {number}" for number in range(1, 2501)]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_a_byte_order_mark_is_not_part_of_the_first_column(tmp_path, suffix):
    content = b"\xef\xbb\xbf" + content_of(suffix, tmp_path)
    assert read(write(tmp_path / f"a.{suffix}", content)) == ROWS


def test_a_review_of_five_megabytes_is_only_a_long_review(tmp_path):
    long = "word " * 1_000_000
    path = write(tmp_path / "a.csv", as_csv([("0", long), ("1", "short")]))
    assert [len(text) for _, text in read(path)] == [5_000_000, 5]


def test_columns_may_be_in_any_order_among_others(tmp_path):
    path = write(tmp_path / "a.tsv", "id\ttext\tx\tlabel\n7\tgood\t-\t1\n")
    assert read(path) == [(1, "good")]
    table = pa.table({"id": [7], "text": ["good"], "x": [None], "label": [1]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == [(1, "good")]


BAD = {
    "unknown format": ("a.xls", b"", "must end in .csv, .tsv, .jsonl, .parquet, or one of them"),
    "empty file": ("a.csv", b"", "is empty; it must have at least one review"),
    "only a header": ("a.csv", b"label,text\n", "is empty; it must have at least one review"),
    "empty JSON lines": ("a.jsonl", b"\n\n", "is empty; it must have at least one review"),
    "missing column": ("a.csv", b"label,body\n0,x\n", "has no column 'text'; it has 'label', 'bo"),
    "JSON column": ("a.jsonl", b'{"label": 0}\n', "line 1 has no column 'text'; it has 'label'"),
    "invalid UTF-8": (
        "a.csv", b"label,text\n0,x\n0,\xff\n",
        "line 3 is not UTF-8 (byte 0xff); convert the file to UTF-8",
    ),
    "Latin-1 JSON": ("a.jsonl", b'{"label": 0, "text": "caf\xe9"}', "line 1 is not UTF-8 (byte 0x"),
    "ragged": ("a.csv", b"label,text\n0,x,y\n", "line 2 has 3 columns, not 2"),
    "open quote": ("a.csv", b'label,text\n0,"x\n', "line 2 is not valid CSV"),
    "not JSON": ("a.jsonl", b"{\n", "line 1 is not JSON"),
    "deep JSON": ("a.jsonl", b"[" * 100_000, "line 1 is not JSON"),
    "long number": ("a.jsonl", b'{"label": %s}' % (b"1" * 5000), "line 1 is not JSON"),
    "no object": ("a.jsonl", b"3\n", "line 1 is not a JSON object"),
    "not gzip": ("a.csv.gz", b"label", "is a damaged archive"),
    "cut gzip": ("a.csv.gz", gzip.compress(b"label,text\n0,x\n" * 99)[:30], "is a damaged archive"),
    "not Parquet": ("a.parquet", b"label", "is not valid Parquet"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_an_invalid_file_is_reported_with_its_location(tmp_path, name):
    file, content, message = BAD[name]
    path = write(tmp_path / file, content)
    assert str(path) in error(path)
    assert message in error(path)


def test_an_archive_that_is_not_one_is_reported(tmp_path):
    write(tmp_path / "a.tgz", "x")
    assert "is a damaged archive" in error(tmp_path / "a.tgz" / "train.csv")


def test_a_missing_file_is_reported_with_the_files_there(tmp_path):
    for name in (".hidden", *(f"{number}.csv" for number in range(9))):
        write(tmp_path / name, "x")
    listed = ", ".join(f"{number}.csv" for number in range(8))
    assert error(tmp_path / "a.csv") == (
        f"no file '{tmp_path / 'a.csv'}'; '{tmp_path}' holds {listed}"
    )
    assert error(tmp_path / "none" / "a.csv").endswith("none' holds nothing")


def test_a_missing_column_index_is_reported(tmp_path):
    path = write(tmp_path / "a.csv", "0,x\n")
    assert error(path, 2, 0) == f"{path} has no column 2; its 2 columns are numbered from 0"


def test_a_damaged_parquet_file_is_reported(tmp_path):
    content = bytearray(parquet(tmp_path))
    content[8:60] = b"\xff" * 52
    path = write(tmp_path / "a.parquet", bytes(content))
    assert f"{path} is not valid Parquet" in error(path)


@pytest.mark.parametrize("column", [0, "text"])
def test_a_column_index_in_a_format_with_names_is_reported(tmp_path, column):
    path = write(tmp_path / "a.jsonl", jsonl())
    assert "has no column 1; it has 'label', 'text'" in error(path, 1, column)
    path = write(tmp_path / "a.parquet", parquet(tmp_path))
    assert "has no column 1; it has 'label', 'text'" in error(path, 1, column)
