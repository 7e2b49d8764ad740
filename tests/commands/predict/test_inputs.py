"""Texts, standard input or any file: the rows that can be predicted, a line about the others."""

import io
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import result_or_line

from yelp_stars.commands.predict import inputs
from yelp_stars.reading.labels import label_number
from yelp_stars.reading.layout import Layout

LAYOUT = Layout("text", None, all_columns=True)
NAMES = ["1 star", "2 stars", "3 stars", "4 stars", "5 stars"]


def read(*arguments, layout=LAYOUT, unescape=False, skip=None):
    """The rows and their columns."""
    with inputs.open_input([*map(str, arguments)]) as source:
        source = source._replace(layout=layout, unescape=unescape)
        number, schema = inputs.check(source, None, skip)
        rows = list(source.rows(skip))
        assert number == len(rows)
        return rows, schema


def error(call) -> str:
    found = result_or_line(call)
    assert isinstance(found, str)
    return found


def test_texts_are_rows_in_their_order():
    rows, schema = read("The soup was cold.", "No")
    assert [row.text for row in rows] == ["The soup was cold.", "No"]
    assert schema == pa.schema([("text", pa.string())])


def test_lines_of_standard_input_are_texts(monkeypatch):
    lines = io.TextIOWrapper(io.BytesIO("One\n\nZwei ä\r\nlast".encode()))
    monkeypatch.setattr(sys, "stdin", lines)
    rows, _ = read("-")
    assert [row.text for row in rows] == ["One", "Zwei ä", "last"]
    # An error names no temporary file.
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"fine\nbad \xe9t\xe9\n")))
    assert error(lambda: read("-")).startswith("stdin line 2 is not UTF-8 (byte 0xe9); ")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert error(lambda: read("-")).startswith("stdin is empty")


def test_columns_survive_in_their_order_whatever_the_format(tmp_path):
    (tmp_path / "a.csv").write_text("id,text,n\n007,good,1\n8,bad,\n")
    (tmp_path / "a.jsonl").write_text('{"id": 7, "text": "good"}\n{"text": "bad", "n": [1]}\n')
    table = pa.table({"id": pa.array([7], pa.int16()), "text": ["good"], "n": [None]})
    pq.write_table(table, tmp_path / "a.parquet")
    string = pa.schema([(name, pa.string()) for name in ("id", "text", "n")])
    rows, schema = read(tmp_path / "a.csv")
    assert rows[0].fields == {"id": "007", "text": "good", "n": "1"}
    assert schema == string
    rows, schema = read(tmp_path / "a.jsonl")
    assert [row.fields for row in rows] == [{"id": 7, "text": "good"}, {"text": "bad", "n": [1]}]
    assert schema == pa.schema([("id", pa.int64()), *[string.field(i) for i in (1, 2)]])
    assert read(tmp_path / "a.parquet")[1] == table.schema


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        ([True, None], pa.bool_()), ([1, None], pa.int64()), ([2**53 + 1, 1], pa.int64()),
        ([1, 2.5], pa.float64()), ([2**53, 1.5], pa.float64()), ([2**53 + 1, 1.5], pa.string()),
        ([2**70, 1], pa.string()), ([True, 1], pa.string()), ([{"a": 1}], pa.string()),
        ([None], pa.string()),
    ],
)  # fmt: skip
def test_a_column_of_json_lines_has_the_type_that_holds_all_its_values(tmp_path, values, type_):
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json_line(value) for value in values))
    assert read(path)[1].field("x").type == type_


def json_line(value) -> str:
    return json.dumps({"text": "good", "x": value})


def test_escapes_are_undone_on_request():
    assert read("a \\nb", unescape=True)[0][0].text == "a \nb"


def test_a_file_is_known_by_its_ending_or_because_it_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes").write_text("x")
    assert inputs.is_file("missing.csv")
    assert inputs.is_file("reviews.tgz/train.csv")
    assert inputs.is_file("notes")
    assert not inputs.is_file("The soup was cold.")
    assert not inputs.is_file("x" * 100_000)
    assert "no file 'missing.csv'" in error(lambda: read("missing.csv"))
    assert ".parquet, .txt, or one of them and .gz" in error(lambda: read("notes"))
    for name in ("missing.zip", "missing.xlsx", "a.tgz", "a.csv.gz"):
        assert name in error(lambda name=name: read(name))
    assert not inputs.is_file("I sent them a .zip")
    assert "'a.csv' is a file; give one file" in error(lambda: read("a.csv", "text"))
    Path("reviews").mkdir()
    assert error(lambda: read("reviews")) == "'reviews' is a folder; name a file in it"


def test_labels_are_known_by_name_by_the_number_in_it_or_as_given():
    numbers = inputs.label_numbers(NAMES, [], {})
    assert numbers["5 stars"] == numbers["5"] == 4
    assert "0" not in numbers
    given = inputs.label_numbers(NAMES, ["0=1 star", "1=2 stars", "none=1 star"], {})
    assert (given["0"], given["1"], given["none"]) == (0, 1, 0)
    assert "5" not in given
    assert inputs.label_numbers(["good", "bad"], [], {}) == {"good": 0, "bad": 1}
    trained = {"g": "good", "b": "bad", "m": "bad"}
    assert inputs.label_numbers(["good", "bad"], [], trained) == {
        "good": 0, "bad": 1, "g": 0, "b": 1, "m": 1,
    }  # fmt: skip
    for wrong in ("0", "0=six", "=1 star"):
        assert "should be VALUE=NAME" in error(
            lambda text=wrong: inputs.label_numbers(NAMES, [text], {})
        )


def test_another_label_is_one_line_with_its_row(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\ngood,5.0\nbad,\nbad,0\n")
    layout = LAYOUT._replace(label_column="label")
    with inputs.open_input([str(tmp_path / "a.csv")]) as source:
        source = source._replace(layout=layout)
        numbers = inputs.label_numbers(NAMES, [], {})
        assert "a.csv line 4 has the label '0'" in error(
            lambda: inputs.check(source, numbers, None)
        )
        rows = list(source.rows(None))
        assert [label_number(row, numbers) for row in rows[:2]] == [4, None]


def test_thousands_of_different_keys_are_one_line(tmp_path):
    lines = [json_line(None).replace('"x"', f'"x{number}"') for number in range(10_001)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    assert error(lambda: read(tmp_path / "a.jsonl")).endswith("makes more than 10,000 columns")
