"""Outputs never overwrite the input, each other, or what is there."""

from pathlib import Path

import pytest

from yelp_stars.commands.predict.inputs import Input
from yelp_stars.commands.predict.request import Request, check_paths
from yelp_stars.pipeline.errors import UserError
from yelp_stars.reading.layout import Layout


def request(output, skip_bad=None, force=False):
    return Request(
        inputs=["a.csv"],
        output=output and Path(output),
        model=Path("models/finetuned"),
        rev=None,
        layout=Layout("text", None),
        labels=[],
        unescape=False,
        below=None,
        prefix="",
        skip_bad=skip_bad and Path(skip_bad),
        precision="auto",
        batch_size=None,
        threads=None,
        force=force,
    )


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "old.csv"):
        Path(name).touch()
    Path("folder.csv").mkdir()
    return Input("a.csv", [], Path("a.csv"), Layout("text", None), False)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (request("./a.csv", force=True), "'a.csv' is the input; choose another file to write"),
        (request("b.csv", "a.csv"), "'a.csv' is the input; choose another file to write"),
        (request("b.csv", "./b.csv"), "-o and --skip-bad are one file; choose two"),
        (request("folder.csv"), "'folder.csv' is a folder; name a file in it"),
        (request("b.xlsx"), "-o 'b.xlsx' must end in .jsonl, .csv, .parquet"),
        (request("old.csv"), "'old.csv' exists; choose another -o, or add --force"),
        (
            request("b.csv", "old.csv"),
            "'old.csv' exists; choose another --skip-bad, or add --force",
        ),
    ],
)
def test_what_would_be_overwritten_is_one_line(source, made, message):
    with pytest.raises(UserError) as caught:
        check_paths(made, source)
    assert str(caught.value) == message


@pytest.mark.parametrize("made", [request("b.csv", "a.tgz", force=True), request(None, "a.tgz")])
def test_the_archive_that_is_read_is_not_written(source, made):
    Path("a.tgz").touch()
    source = Input("a.tgz/b.csv", [], Path("a.tgz", "b.csv"), Layout("text", None), False)
    with pytest.raises(UserError, match=r"'a.tgz/b.csv' is the input; choose another"):
        check_paths(made, source)


def test_an_interrupted_command_may_write_its_errors_again(source):
    Path("b.csv.part").mkdir()
    check_paths(request("b.csv", "old.csv"), source)


def test_new_files_may_be_written_and_old_ones_on_request(source):
    check_paths(request("new/b.csv", "bad.txt"), source)
    check_paths(request("old.csv", force=True), source)
    check_paths(request(None, "old.csv", force=True), source)
    check_paths(request(None), source)


def test_the_model_is_named_as_it_was_given():
    assert request(None).model_name == "models/finetuned"
    assert request(None)._replace(rev="slow").model_name == "slow"
