"""All columns of a row in every format, and rows that cannot be read are left out on request."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from yelp_stars.pipeline.errors import BadRow, UserError
from yelp_stars.reading import readers
from yelp_stars.reading.layout import Layout

ROWS = [
    {"id": "a7", "text": 'Great, "really"!', "date": "2026-01-02"},
    {"id": "b8", "text": "é 好\nnew line", "date": ""},
]


def write(folder, suffix, rows):
    path = folder / f"reviews.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif suffix == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        lines = [",".join(rows[0])]
        for row in rows:
            fields = ['"' + value.replace('"', '""') + '"' for value in row.values()]
            lines.append(",".join(fields))
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_every_column_comes_with_its_row_in_the_order_of_the_file(tmp_path, suffix):
    path = write(tmp_path, suffix, ROWS)
    found = list(readers.rows(path, Layout("text", None, all_columns=True)))
    assert [row.fields for row in found] == ROWS
    assert [list(row.fields) for row in found] == [["id", "text", "date"]] * 2
    assert [(row.label, row.text) for row in found] == [(None, row["text"]) for row in ROWS]
    assert all(row.fields is None for row in readers.rows(path, Layout("text", "id")))


def test_values_of_json_and_parquet_keep_their_types(tmp_path):
    rows = [{"text": "x", "id": 7, "tags": ["a", "b"], "open": True, "more": {"b": None}}]
    for suffix in ("jsonl", "parquet"):
        path = write(tmp_path, suffix, rows)
        (row,) = readers.rows(path, Layout("text", "id", all_columns=True))
        assert row.label == 7
        assert row.fields == rows[0]


def test_a_line_of_a_text_file_is_a_row(tmp_path):
    path = tmp_path / "reviews.txt"
    path.write_bytes("first\r\n\n\ufeffé last".encode())
    found = list(readers.rows(path, Layout("text", None)))
    assert [(row.location.split(" ", 1)[-1], row.text) for row in found] == [
        ("line 1", "first"),
        ("line 3", "\ufeffé last"),
    ]
    assert found[0].fields == {"text": "first"}
    path.write_bytes(b"\n\n")
    with pytest.raises(UserError, match="is empty"):
        list(readers.rows(path, Layout("text", None)))


BAD = {
    "csv": b"id,text\n1,fine\n2,too,many\n3,\xff\xfe\n4,good\n",
    "jsonl": b'{"id": 1, "text": "fine"}\n{"id": 2\n{"id": 3, "text": "\xff"}\n[]\n'
    b'{"id": 9}\n{"id": 4, "text": "good"}\n',
    "txt": b"fine\n\xff\xfe\xfa\ngood\n",
}


@pytest.mark.parametrize("suffix", BAD)
def test_rows_that_cannot_be_read_are_left_out_with_their_error(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(BAD[suffix])
    problems: list[BadRow] = []
    layout = Layout("text", None, all_columns=True)
    found = readers.rows(path, layout, skip=problems.append)
    assert [row.text for row in found] == ["fine", "good"]
    assert len(problems) == BAD[suffix].count(b"\n") - (3 if suffix == "csv" else 2)
    assert all(f"a.{suffix} line " in str(problem) for problem in problems)
    with pytest.raises(BadRow) as error:
        list(readers.rows(path, layout))
    assert str(error.value) == str(problems[0])


def test_columns_without_a_header_have_their_numbers(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("5,great\n1,bad\n")
    found = list(readers.rows(path, Layout(1, None, all_columns=True)))
    assert [row.fields for row in found] == [{"0": "5", "1": "great"}, {"0": "1", "1": "bad"}]
