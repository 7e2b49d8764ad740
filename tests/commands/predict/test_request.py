"""A new file is read as the training file was; options say otherwise."""

from pathlib import Path

import pytest
from helpers import result_or_line

from yelp_stars.commands.predict.inputs import Input
from yelp_stars.commands.predict.request import Request
from yelp_stars.reading.origin import Origin

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
