"""A new file is read as the training file was; options say otherwise; advice leads to its rows."""

import gzip
import re
import shlex
from pathlib import Path

import pytest
from helpers import result_or_line

from yelp_stars.commands.predict import inputs
from yelp_stars.commands.predict.inputs import Input
from yelp_stars.commands.predict.request import COLUMNS, Request
from yelp_stars.pipeline.errors import UserError
from yelp_stars.reading.layout import separator
from yelp_stars.reading.lines import known_encoding
from yelp_stars.reading.origin import NO_FILE, Origin

SEMICOLONS = Origin("ticket", ".csv", "body", "topic", {"a": "A"}, "cp1252", ";", True, True)
HEADERLESS = Origin("ticket", ".csv", 1, 0)


def read(path: str | None, origin: Origin, **options):
    request = Request([], **options)
    source = request.read_as(Input("x", [], path and Path(path)), origin)
    return source.layout, source.unescape, request.remembered(source)


def test_a_file_of_the_same_format_is_read_as_the_training_file():
    layout, unescape, remembered = read("new.CSV.gz", SEMICOLONS)
    assert layout[:5] == ("body", None, "cp1252", ";", True)
    assert unescape
    assert remembered == [
        "--text-column body", "--encoding cp1252", "--delimiter ';'", "--quoted", "--unescape",
    ]  # fmt: skip
    layout, _, remembered = read("new.csv", HEADERLESS)
    assert (layout.text_column, remembered) == (1, ["--text-column 1"])
    assert read("new.csv", Origin(ending=".csv", delimiter="\t"))[2] == ["--delimiter '\\t'"]


def test_of_another_format_only_the_name_of_the_column_is_remembered():
    layout, unescape, remembered = read("new.jsonl", SEMICOLONS)
    assert (*layout[:5], unescape) == ("body", None, "utf-8", None, None, False)
    assert remembered == ["--text-column body"]
    layout, _, remembered = read("new.jsonl", HEADERLESS)
    assert (layout.text_column, remembered) == ("text", [])
    assert read(None, HEADERLESS)[0].text_column == "text"


def test_options_win():
    options = {"text_column": "t", "encoding": "utf-8", "delimiter": ",", "unescape": False}
    layout, unescape, remembered = read("new.csv", SEMICOLONS, **options, quoted=False)
    assert (*layout[:5], unescape) == ("t", None, "utf-8", ",", False, False)
    assert remembered == []


@pytest.mark.parametrize(("label", "origin"), [("topic", HEADERLESS), (0, SEMICOLONS)])
def test_the_two_columns_are_names_or_indices(label, origin):
    line = result_or_line(lambda: read("new.csv", origin, label_column=label))
    assert line.startswith(f"--label-column {label!r} and the text column {origin.text_column!r} ")


# --- Whoever does what an error says gets the right rows ------------------------------------------

ROWS = ["The soup was cold.", "Caf\u00e9 \u2013 20\u20ac, nice."]
SLAVIC, CHINESE = ["Obs\u0142uga by\u0142a \u015bwietna."], ["\u5f88\u597d\u5403", "\u4e0d\u9519"]


def table(rows=ROWS, delimiter=",", names=("id", "text"), end="\n") -> str:
    quoted = (f'"{text}"' for text in rows)
    lines = [delimiter.join(names)]
    lines += [f"{number}{delimiter}{text}" for number, text in enumerate(quoted)]
    return "".join(line + end for line in lines)


# Name of the file, content, the rows in it; the options that were given at first.
CASES = {
    "UTF-16, little": ("a.csv", table().encode("utf-16-le"), ROWS, {}),
    "UTF-16, big": ("a.csv", table().encode("utf-16-be"), ROWS, {}),
    "UTF-16 without a mark": ("a.csv", table().encode("utf-16-be"), ROWS, {"encoding": "utf-16"}),
    "UTF-8, said to be UTF-16": ("a.csv", table().encode(), ROWS, {"encoding": "utf-16"}),
    "lines in UTF-16": ("a.txt", "\n".join(ROWS).encode("utf-16-le"), ROWS, {}),
    "JSON in UTF-16": ("a.jsonl", b'{"text": "x"}\n'.decode().encode("utf-16-be"), ["x"], {}),
    "cp1252": ("a.csv", table().encode("cp1252"), ROWS, {}),
    "cp1252, lines": ("a.txt", "\n".join(ROWS).encode("cp1252"), ROWS, {}),
    "cp1252 in the header": (
        "a.csv", table(names=("N\u00e9", "text")).encode("cp1252"), ROWS, {},
    ),
    "cp1250": ("a.csv", table(SLAVIC).encode("cp1250"), SLAVIC, {}),
    "gb18030": ("a.csv", table(CHINESE).encode("gb18030"), CHINESE, {}),
    "semicolons": ("a.csv", table(delimiter=";").encode(), ROWS, {}),
    "tabs in a CSV": ("a.csv", table(delimiter="\t").encode(), ROWS, {}),
    "bars": ("a.csv", table(delimiter="|").encode(), ROWS, {}),
    "commas, said to be semicolons": ("a.csv", table().encode(), ROWS, {"delimiter": ";"}),
    "sep=": ("a.csv", b"sep=;\r\n" + table(delimiter=";", end="\r\n").encode(), ROWS, {}),
    "another column": ("a.csv", table(names=("id", "comment")).encode(), ROWS, {}),
    "another column and semicolons": (
        "a.csv", table(names=("id", "comment"), delimiter=";").encode(), ROWS, {},
    ),
    "a column with spaces": ("a.csv", table(names=("id", "Review Text")).encode(), ROWS, {}),
    "another column of JSON": ("a.jsonl", b'{"id": 1, "body": "x"}\n', ["x"], {}),
    "an index and a header": (
        "a.csv", table(names=("id", "comment")).encode(), ROWS, {"text_column": 1},
    ),
    "an index and pandas": ("a.csv", table(names=("0", "1")).encode(), ROWS, {"text_column": 1}),
    "an index, Review Text": (
        "a.csv", table(names=("id", "Review Text")).encode(), ROWS, {"text_column": 1},
    ),
    "gzip": ("a.csv", gzip.compress(table().encode()), ROWS, {}),
    "column of a text file": ("a.txt", "\n".join(ROWS).encode(), ROWS, {"text_column": "review"}),
    "separator of JSON": ("a.jsonl", b'{"text": "x"}\n', ["x"], {"delimiter": ";", "quoted": True}),
    "quotes": ("a.csv", b'text\n"Best" tacos\n', ['"Best" tacos'], {}),
    "carriage returns": ("a.csv", table(end="\r").encode(), ROWS, {}),
}  # fmt: skip


def texts_of(name: str, options: dict) -> list[str]:
    request = Request([name], **options)
    with inputs.open_input(
        request.inputs, any(getattr(request, name) is not None for name in COLUMNS)
    ) as source:
        request.check_options(source)
        source = request.read_as(source, NO_FILE)
        rows = list(source.rows(None))
        request.check_header(source, NO_FILE, rows[0])
        return [row.text for row in rows]


def obey(error: UserError, name: str, options: dict, expected: list[str]) -> tuple[str, dict]:
    """Do what an error says, as a user does who knows the texts of the file."""
    line = error.worded(inputs.option)
    if "add .gz to its name" in line:
        return str(Path(name).rename(f"{name}.gz")), options
    if found := re.search(r"(--[a-z-]+) says nothing about .*; leave it out", line):
        key = found[1][2:].replace("-", "_")
        return name, {k: value for k, value in options.items() if k != key}
    if "(--no-quoted)" in line:
        return name, {**options, "quoted": False}
    if found := re.search(r"set --text-column to (one of these|'(.*?)')", line):
        columns = [found[2]] if found[2] else re.findall(r"'(.*?)'", line.split("; it has ")[1])
        named = [column for column in columns if column in ("comment", "Review Text", "body")]
        return name, {**options, "text_column": named[0]}
    if found := re.search(r"set --delimiter to ('.*?')", line):
        word = shlex.split(found[1])[0]  # as a shell gives it to the command
        return name, {**options, "delimiter": separator(word)}
    encodings = re.findall(r"'([\w-]+)'", line.split("set --encoding to")[1])
    readable = [each for each in encodings if expected[0] in decoded(name, each)]
    return name, {**options, "encoding": known_encoding(readable[0])}


def decoded(name: str, encoding: str) -> str:
    return Path(name).read_bytes().decode(encoding, "replace")


@pytest.mark.parametrize("case", CASES)
def test_what_an_error_says_leads_to_the_right_rows(tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    name, content, expected, options = CASES[case]
    Path(name).write_bytes(content)
    for _ in range(4):
        try:
            assert texts_of(name, options) == expected
            return
        except UserError as error:
            name, options = obey(error, name, options, expected)
    pytest.fail(f"four errors, one after the other; at last {options}")
