"""Files that nothing versions, and settings of DVC that lose data."""

import os
import shlex
import sys
from pathlib import Path

import pytest
from dvc.repo import Repo
from helpers import run, stars
from small import diagnose, dvc, follow

from benchmarks.workspace import commit
from yelp_stars.commands.doctor import tracking


@pytest.mark.parametrize(
    ("folder", "name"),
    [("data/external", "new reviews.csv"), ("models/external", "tiny/config.json")],
)
def test_a_file_that_nothing_tracks_is_tracked_after_the_advice(small_repo, capsys, folder, name):
    path = Path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    (line,) = diagnose(capsys)
    top = Path(folder, name.split("/")[0])
    assert line.startswith(f"neither git nor DVC tracks '{top}'")
    follow(line)
    assert diagnose(capsys) == []
    assert Path(f"{top}.dvc").is_file()


def test_of_a_folder_that_git_tracks_in_part_the_other_files_are_named(small_repo, capsys):
    for name in ("a.json", "b.json"):
        Path("models/external/tiny").mkdir(parents=True, exist_ok=True)
        Path("models/external/tiny", name).write_text("{}")
    run("git", "add", "-f", "models/external/tiny/a.json", cwd=small_repo)
    (line,) = diagnose(capsys)
    assert line.startswith("neither git nor DVC tracks 'models/external/tiny/b.json'")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_repository_that_git_refuses_to_read_is_fixed(small_repo, monkeypatch, capsys):
    """As a project that is mounted into a container, where its owner has another number."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(small_repo.parent / "gitconfig"))
    run("chown", "-R", "1234", ".", cwd=small_repo)
    (line,) = diagnose(capsys)
    assert line.startswith("git cannot read this project: git rev-parse --git-dir failed: fatal: ")
    command = line.partition("call: ")[2]
    assert command.startswith("git config --global --add safe.directory ")
    assert "fatal: detected dubious ownership" in str(stars("compare", "HEAD", "workspace"))
    run(*shlex.split(command), cwd=small_repo)
    # libgit2, which DVC reads with, takes this setting only from the home folder.
    (line,) = diagnose(capsys)
    assert "is not owned by current user; run `git config --file ~/.gitconfig --add safe" in line
    for command in (["compare", "HEAD", "workspace"], ["release", "v1.0.0"]):
        assert "is not owned by current user; run `git" in str(stars(*command))
    monkeypatch.setenv("HOME", str(small_repo.parent))
    follow(line)
    doctor = (sys.executable, "-m", "yelp_stars.cli", "doctor")  # libgit2 reads HOME once
    assert run(*doctor, cwd=small_repo) == "no problems found\n"


def test_a_cache_outside_of_the_project_is_a_note(small_repo, tmp_path, capsys):
    dvc("cache", "dir", "--local", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (small_repo / ".dvc" / "cache" / "files").rename(tmp_path / "cache" / "files")
    (line,) = diagnose(capsys)
    assert line.startswith(f"note: the cache '{str(tmp_path)[:50]}")
    assert line.endswith("unless `--projects` names them")


def test_a_remote_that_is_not_committed_or_is_a_relative_path_is_named(small_repo):
    dvc("remote", "add", "-d", "store", "../the store")
    remotes = Repo().config.load_one("repo")["remote"]
    not_committed, relative = tracking.check_remotes(remotes)
    assert not_committed.endswith("run `git commit -m remote .dvc/config`")
    path = shlex.quote(str(small_repo.parent / "the store"))
    assert relative.endswith(f"run `dvc remote modify store url {path}`, and commit")
    commit(small_repo, "a remote")
    assert list(tracking.check_remotes(remotes)) == [relative]
