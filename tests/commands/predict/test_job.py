"""What can be known without the model is reported at once, and nothing is overwritten."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT, stars

from yelp_stars.commands.predict.inputs import Input, option
from yelp_stars.commands.predict.request import Request
from yelp_stars.pipeline.errors import UserError
from yelp_stars.reading.layout import Layout

LAYOUT = Layout("text", None)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "old.csv"):
        (tmp_path / name).write_text("text\ngood\n")
    for name in ("a.txt", "a.jsonl", "a.parquet"):
        (tmp_path / name).write_text('{"text": "good"}\n')
    (tmp_path / "h.csv").write_text("id,Review Text\n17,good\n")
    (tmp_path / "folder.csv").mkdir()


MISTAKES = [
    (["b.csv"], "no file 'b.csv'"),
    (["a.csv", "-o", "a.txt"], "must end in"),
    (["a.csv", "--text-column", "review"], "a.csv has no column 'review'; it has 'text'"),
    (["a.csv", "--label-column", "label"], "a.csv has no column 'label'; it has 'text'"),
    (["a.csv", "--encoding", "utf-16"], "has no byte order mark; set --encoding to"),
    (["good", "--text-column", "a"], "--text-column says nothing about texts; leave it out"),
    (["good", "--encoding", "cp1252"], "--encoding says nothing about texts; leave it out"),
    (["good", "--label", "a=b"], "--label needs --label-column; add it"),
    (["a.txt", "--label-column", "a"], "--label-column says nothing about .txt; leave it out"),
    (["a.jsonl", "--delimiter", ";"], "--delimiter says nothing about .jsonl; leave it out"),
    (["a.parquet", "--quoted"], "--quoted says nothing about .parquet; leave it out"),
    (["a.csv", "-o", "/proc/b.csv"], "-o '/proc/b.csv' cannot be written ("),
    (["a.csv", "-o", "a.csv/b.csv"], "-o 'a.csv/b.csv' cannot be written (Not a directory)"),
    (["a.csv", "--skip-bad", "/dev/null", "--force"], "'/dev/null' is a device or a pipe; choose"),
    (
        ["h.csv", "--text-column", "1"],
        "h.csv line 1 is a row, because an index is for a file witho",
    ),
]


def test_a_mistake_of_the_arguments_needs_no_torch():
    code = (
        "import sys; from helpers import stars\n"
        f"for arguments, _ in {MISTAKES}: print(stars('predict', *arguments))\n"
        "print('torch' in sys.modules)"
    )
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    *lines, imported = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert imported == "False"
    for line, (_, message) in zip(lines, MISTAKES, strict=True):
        assert line.startswith("error: ")
        assert message in line


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (b"a;text\n1;2\n", "set --delimiter to ';'"),
        (b'text\n"a"b\n', "read it without them (--no-quoted)"),
        (b"text\ncaf\xe9\n", "set --encoding to the file's encoding, such as 'cp1252' (Western"),
        (b"text\n \n", "remove the row, or add --skip-bad FILE"),
        (b"text\na,b\n", "has 2 columns, not 1; add --skip-bad FILE"),
        (b"t\0e\0x\0t\0\n\0", "set --encoding to 'utf-16-le'"),
    ],
)
def test_advice_is_about_options_of_the_command(content, advice):
    Path("a.csv").write_bytes(content)
    assert advice in stars("predict", "a.csv")
    assert option("download.labels") == "--label VALUE=NAME"
    assert option("train.precision") == "train.precision"


def check(output, skip_bad=None, force=False, source="a.csv"):
    paths = [None if name is None else Path(name) for name in (output, skip_bad)]
    request = Request([source], paths[0], skip_bad=paths[1], force=force)
    request.check_paths(Input(source, [], Path(source), LAYOUT, False))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("b.csv", "./a.csv"), "'a.csv' is the input; choose another file to write"),
        (("b.csv", "./b.csv"), "-o and --skip-bad are the same file; choose two"),
        (("folder.csv",), "'folder.csv' is a folder; name a file in it"),
        (("b.xlsx",), "-o 'b.xlsx' must end in .jsonl, .csv, .parquet"),
        (("old.csv",), "'old.csv' exists; choose another -o, or add --force"),
        (("b.csv", "old.csv"), "'old.csv' exists; choose another --skip-bad, or add --force"),
        ((None, "a.tgz", True, "a.tgz/b.csv"), "'a.tgz/b.csv' is the input; choose another file"),
    ],
)
def test_what_would_be_overwritten_is_one_line(arguments, message):
    Path("a.tgz").touch()
    with pytest.raises(UserError) as caught:
        check(*arguments)
    assert str(caught.value).startswith(message)


def test_new_files_may_be_written_and_old_ones_on_request():
    check("new/b.csv", "bad.txt")
    check("old.csv", force=True)
    check(None, "old.csv", force=True)
    check(None)
    Path("b.csv.part").mkdir()  # of an interrupted command
    check("b.csv", "old.csv")
