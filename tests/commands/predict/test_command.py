"""`stars predict` as a user gives it: usage errors, and the commands of its help."""

import io
import shlex
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer.main
from helpers import ROOT, stars

from yelp_stars import cli

COMMAND = typer.main.get_command(cli.app).commands["predict"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--precision", "fp8"], ["--threads", "0"], ["--batch-size", "0"], ["--fail-below", "2"],
        ["--encoding", "utf-9"], ["--delimiter", ";;"], ["--delimiter", '"'],
        ["--longest-line-mb", "0"],
    ],
)  # fmt: skip
def test_a_wrong_option_is_a_usage_error(capsys, arguments):
    assert stars("predict", "The soup was cold.", *arguments) == 2
    error = capsys.readouterr().err
    assert "Usage: " in error
    assert arguments[-2] in error


@pytest.fixture
def here(finished_repo, tmp_path, monkeypatch):
    """A folder with the model and the files that examples name: the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").symlink_to(finished_repo / "models")
    (tmp_path / "reviews.csv").write_text("id,text\n1,The soup was cold.\n")
    (tmp_path / "labelled.jsonl").write_text('{"text": "Best dinner!", "stars": 5}\n')
    (tmp_path / "yelp.csv").write_text("label,text\n0,The soup was cold.\n")
    (tmp_path / "NAME.txt").write_text("The soup was cold.\n")
    pq.write_table(pa.table({"id": [1], "text": ["Best dinner!"]}), "reviews.parquet")
    return tmp_path


def commands(text):
    lines = [line.strip() for line in text.splitlines()]
    # Of an exported model: tests/commands/test_export.py.
    return [x for x in lines if x.startswith("stars predict") and "models/exported" not in x]


@pytest.mark.slow
def test_the_commands_of_the_help_and_the_guide_run(here, capsys, monkeypatch):
    guide = (ROOT / "docs" / "using-the-model.md").read_text("utf-8")
    examples = commands(COMMAND.help)
    assert (len(examples), len(commands(guide))) == (4, 7)
    for command in dict.fromkeys([*examples, *commands(guide)]):
        words = shlex.split(command)[1:]
        if "<" in words:
            lines = io.TextIOWrapper(io.BytesIO((here / words.pop()).read_bytes()))
            monkeypatch.setattr(sys, "stdin", lines)
            words.remove("<")
        assert stars(*words) == 0, command
    assert "on 1 rows with a label" in capsys.readouterr().err
    columns = (here / "predicted.csv").read_text().splitlines()[0].split(",")
    assert columns[2:5] == ["stars", "probability", "p_1 star"]
    assert all(f"`{name}`" in guide for name in ("range", "truncated", "to_a_person"))
    options = {name for param in COMMAND.params for name in param.opts if name.startswith("--")}
    assert not [name for name in options - {"--output", "--help"} if f"`{name}" not in guide]
