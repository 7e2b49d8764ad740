"""What a killed run leaves is named with the command that removes it; what runs is left alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import DEADLINE, run
from small import diagnose, dvc, follow

from benchmarks.workspace import commit
from yelp_stars.commands.doctor.leftovers import check_leftovers

TMP, CACHE = Path(".dvc/tmp"), Path(".dvc/cache/files/md5")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty project: the working folder."""
    monkeypatch.chdir(tmp_path)
    TMP.mkdir(parents=True)
    return tmp_path


def checked():
    return list(check_leftovers(TMP, CACHE))


def test_without_leftovers_there_is_no_problem(folder):
    assert checked() == []
    (TMP / "rwlock").write_text("{}")
    (TMP / "lock").write_text("1")  # the kernel released it
    assert checked() == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        # Of an ended container, this number is another program now.
        ('{"write": {"data/raw": {"pid": 1}}}', "holds locks of processes that have ended"),
        ("{", "is damaged"),
    ],
)
def test_locks_of_ended_processes_are_removed(folder, content, problem):
    (TMP / "rwlock").write_text(content)
    (line,) = checked()
    assert line == f".dvc/tmp/rwlock {problem}; run `rm -rf .dvc/tmp/rwlock`"
    follow(line)
    assert checked() == []


@pytest.mark.parametrize(
    "words",
    [
        ["stages.train"],
        ["/usr/bin/dvc"],
        ["/usr/bin/stars", "predict", "texts.csv"],
        ["yelp_stars.cli", "predict", "texts.csv"],
    ],
    ids=lambda words: words[0],
)
def test_while_a_run_is_in_progress_nothing_is_said(folder, words):
    code = "print(flush=True); import time; time.sleep(60)"
    command = [sys.executable, "-c", code, *words]
    with subprocess.Popen(command, cwd=TMP, stdout=subprocess.PIPE) as running:
        running.stdout.readline()
        (TMP / "rwlock").write_text("{")
        Path("data").mkdir()
        Path("data", ".raw.partial").mkdir()
        assert checked() == []
        running.kill()
    assert len(checked()) == 2


def test_unfinished_outputs_are_removed_and_nothing_else(folder):
    names = ("data/.raw.partial", "models/a b/.finetuned.partial", ".dvclive.partial")
    unfinished = [Path(name) for name in names] + [CACHE / "ab" / ".x.tmp"]
    kept = [Path("data/raw"), CACHE / "ab" / ("c" * 30), Path("data/external/.partial.csv")]
    for path in [*unfinished, *kept]:
        path.mkdir(parents=True)
    (line,) = checked()
    assert line.startswith("4 unfinished outputs of killed runs")
    follow(line)
    assert checked() == []
    assert all(map(os.path.exists, kept))
    assert not any(map(os.path.exists, unfinished))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "left"),
    [
        ("dvc repro", "holds locks of processes that have ended"),
        pytest.param(
            "dvc exp run --temp -n killed -S fit.rate=3",
            "copies of the project of killed experiments",
            marks=pytest.mark.thorough,
        ),
    ],
)
def test_what_a_killed_run_leaves_is_removed(small_repo, capsys, command, left):
    def lines() -> list[str]:
        return [line for line in diagnose(capsys) if left in line]

    pipeline = Path("dvc.yaml").read_text()
    Path("dvc.yaml").write_text(pipeline.replace("wc -l", "touch running && sleep 60 && wc -l"))
    commit(small_repo, "slow")
    running = subprocess.Popen(command.split(), start_new_session=True)
    deadline = time.monotonic() + DEADLINE
    while not list(small_repo.rglob("running")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert lines() == []
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    (line,) = lines()
    follow(line)
    assert lines() == []
    assert "Running" not in run("dvc", "exp", "show", "--csv", cwd=small_repo)
    run("git", "checkout", "-q", "HEAD~", cwd=small_repo)
    dvc("repro")
