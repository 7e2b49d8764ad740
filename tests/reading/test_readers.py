"""Labelled text from files: the same rows from every format, an error with its location."""

import gzip
import json
import re
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import FUZZ_EXAMPLES, as_csv, result_or_line
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yelp_stars.pipeline.errors import BadRow, UserError
from yelp_stars.reading import readers
from yelp_stars.reading.layout import Layout, Row

ROWS = [(0, "plain"), (1, 'a "quoted", one'), (0, "two, or"), (1, "caf\u00e9\u2028\U0001f32e")]
FORMATS = ["csv", "tsv", "jsonl", "ndjson", "json", "parquet"]


def write(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def parquet(folder: Path, rows=ROWS) -> bytes:
    pq.write_table(pa.table([*zip(*rows)], names=["label", "text"]), folder / "written.parquet")
    return (folder / "written.parquet").read_bytes()


def jsonl(rows=ROWS) -> str:
    return "".join(json.dumps({"label": label, "text": text}) + "\n" for label, text in rows)


def tsv(rows=ROWS) -> str:
    return "label\ttext\n" + "".join(f"{label}\t{text}\n" for label, text in rows)


def content_of(suffix: str, folder: Path, rows=ROWS) -> bytes:
    if suffix == "parquet":
        return parquet(folder, rows)
    text = {"csv": as_csv, "tsv": tsv}.get(suffix, jsonl)(rows)
    return text.encode()


def rows(path: Path, text_column="text", label_column="label", **options) -> list[Row]:
    return list(readers.rows(path, Layout(text_column, label_column, **options)))


def read(path: Path, *columns, **options) -> list[tuple[int, str]]:
    return [(int(label), text) for _, label, text, *_ in rows(path, *columns, **options)]


def error(path: Path, *columns, **options) -> str:
    with pytest.raises(UserError) as caught:
        rows(path, *columns, **options)
    return str(caught.value)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_the_same_rows(tmp_path, suffix, zipped):
    content = content_of(suffix, tmp_path)
    name = f"reviews.{suffix}{'.gz' if zipped else ''}"
    content = gzip.compress(content) if zipped else content
    assert read(write(tmp_path / name, content)) == ROWS
    assert read(write(tmp_path / name.upper(), content)) == ROWS


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_text_may_have_line_breaks(tmp_path, suffix):
    lines = [(0, "two\nlines"), (1, "and\r\nthree\n")]
    assert read(write(tmp_path / f"a.{suffix}", content_of(suffix, tmp_path, lines))) == lines
    assert len(read(write(tmp_path / "a.tsv", as_csv(lines, delimiter="\t")), quoted=True)) == 2


def test_a_file_in_an_archive_is_read_as_in_a_folder(tmp_path):
    for suffix in FORMATS:
        write(tmp_path / "folder" / f"train.{suffix}", content_of(suffix, tmp_path))
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as tar:
        tar.add(tmp_path / "folder", "some/folder")
    for suffix in FORMATS:
        assert read(tmp_path / "a.tgz" / f"train.{suffix}") == ROWS


def test_columns_are_chosen_by_index_where_there_is_no_header(tmp_path):
    rows = [("3", "first"), ("4", "second")]
    path = write(tmp_path / "a.csv", as_csv(rows, header=None))
    assert read(path, text_column=1, label_column=0) == [(3, "first"), (4, "second")]


def test_a_location_is_the_last_line_of_a_row(tmp_path):
    path = write(tmp_path / "a.csv", 'label,text\n0,"one\ntwo"\n\n1,x\n')
    locations = [row.location for row in rows(path)]
    assert locations == [f"{path} line 3", f"{path} line 5"]
    path = write(tmp_path / "a.jsonl", '{"label": 0, "text": "x"}\n\n{"label": 1, "text": "y"}\n')
    locations = [row.location for row in rows(path)]
    assert locations == [f"{path} line 1", f"{path} line 3"]
    path = write(tmp_path / "a.parquet", parquet(tmp_path, [(0, "x")] * 2500))
    locations = [row.location for row in rows(path)]
    assert locations == [f"{path} row {number}" for number in range(1, 2501)]


BAD = {
    "unknown format": ("a.xls", b"", "must end in .csv, .tsv, .jsonl, .ndjson, .json"),
    "an archive": ("a.tgz", b"", "is an archive; name the file in it: a.tgz/reviews.csv"),
    "empty file": ("a.csv", b"", "is empty; it must have at least one review"),
    "only a header": ("a.csv", b"label,text\n", "is empty; it must have at least one review"),
    "missing column": ("a.csv", b"label,body\n0,x\n", "has no column 'text'; it has 'label', 'bo"),
    "two columns": ("a.csv", b"id,body\n0,x\n", "has no column 'text' and no column 'label'; it"),
    "JSON column": ("a.jsonl", b'{"label": 0}\n', "line 1 has no column 'text'; it has 'label'"),
    "semicolons": ("a.csv", b"label;text\n0;x\n", "has no column 'text'; it has 'label;text'; set"),
    "quoted names": ("a.csv", b'"label";"text"\n"0";"x"\n', "download.delimiter to ';'"),
    "quoted names, tabs": ("a.csv", b'"label"\t"text"\n', "download.delimiter to '\\t'"),
    "ragged": ("a.csv", b"label,text\n0,x,y\n", "line 2 has 3 columns, not 2"),
    "open quote": (
        "a.csv", b'label,text\n0,x\n0,"x\n0,y\n', "line 3 is not valid CSV: unexpected end of",
    ),
    "text after a quote": (
        "a.csv", b'label,text\n0,x\n0,"x\n" y\n', "line 3 is not valid CSV: ',' expected",
    ),
    "carriage returns": (
        "a.csv", b"label,text\n0,x\ry\n", "line 2 is not valid CSV: new-line character seen in",
    ),
    "not JSON": ("a.jsonl", b"{\n", "line 1 is not JSON: column 2: "),
    "a JSON array": ("a.json", b'[{"text": "x"},\n', "line 1 is not JSON: column 16: "),
    "deep JSON": ("a.jsonl", b"[" * 100_000, "line 1 has a number or a nesting that is too long"),
    "long number": (
        "a.jsonl", b'{"label": %s}' % (b"1" * 5000), "line 1 has a number or a nesting that is",
    ),
    "no object": ("a.jsonl", b"3\n", "line 1 is not a JSON object"),
    "not Parquet": ("a.parquet", b"label", "is not valid Parquet ("),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_an_invalid_file_is_reported_with_its_location(tmp_path, name):
    file, content, message = BAD[name]
    path = write(tmp_path / file, content)
    assert file in error(path)
    assert message in error(path)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("name", ["text", "other"])
def test_two_columns_of_one_name_are_reported_if_they_are_read(tmp_path, suffix, name):
    path = tmp_path / f"a.{suffix}"
    if suffix == "parquet":
        names = ["label", "text", "other", name]
        pq.write_table(pa.table([[0], ["x"], ["y"], ["z"]], names=names), path)
    elif suffix == "csv":
        write(path, f"label,text,other,{name}\n0,x,y,z\n")
    else:
        write(path, f'{{"label": 0, "text": "x", "other": {{"a": 1, "a": 2}}, "{name}": "z"}}\n')
    if name == "other":
        assert read(path) == [(0, "x")]
        if suffix == "csv":
            (row,) = rows(path, all_columns=True)
            assert row.fields == {"label": "0", "text": "x", "other": "y", "other.1": "z"}
        else:
            assert "has several columns 'other'" in error(path, all_columns=True)
    else:
        assert error(path).endswith("has several columns 'text'; rename all but one")


def test_columns_without_a_name_at_the_end_of_each_line_are_read(tmp_path):
    (row,) = rows(write(tmp_path / "a.csv", "label,text,,,\n0,x,,7,\n"), all_columns=True)
    assert row.fields == {
        "label": "0", "text": "x", "": "", "Unnamed.1": "7", "Unnamed.2": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("label,x,x,text", ["label", "x", "x.1", "text"]),
        ("x,x,x.1,text,label", ["x", "x.2", "x.1", "text", "label"]),
        ("text,x,x.1.1,x.1,x,label,x", ["text", "x", "x.1.1", "x.1", "x.2", "label", "x.3"]),
    ],
)
def test_a_name_that_occurs_again_is_numbered_and_no_other_column_renamed(tmp_path, header, names):
    values = [str(number) for number in range(len(names))]
    path = write(tmp_path / "a.csv", f"{header}\n{','.join(values)}\n")
    (row,) = rows(path, all_columns=True)
    assert row.fields == dict(zip(names, values))


def test_a_column_is_the_one_of_that_name_in_the_file(tmp_path):
    path = write(tmp_path / "a.csv", "text,text,text.1,label\nno,no,yes,A\n")
    assert rows(path, "text.1")[0].text == "yes"


def test_a_json_row_without_a_label_may_lack_its_key_unless_all_do(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": "x"}\n{"label": 1, "text": "y"}\n')
    assert [(row.label, row.text) for row in rows(path)] == [(None, "x"), (1, "y")]
    write(path, '{"text": "x"}\n{"label": 1}\n')
    assert "line 2 has no column 'text'; it has 'label'" in error(path)
    write(path, '{"body": "x", "label": 1}\n{"text": "y"}\n')
    skipped: list[BadRow] = []
    layout = Layout("text", "label")
    assert [row.text for row in readers.rows(path, layout, skip=skipped.append)] == ["y"]
    assert "has no column 'text'" in str(skipped[0])
    write(path, '{"text": "x"}\n{"text": "y"}\n')
    assert "line 1 has no column 'label'; it has 'text'" in error(path)


def test_a_float_of_parquet_is_the_label_that_its_shortest_text_is(tmp_path):
    for dtype in (pa.float16(), pa.float32(), pa.float64()):
        # 4,112 has more digits than the shortest text of its float16, 4110.
        numbers = pa.array([0.1, None, 4112, float("inf"), float("nan")]).cast(dtype)
        table = pa.table({"label": numbers, "text": ["x"] * len(numbers)})
        pq.write_table(table, tmp_path / "a.parquet")
        *labels, nan = [row.label for row in rows(tmp_path / "a.parquet")]
        assert labels == [0.1, None, 4112, float("inf")]
        assert nan != nan


@pytest.mark.parametrize("header", ["label;text, or body", "id;label, kind;text"])
def test_a_header_with_a_comma_in_a_name_has_the_advice_of_its_separator(tmp_path, header):
    path = write(tmp_path / "a.csv", f"{header}\n0;x\n")
    assert error(path).endswith("set download.delimiter to ';'")


LOOSE_QUOTES = ['"Best" tacos', "plain", 'a 20" pizza', '"quoted"', 'say ""hi""', 'one "', '" two']


def test_a_tsv_has_no_quoting(tmp_path):
    expected = [(number % 2, text) for number, text in enumerate(LOOSE_QUOTES)]
    assert read(write(tmp_path / "a.tsv", tsv(expected))) == expected
    windows = tsv(expected).rstrip("\n").replace("\n", "\r\n")
    assert read(write(tmp_path / "b.tsv", windows)) == expected


def test_quoting_can_be_set_for_a_tsv_and_unset_for_a_csv(tmp_path):
    path = write(tmp_path / "a.tsv", as_csv(ROWS, delimiter="\t"))
    assert read(path, quoted=True) == ROWS
    plain = [(0, '"Best" tacos'), (1, 'a 20" pizza')]
    path = write(tmp_path / "a.csv", tsv(plain).replace("\t", ","))
    assert error(path).endswith("read it without them (download.quoted)")
    assert read(path, quoted=False) == plain


@pytest.mark.parametrize("delimiter", [";", "|", "\t"])
def test_another_delimiter_is_named_and_can_be_set(tmp_path, delimiter):
    rows = [(0, "one, two"), (1, "three")]
    path = write(tmp_path / "a.csv", as_csv(rows, delimiter=delimiter))
    assert read(path, delimiter=delimiter) == read(path, delimiter=delimiter, quoted=False) == rows
    path = write(tmp_path / "b.csv", as_csv([(0, "x")], delimiter=delimiter))
    assert f"set download.delimiter to {delimiter!r}" in error(path)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_a_longer_line_than_allowed_is_reported(tmp_path, suffix):
    rows = [(0, "short"), (1, "x" * 5000)]
    path = write(tmp_path / f"a.{suffix}", content_of(suffix, tmp_path, rows))
    assert read(path, max_line=6000) == rows
    assert f" line {2 if suffix == 'jsonl' else 3} is longer than " in error(path, max_line=1000)
    # A quoted field of many short lines has the same limit.
    path = write(tmp_path / "a.csv", 'label,text\n0,"' + "x\n" * 5000 + '"\n')
    assert "line 2 is not valid CSV: field larger than field limit" in error(path, max_line=1000)


def test_a_column_index_that_is_not_there_is_reported(tmp_path):
    path = write(tmp_path / "a.csv", "0,x\n")
    assert error(path, 2, 0) == f"{path} has no column 2; it has 2 columns, numbered from 0"
    path = write(tmp_path / "a.jsonl", jsonl())
    assert error(path, 1, 0).endswith(
        "has no column 1 and no column 0; it has 'label', 'text'; "
        "set download.text_column and the other column to two of these, or, in a file without a "
        "header, to numbers from 0"
    )


# --- All columns, and rows that are left out ------------------------------------------------------


def test_every_column_comes_with_its_row_in_order_and_with_its_type(tmp_path):
    rows_ = [{"text": "x", "id": 7, "tags": ["a", "b"], "open": True, "more": {"b": None}}]
    write(tmp_path / "a.jsonl", json.dumps(rows_[0]))
    pq.write_table(pa.Table.from_pylist(rows_), tmp_path / "a.parquet")
    for suffix in ("jsonl", "parquet"):
        (row,) = rows(tmp_path / f"a.{suffix}", label_column="id", all_columns=True)
        assert (row.label, row.text) == (7, "x")
        assert row.fields == rows_[0]
        assert list(row.fields) == list(rows_[0])
    path = write(tmp_path / "a.csv", 'id,text,date\n7,"x, y",\n')
    (row,) = rows(path, label_column=None, all_columns=True)
    assert (row.label, row.fields) == (None, {"id": "7", "text": "x, y", "date": ""})
    (row,) = rows(path, label_column="id")
    assert row.fields is None
    path = write(tmp_path / "b.csv", "5,great\n")
    (row,) = rows(path, 1, None, all_columns=True)
    assert row.fields == {"0": "5", "1": "great"}


def test_a_line_of_a_text_file_is_a_row_without_a_label(tmp_path):
    path = write(tmp_path / "a.txt", "first\r\n\n\ufeff\u00e9 last")
    found = rows(path, label_column=None)
    assert [(row.location, row.text) for row in found] == [
        (f"{path} line 1", "first"),
        (f"{path} line 3", "\ufeff\u00e9 last"),
    ]
    assert found[0].fields == {"text": "first"}
    assert error(path).startswith(f"{path} must end in .csv, .tsv, ")
    assert "is empty" in error(write(tmp_path / "b.txt", "\n\n"), label_column=None)


BAD_ROWS = {
    "csv": (b'id,text\n1,fine\n2,too,many\n3,"one\nb\xff"\n4,"go\nod"\n\xe9,x\n', [3, 5, 8]),
    "jsonl": (
        b'{"id": 1, "text": "fine"}\n{"id": 2\n{"id": 3, "text": "\xff"}\n[]\n{"id": 9}\n'
        b'{"id": 4, "text": "go\\nod"}\n', [2, 3, 4, 5],
    ),
    "txt": (b"fine\n\xff\xfe\xfa\ngo\x0cod\n", [2]),
}  # fmt: skip


@pytest.mark.parametrize("suffix", BAD_ROWS)
def test_rows_that_cannot_be_read_are_left_out_with_their_error(tmp_path, suffix):
    content, lines = BAD_ROWS[suffix]
    path = write(tmp_path / f"a.{suffix}", content)
    problems: list[BadRow] = []
    layout = Layout("text", None)
    found = [row.text for row in readers.rows(path, layout, "here", problems.append)]
    assert found[0] == "fine"
    assert re.sub(r"\s", "", found[1]) == "good"
    assert [problem.location for problem in problems] == [f"here line {line}" for line in lines]
    with pytest.raises(BadRow) as first:
        list(readers.rows(path, layout, "here"))
    assert str(first.value) == str(problems[0])


# --- Fuzz -----------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [b"label", b"text", b",", b"\t", b"\n", b"\r\n", b'"', b"0", b"{", b"}", b"[", b'"label":',
     b'"text":', b":", b"\\ud800", b"\\u0000", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\x92",
     b"null", b"1e999", b"PAR1", b"caf\xc3\xa9"]
)  # fmt: skip
HEADERS = st.sampled_from([b"", b"label,text\n0,x\n", b'{"label": 0, "text": "x"}\n'])
CONTENT = st.builds(
    bytes.__add__, HEADERS, st.binary(max_size=200) | st.lists(PIECES, max_size=60).map(b"".join)
)


@settings(max_examples=FUZZ_EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=CONTENT,
    suffix=st.sampled_from(["csv", "tsv", "jsonl", "parquet"]),
    encoding=st.sampled_from(["utf-8", "utf-16", "cp1252", "shift_jis"]),
    quoted=st.sampled_from([None, True, False]),
)
def test_any_content_is_rows_or_one_line(tmp_path, content, suffix, encoding, quoted):
    path = write(tmp_path / f"a.{suffix}", content)
    assert result_or_line(lambda: rows(path, encoding=encoding, quoted=quoted))


@settings(max_examples=FUZZ_EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    flips=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=5), data=st.data()
)
def test_a_damaged_parquet_file_is_rows_or_one_line(tmp_path, flips, data):
    content = bytearray(parquet(tmp_path, ROWS * 20))
    for place, byte in flips:
        content[place % len(content)] = byte
    cut = data.draw(st.integers(0, 2 * len(content)))
    path = write(tmp_path / "a.parquet", bytes(content[:cut]))
    assert result_or_line(lambda: rows(path))
