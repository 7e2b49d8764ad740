"""Experiments of a command: found by name, alike whatever happens to the workspace meanwhile."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import DEADLINE, KILLS, ROOT, dvc_in, edit, run, soak, stars

from benchmarks.workspace import commit
from yelp_stars.commands.runs import experiments
from yelp_stars.pipeline.errors import Damaged, UserError
from yelp_stars.pipeline.yaml_file import read_yaml

pytestmark = pytest.mark.slow


def start_seeds(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "yelp_stars.cli", "seeds", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True)


def wait_for(condition):
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def listed(folder: Path) -> list[str]:
    """The names of the experiments."""
    names = run("git", "for-each-ref", "--format=%(refname)", "refs/exps/??/*/*", cwd=folder)
    return [name.rpartition("/")[2] for name in names.splitlines()]


@pytest.fixture
def failing_hooks(toy_project, tmp_path, monkeypatch):
    """Hooks of the user's, for all repositories, which fail in any of them."""
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("pre-commit", "post-checkout", "post-commit", "commit-msg"):
        (hooks / name).write_text("#!/bin/sh\nexit 1\n")
        (hooks / name).chmod(0o755)
    (tmp_path / "gitconfig").write_text(f"[core]\nhooksPath = {hooks}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))


@pytest.mark.usefixtures("failing_hooks")
def test_an_experiment_runs_once_and_leaves_the_workspace_alone(toy_project, capfd):
    edit(toy_project, "train", weight_decay=0.02)  # not committed
    before = (toy_project / "params.yaml").read_text()
    snapshot = experiments.take_snapshot()
    edit(toy_project, "train", weight_decay=0.5)  # too late for this command
    name = experiments.run(snapshot, "try", {"train.learning_rate": 3e-5, "train.seed": 7})
    assert name.startswith("try-")
    assert name.endswith("-7")
    assert (toy_project / "params.yaml").read_text() == before.replace("0.02", "0.5")
    assert run("git", "status", "--porcelain", cwd=toy_project) == " M params.yaml\n"
    assert run("git", "stash", "list", cwd=toy_project) == ""
    assert run("git", "branch", "--show-current", cwd=toy_project) == "main\n"
    assert not experiments.CLONE.exists()
    params = run("git", "show", f"{experiments.find(name)}:params.yaml", cwd=toy_project)
    (toy_project / "theirs.yaml").write_text(params)
    train = read_yaml(toy_project / "theirs.yaml")["train"]
    assert (train["weight_decay"], train["learning_rate"], train["seed"]) == (0.02, 3e-5, 7)
    accuracy, rows = experiments.read_score(name)
    assert rows == 500
    assert accuracy > 0.8
    capfd.readouterr()
    assert experiments.run(snapshot, "try", {"train.learning_rate": 3e-5, "train.seed": 7}) == name
    assert capfd.readouterr().out == ""
    assert listed(toy_project) == [name]
    dvc_in(toy_project, "exp", "apply", name)
    assert (toy_project / "data" / "predictions" / "test.parquet").is_file()


def test_a_damaged_score_of_an_experiment_is_one_line(toy_project):
    path = toy_project / "metrics" / "validation.json"
    for content in ("<<<<<<< HEAD", "[]", '{"accuracy": null, "n": 5}'):
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        run("git", "add", "-f", str(path), cwd=toy_project)
        commit(toy_project, content)
        run("git", "update-ref", "refs/exps/ab/cdef/try-1-42", "HEAD", cwd=toy_project)
        with pytest.raises(Damaged, match="try-1-42:metrics") as caught:
            experiments.read_score("try-1-42")
        assert caught.value.advice.startswith("run `dvc exp remove try-1-42`")


def test_a_name_is_that_of_parameters_and_code_and_ends_in_the_seed(toy_project):
    def name(**overrides):
        return experiments.name_of(experiments.take_snapshot(), "a", overrides)

    first = name()
    assert first == name(**{"train.seed": 42})
    assert first.rpartition("-")[0] == name(**{"train.seed": 1}).rpartition("-")[0]
    others = {first, name(**{"train.learning_rate": 1e-3}), name(**{"sample.train_size": 9})}
    (toy_project / "README").write_text("of no stage")
    run("git", "add", "-A", cwd=toy_project)
    assert name() == first
    with (toy_project / "toy.py").open("a") as script:
        script.write("# a comment\n")
    assert name() not in others
    assert len(others) == 3


def test_what_cannot_run_is_one_line_before_anything_runs(toy_project):
    refused = {
        "train.rate=1": "'train.rate' is not in params.yaml; run `stars params`",
        "train": "'train' does not have the form section.key=value",
        "train.learning_rate=x": (
            "params.yaml: train.learning_rate is 'x': should be a valid number"
        ),
        "train.padding='${x}'": "'train.padding' cannot be set to '${x}' here",
        "train.seed=[": "the value of 'train.seed=[' is not valid YAML",
        ".=1": "'.' is not in params.yaml; run `stars params`",
        "x" * 300 + "=1": f"'{'x' * 79}… is not in params.yaml; run `stars params`",
        "train.seed=\udcff": "the value of 'train.seed=\\udcff' is not valid YAML",
    }
    for setting, message in refused.items():
        assert stars("seeds", "2", "-S", setting) == f"error: {message}"
    assert listed(toy_project) == []


def test_an_experiment_that_fails_leaves_nothing_and_says_so(toy_project, capfd):
    message = stars("seeds", "2", "-S", "train.learning_rate=0.7")
    assert message.startswith("error: the experiment seeds-")
    assert "the loss is not finite" in "".join(capfd.readouterr())
    assert listed(toy_project) == []
    assert not experiments.CLONE.exists()


def test_without_a_commit_the_message_brings_one(toy_project):
    shutil.rmtree(toy_project / ".git")
    run("git", "init", "-q", cwd=toy_project)
    with pytest.raises(UserError, match="git add -A && git commit -m start"):
        experiments.take_snapshot()
    run("git", "add", "-A", cwd=toy_project)
    run("git", "commit", "-qm", "start", cwd=toy_project)
    assert experiments.take_snapshot().head


@soak
def test_a_killed_command_is_resumed_and_an_orphaned_run_is_waited_for(toy_project, capfd):
    script = (toy_project / "toy.py").read_text()
    (toy_project / "toy.py").write_text(f"import time; time.sleep(30)\n{script}")
    with start_seeds(toy_project) as first:
        wait_for(lambda: list(experiments.CLONE.glob(".dvc/tmp/rwlock")))
        time.sleep(1)
        first.kill()  # alone: DVC does not notice
    message = "error: an experiment of another `stars` command is running here; wait until it ends"
    assert stars("seeds", "2") == message
    os.killpg(first.pid, signal.SIGKILL)
    assert listed(toy_project) == []
    (toy_project / "toy.py").write_text(script)
    name = experiments.run(experiments.take_snapshot(), "seeds", {})
    assert listed(toy_project) == [name]
    assert run("git", "status", "--porcelain", cwd=toy_project) == ""


@soak
def test_a_command_killed_at_any_moment_loses_nothing(toy_project):
    edit(toy_project, "train", weight_decay=0.02)  # not committed
    before = (toy_project / "params.yaml").read_text()
    for kill in range(KILLS):
        with start_seeds(toy_project) as started:
            time.sleep(0.2 + 3 * kill / KILLS)
            os.killpg(started.pid, signal.SIGKILL)
        assert (toy_project / "params.yaml").read_text() == before
        assert run("git", "status", "--porcelain", cwd=toy_project) == " M params.yaml\n"
        assert run("git", "stash", "list", cwd=toy_project) == ""
        assert run("git", "branch", "--show-current", cwd=toy_project) == "main\n"
    assert stars("seeds", "2") == 0
    assert len(listed(toy_project)) == 2


@soak
def test_a_shallow_clone_and_a_project_in_a_subfolder_run_experiments(toy_project, tmp_path):
    outer = tmp_path / "monorepo"
    inner = outer / "stars project"
    shutil.copytree(toy_project, inner, ignore=shutil.ignore_patterns(".git"))
    run("git", "init", "-q", "-b", "main", cwd=outer)
    for message in ("first", "second"):
        (outer / "file").write_text(message)
        run("git", "add", "-A", cwd=outer)
        run("git", "commit", "-qm", message, cwd=outer)
    run("git", "clone", "-q", "--depth", "1", f"file://{outer}", "shallow", cwd=tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path / "shallow" / "stars project")
        name = experiments.run(experiments.take_snapshot(), "a", {})
        assert experiments.read_score(name)[0] > 0.5


@soak
def test_a_killed_training_of_the_real_pipeline_resumes_from_its_checkpoint(repo):
    run("dvc", "add", "models/external/tiny", cwd=repo)
    edit(repo, "train", num_train_epochs=50, save_steps=5)
    commit(repo, "a longer training")
    with start_seeds(repo) as started:
        checkpoints = repo / "models" / "checkpoints"
        # Each is complete when the next one begins.
        wait_for(lambda: len(list(checkpoints.glob("*/checkpoint-*"))) > 1)
        os.killpg(started.pid, signal.SIGKILL)
    shown = run("stars", "seeds", "2", cwd=repo)
    assert "resuming from models/checkpoints/" in shown
    assert "2 runs that differ only in train.seed: seeds-" in shown
    assert list(checkpoints.iterdir()) == []
    assert run("git", "status", "--porcelain", cwd=repo) == ""
