"""What can be known without the model is reported at once; the system's errors are one line."""

import os
import subprocess
import sys

import pytest
from helpers import ROOT, stars


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("text\ngood\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["b.csv"], "no file 'b.csv'"),
        (["a.csv", "-o", "a.txt"], "must end in"),
        (["a.csv", "--text-column", "review"], "a.csv has no column 'review'; it has 'text'"),
        (["a.csv", "--label-column", "label"], "a.csv has no column 'label'; it has 'text'"),
        (["a.csv", "--encoding", "utf-16"], "has no byte order mark; set --encoding to"),
    ],
)
def test_a_mistake_of_the_arguments_needs_no_torch(arguments, message):
    code = (
        "import sys; from yelp_stars import cli\n"
        "try: cli.main()\nexcept SystemExit as stop: print(stop)\nprint('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "predict", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("error: ")
    assert message in done.stdout
    assert done.stdout.endswith("\nFalse\n")


def test_a_missing_model_is_one_line():
    found = stars("predict", "The soup was cold.", "--model", "nothing")
    assert found.startswith("error: 'nothing' has no 'tokenizer.json'")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_one_line(tmp_path):
    (tmp_path / "a.csv").chmod(0)
    assert stars("predict", "a.csv").startswith("error: Permission denied 'a.csv'")


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    found = stars("predict", "a.csv", "--skip-bad", "a.csv/b/bad.txt")
    assert found.startswith("error: ")
    assert "\n" not in found
