"""Two people, two clones, a git server and a DVC remote: docs/team.md as they follow it."""

import shutil

import pytest
from helpers import documented, dvc_in, edit, follow, ran, run, would_run

from benchmarks.workspace import ROOT, commit
from yelp_stars.pipeline.yaml_file import read_yaml

pytestmark = pytest.mark.thorough

TAKEN = ("dvc.lock", "params.yaml", "metrics", "plots")


@pytest.fixture(scope="module")
def mine(finished_repo, tmp_path_factory):
    """A clone on `main` with a run; the server has `other`, another run, from another clone."""
    folder = tmp_path_factory.mktemp("team")
    origin = folder / "origin"
    shutil.copytree(finished_repo, origin, symlinks=True)
    dvc_in(origin, "remote", "add", "-d", "store", str(folder / "store"))
    dvc_in(origin, "add", "models/external/tiny")
    dvc_in(origin, "repro")
    dvc_in(origin, "push")
    commit(origin, "a remote")
    run("git", "switch", "-qc", "elsewhere", cwd=origin)  # nobody works in the server's folder

    clone, on_a_branch, daily = documented("team.md", "A day")
    on_a_branch = on_a_branch.replace("train.learning_rate=5e-5", "audit.similarity=0.4")  # quicker
    clone = clone.replace("URL project", f"{origin} theirs").replace("cd project", "cd theirs")
    clone = clone.replace("make setup && source .venv/bin/activate", "git switch -q main")
    assert ran(follow(clone, folder)) == []
    assert ran(follow(on_a_branch, folder / "theirs")) == ["audit", "report"]

    run("git", "clone", "-q", "-b", "main", str(origin), "mine", cwd=folder)
    follow(daily, folder / "mine")
    edit(folder / "mine", "audit", seed=1)
    assert ran(dvc_in(folder / "mine", "repro")) == ["audit", "report"]
    commit(folder / "mine", "Another seed of the audit")
    run("git", "branch", "other", "origin/other", cwd=folder / "mine")
    return folder / "mine"


@pytest.fixture
def merging(mine, tmp_path):
    """A copy of that clone in which `git merge other` has stopped."""
    shutil.copytree(mine, tmp_path / "clone", symlinks=True)
    output = run(
        "bash", "-c", documented("team.md", "Merging")[0], cwd=tmp_path / "clone", ok=False
    )
    assert "CONFLICT (content): Merge conflict in dvc.lock" in output
    return tmp_path / "clone"


def test_every_metric_and_plot_in_git_is_merged_as_a_unit():
    files = run("git", "ls-files", "dvc.lock", "metrics", "plots", cwd=ROOT).splitlines()
    lines = run("git", "check-attr", "merge", "--", *files, cwd=ROOT).splitlines()
    assert lines == [f"{name}: merge: unset" for name in files]


@pytest.mark.parametrize("side", ["other", "HEAD"])
def test_taking_all_files_of_one_side_runs_nothing(merging, side):
    take = documented("team.md", "Merging")[1]
    follow(take.replace("--source=other", f"--source={side}"), merging)
    assert would_run(merging) == set()
    assert ran(dvc_in(merging, "repro")) == []
    assert run("git", "status", "--porcelain", cwd=merging) == ""
    taken = {"other": "HEAD^2", "HEAD": "HEAD^1"}[side]
    assert run("git", "diff", "--stat", taken, "HEAD", "--", *TAKEN, cwd=merging) == ""


def test_both_changes_are_kept_by_running_what_neither_side_has_run(merging):
    assert "<<<<<<<" in (merging / "params.yaml").read_text()
    run("git", "checkout", "--ours", "params.yaml", cwd=merging)
    edit(merging, "audit", similarity=0.4)
    assert ran(follow(documented("team.md", "Merging")[2], merging)) == ["audit", "report"]
    assert read_yaml(merging / "dvc.lock")["stages"]["audit"]["params"] == {
        "params.yaml": {"audit": {**read_yaml(merging / "params.yaml")["audit"], "seed": 1}}
    }
    assert run("git", "status", "--porcelain", cwd=merging) == ""
    assert would_run(merging) == set()
