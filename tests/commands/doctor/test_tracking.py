"""Files that nothing versions, and settings of DVC that lose data."""

import os
import shlex
import sys
from pathlib import Path

import pytest
from helpers import run, stars
from small import MODEL, add_remote, diagnose, dvc, follow, objects

from benchmarks.workspace import commit
from yelp_stars.commands.doctor import tracking


@pytest.mark.parametrize("folder", ["data/external", "models/external"])
@pytest.mark.parametrize("name", ["new reviews.csv", "tiny/config.json"])
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


def test_a_remote_that_is_not_committed_is_named_and_an_experiment_then_pushed(
    small_repo, tmp_path, capsys
):
    run("git", "init", "-q", "--bare", str(tmp_path / "git"), cwd=small_repo)
    run("git", "remote", "add", "origin", str(tmp_path / "git"), cwd=small_repo)
    dvc("exp", "run", "-n", "before", "-S", "fit.rate=0.5")
    run("git", "checkout", "dvc.lock", "params.yaml", cwd=small_repo)
    dvc("checkout")
    dvc("remote", "add", "-d", "store", str(tmp_path / "store"))
    (line,) = diagnose(capsys)
    assert line.startswith("the remote 'store' is in .dvc/config, but not in the last commit")
    dvc("exp", "push", "origin", "before")  # exit code 0, and no file
    assert objects(tmp_path / "store") == {}
    # What docs/remotes.md says of such an experiment.
    run("git", "checkout", ".dvc/config", cwd=small_repo)
    dvc("remote", "add", "--local", "-d", "store", str(tmp_path / "store"))
    dvc("exp", "remove", "--git-remote", "origin", "before")
    dvc("exp", "push", "origin", "before")
    assert len(objects(tmp_path / "store")) > 0
    Path(".dvc", "config.local").unlink()
    dvc("remote", "add", "-d", "store", str(tmp_path / "store"))
    follow(line)
    assert diagnose(capsys) == []
    dvc("exp", "run", "-n", "after", "-S", "fit.rate=0.6", "-S", "prepare.n=3")
    content = MODEL.read_bytes()
    dvc("exp", "push", "origin", "after")
    assert content in [path.read_bytes() for path in objects(tmp_path / "store").values()]


@pytest.mark.thorough
def test_a_commit_of_a_remote_passes_the_hook_that_calls_doctor(small_repo, tmp_path, capsys):
    hook = small_repo / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    run("git", "config", "core.hooksPath", str(hook.parent), cwd=small_repo)
    hook.write_text(f"#!/bin/sh\nexec {sys.executable} -m yelp_stars.cli doctor\n")
    hook.chmod(0o755)
    dvc("remote", "add", "-d", "store", str(tmp_path / "store"))
    (line,) = diagnose(capsys)
    follow(line)
    assert diagnose(capsys) == []
    dvc("remote", "add", "other", "/elsewhere")
    Path("README").write_text("unrelated")
    run("git", "add", "README", cwd=small_repo)
    assert "'other' is in .dvc/config" in run("git", "commit", "-m", "x", cwd=small_repo, ok=False)


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
    assert list(tracking.check_git()) == []


def test_a_relative_remote_is_made_absolute(small_repo, tmp_path, capsys):
    add_remote(small_repo, "../the store")
    (line,) = diagnose(capsys)
    assert line.startswith("the remote 'store' is a relative path, which `dvc exp push` and")
    follow(line)
    commit(small_repo, "absolute")
    assert diagnose(capsys) == []
    dvc("push", "--all-commits")
    assert objects(tmp_path / "the store").keys() == objects(Path(".dvc", "cache")).keys()


def test_a_cache_outside_of_the_project_is_a_note(small_repo, tmp_path, capsys):
    dvc("cache", "dir", "--local", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (small_repo / ".dvc" / "cache" / "files").rename(tmp_path / "cache" / "files")
    (line,) = diagnose(capsys)
    assert line.startswith(f"note: the cache '{str(tmp_path)[:50]}")
    assert line.endswith("unless `--projects` names them")
