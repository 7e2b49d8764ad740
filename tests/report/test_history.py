"""What tells a report from others, by git and DVC's cache; without them there is a report, too."""

import shutil
from pathlib import Path

import pytest
from helpers import run
from runs import add_run, new_repo, predicted

from benchmarks.workspace import commit
from yelp_stars.report import history

PREDICTIONS = Path("data", "predictions", "test.parquet")


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A repository with two runs, the working folder; the second predicts better."""
    repo = new_repo(tmp_path / "project")
    add_run(repo, "first", predicted(0.5))
    add_run(repo, "second", predicted(2.0))
    monkeypatch.chdir(repo)
    return repo


def read() -> tuple[str, str]:
    return history.read(PREDICTIONS, predicted(2.0))


def test_a_run_is_compared_with_the_last_one_that_predicts_differently(runs):
    before = run("git", "rev-parse", "first", cwd=runs)[:7]
    head, earlier = read()
    assert head == run("git", "rev-parse", "HEAD", cwd=runs)[:7]
    assert earlier.startswith(f"Beside the run of commit {before} (")
    assert ": this one is better than that run by " in earlier
    assert earlier.endswith(" on 400 rows.")
    # Before it is committed, and after commits that change no prediction.
    run("git", "reset", "-q", "--soft", "first", cwd=runs)
    assert read()[1] == earlier
    run("git", "reset", "-q", "--hard", "second", cwd=runs)
    for _ in range(2):
        (runs / "message.txt").write_text("another\n" + (runs / "message.txt").read_text())
        commit(runs)
    assert read()[1] == earlier


def test_a_run_without_another_at_hand_is_compared_with_none(runs):
    shutil.rmtree(runs / ".dvc" / "cache")
    assert read()[1] == ""
    assert read()[0]


@pytest.mark.parametrize(
    "other",
    [predicted(2.0, seed=1), predicted(2.0, rows=300), predicted(1.0, names=("a", "b", "c"))],
)
def test_runs_on_other_rows_or_labels_are_not_compared(tmp_path, monkeypatch, other):
    repo = new_repo(tmp_path / "project")
    add_run(repo, "first", other)
    add_run(repo, "second", predicted(2.0))
    monkeypatch.chdir(repo)
    assert read()[1] == ""


def test_a_clone_without_the_files_of_earlier_commits_is_compared_with_none(
    runs, tmp_path, monkeypatch
):
    run("git", "config", "uploadpack.allowFilter", "true", cwd=runs)
    run("git", "clone", "-q", "--filter=blob:none", runs.as_uri(), tmp_path / "clone", cwd=tmp_path)
    (tmp_path / "clone" / "data").symlink_to(runs / "data")
    monkeypatch.chdir(tmp_path / "clone")
    head = run("git", "rev-parse", "HEAD", cwd=runs)[:7]
    assert read() == (head, "")


def test_a_damaged_file_in_the_cache_stops_no_report(runs):
    for file in (runs / ".dvc" / "cache" / "files").rglob("*"):
        if file.is_file():
            file.write_bytes(b"not Parquet")
    assert read()[1] == ""


def test_versions_and_changed_files_are_named(runs):
    run("git", "tag", "yelp-stars@v1.2.0", "first", cwd=runs)
    run("git", "tag", "other@v3.0.0", cwd=runs)
    (runs / "params.yaml").write_text("train: {}\n")
    (runs / "message.txt").write_text("another\n")
    head = run("git", "rev-parse", "HEAD", cwd=runs)[:7]
    changes = ", with changes to 'params.yaml'"
    assert read()[0] == f"yelp-stars@v1.2.0-1-g{head}{changes}"
    run("git", "tag", "yelp-stars@v1.3.0", cwd=runs)
    assert read()[0] == f"yelp-stars@v1.3.0-0-g{head}{changes}"


def test_a_project_in_a_folder_of_a_larger_repository_has_a_history(tmp_path, monkeypatch):
    (tmp_path / "larger").mkdir()
    run("git", "init", "-q", cwd=tmp_path / "larger")
    repo = new_repo(tmp_path / "larger" / "project")
    for tag, gain in (("first", 0.5), ("second", 2.0)):
        add_run(repo, tag, predicted(gain))
    shutil.rmtree(repo / ".git")
    run("git", "add", "-A", ".", cwd=repo)
    commit(tmp_path / "larger")
    (repo / "params.yaml").write_text("train: {}\n")
    (tmp_path / "larger" / "params.yaml").write_text("")
    monkeypatch.chdir(repo)
    assert read()[0].endswith(", with changes to 'params.yaml'")


def test_without_git_or_a_headthere_is_no_history(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read() == ("", "")
    run("git", "init", "-q", cwd=tmp_path)
    assert read() == ("", "")
