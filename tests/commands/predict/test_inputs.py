"""Texts, standard input or any file: the rows that can be predicted, a line about the others."""

import contextlib
import io
import json
import os
import sys
import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import result_or_line

from yelp_stars.commands.predict import inputs
from yelp_stars.pipeline.errors import Missing
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
    numbers = inputs.label_numbers(["caf\u00e9", "bar"], ["cafe\u0301s=cafe\u0301"], {})
    assert (numbers["caf\u00e9s"], numbers["caf\u00e9"]) == (0, 0)
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


# --- What counts as the input ---------------------------------------------------------------------

PATHS = [
    "data/external/mine", "/no/such/reviews", "reviews.feather", "reviews.pkl", "s3.txt",
    "C:\\Users\\me\\reviews", "~/reviews", "reviews/", "./reviews", "reviews.xlsx",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_what_looks_like_a_path_is_not_a_review(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Missing):
        read(path)
    assert "is a file; give one file, or only texts; if it is a text" in error(
        lambda: read(path, "The soup was cold.")
    )
    with standard_input(monkeypatch, f"{path}\n".encode()):
        assert [row.text for row in read("-")[0]] == [path]


@pytest.mark.parametrize(
    "url", ["s3://bucket/reviews.csv", "https://example.org/reviews", "gs://b"]
)
def test_an_address_is_to_be_downloaded(url):
    assert "is an address; download the file and name it; if it is a text" in error(
        lambda: read(url)
    )


TEXTS = [
    "Great.", "Good food/bad service, really", "5.5", "e.g.", "See https://example.org for it",
    "Wow...", "\u5f88\u597d\u5403", "I sent a .zip", "x" * 300 + "/",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_a_word_with_spaces_or_without_a_slash_is_a_review(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    assert [row.text for row in read(text)[0]] == [text]


@contextlib.contextmanager
def standard_input(monkeypatch, content: bytes):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    yield


def parquet_bytes() -> bytes:
    written = io.BytesIO()
    pq.write_table(pa.table({"text": ["one", "two"]}), written)
    return written.getvalue()


LINES = b'{"text": "one"}\n{"text": "two"}\n'
STREAMS = {
    "lines": (b"one\ntwo\n", False, "a .txt file"),
    "CSV": (b"text\none\ntwo\n", True, "a .csv file"),
    "JSON lines": (LINES, False, "a .jsonl file"),
    "JSON lines with spaces": (b'\n { "text": "one"}\n{"text": "two"}', True, "a .jsonl file"),
    "JSON lines with a mark": (b"\xef\xbb\xbf" + LINES, False, "a .jsonl file"),
    "JSON lines in UTF-16": (LINES.decode().encode("utf-16"), False, "a .jsonl file"),
    "Parquet": (parquet_bytes(), False, "a .parquet file"),
}


@pytest.mark.parametrize("stream", ["stdin", "named", "pipe"])
@pytest.mark.parametrize("kind", STREAMS)
def test_the_format_of_a_stream_is_told_by_its_first_bytes_and_said(
    tmp_path, monkeypatch, capsys, kind, stream
):
    content, is_table, said = STREAMS[kind]
    name = "-"
    if stream == "stdin":
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    else:  # a shell's <(command) is /dev/fd/63
        end, start = os.pipe()
        name = f"/dev/fd/{end}"
        if stream == "named":
            os.mkfifo(name := str(tmp_path / "pipe"))
        writer = threading.Thread(
            target=write, args=(name if stream == "named" else start, content)
        )
        writer.start()
    with inputs.open_input([name], is_table) as source:
        assert [row.text for row in source.rows(None)] == ["one", "two"]
    assert f"is read as {said}\n" in capsys.readouterr().err


def write(to: str | int, content: bytes) -> None:
    with open(to, "wb") as file:  # noqa: PTH123
        file.write(content)


def test_a_pipe_with_an_ending_has_its_format(tmp_path, capsys):
    os.mkfifo(tmp_path / "a.csv")
    threading.Thread(target=write, args=(str(tmp_path / "a.csv"), b"id,text\n1,one\n")).start()
    rows, _ = read_once(tmp_path / "a.csv")
    assert [row.fields for row in rows] == [{"id": "1", "text": "one"}]
    assert capsys.readouterr().err == ""


def read_once(path):
    with inputs.open_input([str(path)]) as source:
        source = source._replace(layout=LAYOUT)
        return list(source.rows(None)), source


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.txt"])
def test_a_file_that_changes_while_it_is_read_is_an_error(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    line, path = '{"text": "one"}\n' if name == "a.jsonl" else "text\n", Path(name)
    path.write_text(line * 10)
    with inputs.open_input([name]) as source:
        assert len(list(source.rows(None))) in (9, 10)
        rows = source.rows(None)
        next(rows)
        with path.open("r+") as file:  # in place, as many bytes
            file.write(line)
        os.utime(path, ns=(0, time.time_ns()))
        assert error(lambda: next(rows)) == f"'{name}' has changed meanwhile; " + (
            "delete the .part folder, if there is one, and run again"
        )
        assert "has changed meanwhile" in error(lambda: next(source.rows(None)))


def test_a_key_with_half_a_surrogate_is_an_error_of_its_row(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "good"}\n{"text": "bad", "\\ud800": 1}\n')
    assert "line 2 has an unpaired surrogate in the name of a column; fix it" in error(
        lambda: read(tmp_path / "a.jsonl")
    )
    skipped = []
    rows, _ = read(tmp_path / "a.jsonl", skip=skipped.append)
    assert [row.text for row in rows] == ["good"]
    assert len(skipped) == 2  # in each reading
