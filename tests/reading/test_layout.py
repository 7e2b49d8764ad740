"""Files that are not what their names say, and files that other programs write in their own way."""

import bz2
import datetime
import gzip
import io
import resource
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import result_or_line

from yelp_stars.reading import readers
from yelp_stars.reading.layout import Layout

TEXT = b"label,text\n0,plain\n1,fine\n"
ROWS = [("0", "plain"), ("1", "fine")]


def rows(path: Path, content: bytes, text_column="text", label_column=None, **options):
    path.write_bytes(content)
    layout = Layout(text_column, label_column, all_columns=True, **options)
    return result_or_line(lambda: list(readers.rows(path, layout)))


def zipped(*names: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, TEXT)
    return packed.getvalue()


def parquet(store_schema=True, **columns) -> bytes:
    written = io.BytesIO()
    pq.write_table(pa.table(columns), written, compression="zstd", store_schema=store_schema)
    return written.getvalue()


FOREIGN = {
    "zip": (zipped("train.csv"), "is a zip archive; unpack it and name the file in it"),
    "xlsx": (zipped("[Content_Types].xml", "xl/workbook.xml"), "is an Excel workbook; save it as"),
    "xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "is an old Excel or Word file; save"),
    "gzip": (gzip.compress(TEXT), "is packed with gzip; unpack it, or add .gz to its name"),
    "bzip2": (bz2.compress(TEXT), "is packed with bzip2; unpack it"),
    "zstd": (b"\x28\xb5\x2f\xfd\x24\x00", "is packed with Zstandard; unpack it"),
    "parquet": (parquet(text=["x"]), "is a Parquet file; let its name end in .parquet"),
    "html": (b"\n<!DOCTYPE html>\n<html><body>Sign in</body></html>", "is a web page; download"),
}


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.txt", "a.csv.gz", "a.dat"])
@pytest.mark.parametrize("kind", FOREIGN)
def test_the_first_bytes_say_what_a_file_is(tmp_path, kind, name, encoding):
    content, message = FOREIGN[kind]
    content = gzip.compress(content) if name.endswith(".gz") else content
    assert message in rows(tmp_path / name, content, encoding=encoding)


def test_the_advice_about_a_packed_file_reads_it(tmp_path):
    assert "add .gz to its name" in rows(tmp_path / "a.csv", gzip.compress(TEXT))
    found = rows(tmp_path / "a.csv.gz", gzip.compress(TEXT))
    assert [(row.fields["label"], row.text) for row in found] == ROWS
    assert "let its name end in .parquet" in rows(tmp_path / "a.csv", parquet(text=["x"]))
    assert [row.text for row in rows(tmp_path / "a.parquet", parquet(text=["x"]))] == ["x"]


@pytest.mark.parametrize("name", ["reviews", "reviews.parquet", "reviews.csv"])
def test_a_folder_is_named_as_one(tmp_path, name):
    (tmp_path / name / "part-0.parquet").mkdir(parents=True)
    found = result_or_line(lambda: list(readers.rows(tmp_path / name, Layout("text", None))))
    assert found == f"'{tmp_path / name}' is a folder; name a file in it"


SEP = [
    ("sep=;\r\nlabel;text\r\n0;plain\r\n1;fine\r\n", {}),
    ('"sep=;"\nlabel;text\n0;plain\n1;fine\n', {}),
    ("sep=\t\nlabel\ttext\n0\tplain\n1\tfine\n", {"delimiter": ","}),
    ("sep=;\nlabel;text\n0;plain\n1;fine\n", {"quoted": False}),
]


@pytest.mark.parametrize(("content", "options"), SEP)
def test_the_line_that_excel_writes_for_itself_names_the_separator(tmp_path, content, options):
    found = rows(tmp_path / "a.csv", content.encode(), **options)
    assert [(row.fields["label"], row.text) for row in found] == ROWS
    assert found[0].location.endswith("line 3")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
@pytest.mark.parametrize("quoted", [True, False])
def test_lines_that_end_in_carriage_returns_are_lines(tmp_path, encoding, quoted):
    content = TEXT.decode().replace("\n", "\r").encode(encoding)
    found = rows(tmp_path / "a.csv", content, encoding=encoding, quoted=quoted)
    assert [(row.fields["label"], row.text) for row in found] == ROWS
    content = "one\r\rtwo caf\u00e9\r".encode(encoding)
    found = rows(tmp_path / "a.txt", content, encoding=encoding)
    assert [row.text for row in found] == ["one", "two caf\u00e9"]
    # A carriage return between line feeds stays in its text.
    found = rows(tmp_path / "a.txt", "one\rtwo\nthree\n".encode(encoding), encoding=encoding)
    assert [row.text for row in found] == ["one\rtwo", "three"]


BLANK = {
    "a.txt": (b"one\n\ntwo\r\n\r\n\n", 3),
    "a.csv": (b"text\none\n\ntwo\n\n", 2),
    "b.csv": (b"\nid,text\n1,one\n\n2,two\n", 1),
    "a.tsv": (b"id\ttext\n1\tone\n\n2\ttwo\n", 1),
    "a.jsonl": (b'{"text": "one"}\n\n  \n{"text": "two"}\n', 2),
}


@pytest.mark.parametrize("name", BLANK)
def test_blank_lines_are_counted(tmp_path, name):
    content, blank_lines = BLANK[name]
    (tmp_path / name).write_bytes(content)
    blanks: list[str] = []
    layout = Layout("text", None)
    found = readers.rows(tmp_path / name, layout, blank=lambda: blanks.append("blank"))
    assert [row.text for row in found] == ["one", "two"]
    assert len(blanks) == blank_lines


STRAY = {
    "a.txt": (b"The so\0up was cold.\nNothing special.\n", "The so\0up was cold."),
    "a.csv": (b"id,text\n1,The so\0up was cold.\n2,fine\n", "The so\0up was cold."),
}


@pytest.mark.parametrize("name", STRAY)
def test_one_nul_byte_is_not_utf_16(tmp_path, name):
    content, text = STRAY[name]
    assert rows(tmp_path / name, content)[0].text == text  # an error of the row, later
    found = rows(tmp_path / "b.csv", b"id,te\0xt\n1,fine\n")
    assert found.endswith("line 1 has a NUL byte in a name; remove it")


@pytest.mark.parametrize("column", ["text", "0"])
def test_a_header_that_is_not_in_its_encoding_is_an_error_of_the_file(tmp_path, column):
    found = rows(tmp_path / "a.csv", b"caf\xe9,text\n1,fine\n", column)
    assert " line 1 is not UTF-8 (byte 0xe9); " in found
    assert rows(tmp_path / "a.csv", b"caf\xe9,text\n1,fine\n", encoding="cp1252")[0].text == "fine"


def test_the_indices_that_pandas_writes_as_names_are_a_header(tmp_path):
    found = rows(tmp_path / "a.csv", b"0,1\n17,plain\n18,fine\n", 1)
    assert [row.fields for row in found] == [{"0": "17", "1": "plain"}, {"0": "18", "1": "fine"}]
    assert len(rows(tmp_path / "a.csv", b"1,0\n17,plain\n", 1)) == 2
    assert rows(tmp_path / "a.jsonl", b'{"0": 17, "1": "plain"}\n', 1)[0].text == "plain"


@pytest.mark.parametrize("place", ["name", "value"])
def test_half_a_surrogate_in_json(tmp_path, place):
    name = place == "name"
    line = b'{"text": "x", "\\ud83d": 1}' if name else b'{"text": "x", "a": "\\ud83d"}'
    found = rows(tmp_path / "a.jsonl", line)
    if name:
        assert found.endswith("line 1 has an unpaired surrogate in the name of a column; fix it")
    else:
        assert found[0].fields["a"] == "\ud83d"


# --- Parquet --------------------------------------------------------------------------------------

PEAK = 500_000_000  # bytes


def repeated(text: str, rows: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), [text])


LONG = "x" * 1_000_000
BOMBS = {
    "one text": {"text": repeated(LONG, 3000)},
    "another column": {"text": repeated("fine", 3000), "id": repeated(LONG, 3000)},
    "rows": {"text": repeated("good food " * 20, 200_000)},
}


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("kind", BOMBS)
def test_a_small_parquet_file_that_unpacks_to_much_is_refused(tmp_path, kind, stored):
    content = parquet(stored, **BOMBS[kind])
    assert len(content) < 20_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = rows(tmp_path / "a.parquet", content)
    assert "unpacks to more than 16 MB, 100 times its size; if that is right, unpack it" in found
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < PEAK


def test_a_large_parquet_file_is_read_whatever_it_repeats(tmp_path):
    table = {"text": [f"review {number}" for number in range(5000)], "site": ["here"] * 5000}
    assert len(rows(tmp_path / "a.parquet", parquet(**table))) == 5000


TIMES = [
    (pa.time64("ns"), [123456789, None, 1000], [123456789, None, datetime.time(0, 0, 0, 1)]),
    (pa.timestamp("us"), [2**62, None, 0], [2**62, None, datetime.datetime(1970, 1, 1)]),
    (pa.timestamp("ms", "UTC"), [2**48], [2**48]),
    (pa.date32(), [2**30, None], [2**30, None]),
]


@pytest.mark.parametrize(("type_", "numbers", "expected"), TIMES, ids=[str(t[0]) for t in TIMES])
def test_a_time_that_python_cannot_hold_is_its_number(tmp_path, type_, numbers, expected):
    column = pa.array(numbers, type_)
    content = parquet(text=["x"] * len(numbers), at=column)
    found = [row.fields["at"] for row in rows(tmp_path / "a.parquet", content)]
    assert found == expected
    assert pa.array(found, type_).equals(column)
