"""Two folders of one repository, a folder of a larger one, another system: docs/team.md."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from dvc.api import artifacts_show
from helpers import ROOT, documented, dvc_in, edit, follow, ran, run, soak, stars, would_run
from small import MODEL, diagnose, dvc, objects

from benchmarks.workspace import commit
from yelp_stars.classifier.classify import fingerprint
from yelp_stars.pipeline.yaml_file import read_yaml

pytestmark = pytest.mark.thorough

BRANCHES, MONOREPO = "Two branches side by side", "In a subfolder of a monorepo"


# --- Another system -------------------------------------------------------------------------------


def test_a_clone_of_git_for_windows_has_the_same_bytes(small_repo, tmp_path):
    """It is set up to turn line endings: each dep would look modified, and each stage run again."""
    Path("stages", "fit.py").write_bytes(b"import sys\n\n")
    Path("stages", "other.py").write_bytes(b"import sys\r\n\r\n")  # of an editor there
    commit(small_repo, "scripts")
    clone = ["git", "-c", "core.autocrlf=true", "clone", "-q", ".", str(tmp_path / "clone")]
    run(*clone, cwd=small_repo)
    for name in run("git", "ls-files", cwd=small_repo).splitlines():
        assert (tmp_path / "clone" / name).read_bytes() == (small_repo / name).read_bytes()
    assert run("git", "status", "--porcelain", cwd=tmp_path / "clone") == ""


# --- Two branches side by side --------------------------------------------------------------------


@pytest.fixture
def side(small_repo) -> Path:
    """The worktree of the guide, beside the working folder; the working folder."""
    output = follow(documented("team.md", BRANCHES)[0], small_repo)
    assert "\nData and pipelines are up to date.\n" in output
    return small_repo.parent / "side"


def is_linked(folder: Path) -> bool:
    """Whether the model in a folder is a file of the working folder's cache."""
    cached = objects(Path(".dvc", "cache")).values()
    return any(path.samefile(folder / MODEL) for path in cached)


def test_a_worktree_stores_nothing_twice_and_runs_nothing_that_ran(side, small_repo):
    assert is_linked(side)
    assert not (side / ".dvc" / "cache").exists()
    assert run("git", "status", "--porcelain", cwd=side) == ""
    edit(side, "prepare", n=2)
    dvc_in(side, "repro")
    commit(side, "another number")
    run("git", "merge", "-q", "side", cwd=small_repo)
    dvc("checkout")
    assert would_run(small_repo) == set()
    assert is_linked(side)
    assert is_linked(small_repo)


def test_what_the_other_folder_has_survives_the_documented_gc_and_no_simpler_one(
    side, small_repo, capsys, monkeypatch
):
    def is_kept() -> bool:
        return content in [path.read_bytes() for path in objects(small_repo / ".dvc").values()]

    edit(side, "prepare", n=2)
    dvc_in(side, "repro")
    content = (side / MODEL).read_bytes()
    assert is_kept()
    collect = documented("team.md", BRANCHES)[1].splitlines()[0].split()
    dvc(*collect[1:], "--force")
    assert is_kept()
    monkeypatch.chdir(side)
    assert diagnose(capsys)[0].startswith("note: the cache ")
    monkeypatch.chdir(small_repo)
    commit(side, "another number")
    without = collect[1 : collect.index("--projects")]
    dvc(*without, "--force")
    assert is_kept()
    dvc("gc", "--workspace", "--force")
    assert not is_kept()


def test_a_worktree_is_removed_and_its_branch_and_experiments_stay(side, small_repo):
    dvc_in(side, "exp", "run", "--name", "slow", "--set-param", "fit.rate=0.3")
    run("git", "commit", "-qam", "slow", cwd=side)
    content = (side / MODEL).read_bytes()
    follow(documented("team.md", BRANCHES)[1].splitlines()[1], small_repo)
    assert not side.exists()
    run("git", "switch", "-q", "side", cwd=small_repo)
    dvc("checkout")
    assert MODEL.read_bytes() == content
    assert "slow" in run("git", "for-each-ref", "refs/exps", cwd=small_repo)


def test_a_folder_runs_its_own_code_with_python_m(tmp_path):
    shutil.copytree(ROOT / "yelp_stars", tmp_path / "yelp_stars")
    cli = tmp_path / "yelp_stars" / "cli.py"
    cli.write_text(cli.read_text().replace("Inspect, compare and use", "Other words for"))
    assert "Other words" not in run("stars", "--help", cwd=tmp_path)
    assert "Other words" in run("python", "-m", "yelp_stars.cli", "--help", cwd=tmp_path)


@soak
def test_of_experiments_in_two_worktrees_at_once_a_temporary_one_is_safe(side, small_repo):
    for folder, seconds in ((small_repo, 8), (side, 4)):
        path = folder / "dvc.yaml"
        path.write_text(
            path.read_text().replace("mkdir -p models", f"sleep {seconds} && mkdir -p models")
        )
        commit(folder, "slow")
    command = ["dvc", "exp", "run", "--set-param", "fit.rate=0.5", "--name"]
    first = subprocess.Popen([*command, "first"], cwd=small_repo, stderr=subprocess.PIPE, text=True)
    time.sleep(3)
    run(*command, "second", "--temp", cwd=side)
    _, errors = first.communicate()
    found = run("git", "for-each-ref", "--format=%(refname)", "refs/exps/??/*/*", cwd=side)
    names = {name.rpartition("/")[2] for name in found.split()}
    assert (first.returncode, names) == (0, {"first", "second"}), errors


# --- A subfolder of a monorepo --------------------------------------------------------------------


@pytest.fixture
def mono(repo, tmp_path) -> Path:
    """A repository with the project in packages/stars, as the guide puts it there."""
    (repo / ".github" / "workflows").mkdir(parents=True)
    for name in (".github/workflows/ci.yml", ".pre-commit-config.yaml"):
        (repo / name).write_bytes((ROOT / name).read_bytes())
    commit(repo, "what GitHub and pre-commit read")
    folder = tmp_path / "mono"
    (folder / "packages").mkdir(parents=True)
    (folder / "packages" / "other.txt").write_text("Other projects lie here.\n")
    commit(folder)
    add = documented("team.md", MONOREPO)[0].replace("URL", f"file://{repo}")
    follow(add.replace("make repro", f"dvc cache dir --local {repo}/.dvc/cache"), folder)
    project = folder / "packages" / "stars"
    run("cp", "-r", f"{repo}/models/external/tiny", "models/external/tiny", cwd=project)
    run("git", "add", "--force", "models/external/tiny", cwd=project)
    dvc_in(project, "checkout")
    assert would_run(project) == set()
    return folder


@soak
def test_every_command_works_in_a_subfolder_of_a_monorepo(mono, tmp_path, monkeypatch, capsys):
    project = mono / "packages" / "stars"
    dvc_in(project, "remote", "add", "--default", "store", str(tmp_path / "store"))
    commit(mono, "a remote")
    run("git", "clone", "-q", "--bare", str(mono), str(tmp_path / "server"), cwd=tmp_path)
    run("git", "remote", "add", "origin", str(tmp_path / "server"), cwd=mono)
    (mono / "packages" / "other.txt").write_text("A change of somebody else.\n")
    commands = documented("team.md", MONOREPO)[1].replace("URL", str(mono))
    commands = commands.replace("train.learning_rate=2e-5", "audit.similarity=0.4")  # quicker
    *here, elsewhere = commands.splitlines(keepends=True)
    output = follow("".join(here), project)
    assert ran(output) == ["audit", "report"]
    assert "main and slow predict the same label for each of 30 rows" in output
    assert "no problems found" in output
    assert "git push origin packages/stars=yelp-stars@v1.0.0" in output
    assert run("git", "status", "--porcelain", cwd=mono) == " M packages/other.txt\n"
    pushed = run("git", "ls-remote", "--tags", "origin", cwd=mono)
    assert "refs/tags/packages/stars=yelp-stars#prod#1" in pushed
    dvc_in(project, "push")
    follow(elsewhere, tmp_path)
    assert fingerprint(tmp_path / "prod") == fingerprint(project / "models" / "finetuned")
    shown = artifacts_show("packages/stars:yelp-stars", version="v1.0.0", repo=str(mono))
    assert shown["path"] == "packages/stars/models/finetuned"
    monkeypatch.chdir(project)
    edit(project, "audit", similarity=0.5)
    assert "'packages/stars/params.yaml' is not committed" in stars("release", "v1.0.1")
    run("git", "restore", "params.yaml", cwd=project)
    scores = project / "metrics" / "test.json"
    scores.write_text(scores.read_text().replace('"n": 30', '"n": 31'))
    capsys.readouterr()
    dvc("metrics", "diff")
    assert re.search(r"metrics/test.json +n +30 +31 +1", capsys.readouterr().out)


def test_workflow_and_hooks_are_copied_to_the_root_of_a_monorepo(tmp_path):
    project = tmp_path / "packages" / "stars"
    for name in (".github/workflows/ci.yml", ".pre-commit-config.yaml"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_bytes((ROOT / name).read_bytes())
    follow(documented("team.md", MONOREPO)[2], project)
    ours = read_yaml(ROOT / ".github" / "workflows" / "ci.yml")
    copied = read_yaml(tmp_path / ".github" / "workflows" / "stars.yml")
    assert copied == {**ours, "defaults": {"run": {"working-directory": "packages/stars"}}}
    (project / ".venv" / "bin").mkdir(parents=True)
    (project / ".venv" / "bin" / "stars").write_text("#!/bin/sh\necho $1 in $PWD\n")
    (project / ".venv" / "bin" / "stars").chmod(0o755)
    commit(tmp_path)
    hook = ("pre-commit", "run", "--verbose", "--all-files", "doctor")
    checked = run(*hook, cwd=tmp_path, PRE_COMMIT_HOME=str(tmp_path / ".git" / "hooks-home"))
    assert f"doctor in {project.resolve()}\n" in checked


# --- Disk -----------------------------------------------------------------------------------------


def test_a_rerun_that_gives_the_same_bytes_is_stored_once_after_the_documented_command(small_repo):
    edit(small_repo, "fit", rate=0.2)
    dvc("repro")
    assert not is_linked(small_repo)
    assert "`dvc checkout --relink`" in (ROOT / "docs" / "team.md").read_text("utf-8")
    dvc("checkout", "--relink")
    assert is_linked(small_repo)
