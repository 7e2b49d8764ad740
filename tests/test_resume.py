"""A training that was killed resumes, and ends as one that was not."""

import contextlib
import os
import pickle
import random
import re
import shutil
import time
from pathlib import Path

import pytest
from helpers import (
    DEADLINE,
    KILLS,
    TRAIN_OUTS,
    edit,
    finish,
    made_once,
    soak,
    start_training,
    train,
    train_in_process,
    training_result,
    wait_for_step,
)

from yelp_stars.training.checkpoints import write_manifest

STEPS = 5 * 12  # 60 rows three times an epoch, batches of 16, 5 epochs
TORCHRUN = ("torchrun", "--standalone", "--nproc-per-node", "2", "-m")

pytestmark = pytest.mark.slow


def lengthen(project: Path) -> None:
    """Set up a training of 60 steps, saved every 7th, with all that is random in it."""
    values = {"num_train_epochs": 5, "min_steps": STEPS, "logging_steps": 4, "save_steps": 7}
    values |= {"head": "fitted", "class_weights": "balanced", "attention_dropout": 0.1}
    edit(project, "train", **values, intermediate_size=20)


@pytest.fixture
def resumable_project(train_project: Path) -> Path:
    lengthen(train_project)
    return train_project


@pytest.fixture(scope="session")
def expected(sampled_project: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The result of a training that nobody stops."""

    def make(project: Path) -> None:
        shutil.copytree(sampled_project, project)
        lengthen(project)
        with contextlib.chdir(project):
            train(project)
        assert not (project / "models" / "checkpoints").exists()

    return training_result(made_once(tmp_path_factory, "uninterrupted", make))


@pytest.fixture(scope="session")
def interrupted(sampled_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose training was stopped by SIGTERM after two saves; `output.txt` is its output.

    Copy it before you change it.
    """

    def make(project: Path) -> None:
        shutil.copytree(sampled_project, project)
        lengthen(project)
        with start_training(project) as stage:
            wait_for_step(project, stage, 16)
            stage.terminate()
            output = finish(stage)
        assert stage.returncode == 1, output
        (project / "output.txt").write_text(output)

    return made_once(tmp_path_factory, "interrupted", make)


@pytest.fixture
def interrupted_project(interrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, to change at will: the working folder."""
    shutil.copytree(interrupted, tmp_path / "interrupted")
    monkeypatch.chdir(tmp_path / "interrupted")
    return tmp_path / "interrupted"


def checkpoints(project: Path) -> list[Path]:
    """The checkpoints of all runs, by their step."""
    found = project.glob("models/checkpoints/*/checkpoint-*")
    return sorted(found, key=lambda path: int(path.name.split("-")[1]))


@pytest.mark.thorough
@pytest.mark.timeout((KILLS + 2) * DEADLINE)
def test_a_training_killed_at_random_steps_ends_as_an_uninterrupted_one(
    resumable_project, expected
):
    steps = random.Random(time.time())
    done, killed = 0, []
    for _ in range(KILLS):
        with start_training(resumable_project) as stage:
            # From where it resumes (the last save), or soon after, to some steps before the end.
            killed.append(steps.randint(done, max(done, STEPS - 8)))
            wait_for_step(resumable_project, stage, killed[-1])
            stage.kill()
            stage.wait(DEADLINE)
        complete = [path.parent.name for path in resumable_project.rglob("complete.json")]
        done = max((int(name.split("-")[1]) for name in complete), default=0)
        if done > STEPS // 2:  # begin another run: there must be something left to kill
            train(resumable_project)
            assert training_result(resumable_project) == expected, killed
            done = 0
    train(resumable_project)
    assert training_result(resumable_project) == expected, killed
    assert not (resumable_project / "models" / "checkpoints").exists()


def test_sigterm_saves_at_once_and_a_truncated_checkpoint_is_skipped(
    interrupted_project, expected, capsys
):
    output = Path("output.txt").read_text()
    assert re.search(r"^error: stopped by SIGTERM after step", output, re.M)  # below the bar
    assert "run `dvc repro` to resume" in output
    assert not [out for out in TRAIN_OUTS if Path(out).exists()]
    assert not list(interrupted_project.rglob("*.partial"))
    by_age = checkpoints(Path())
    assert len(by_age) == 3
    assert f"after step {by_age[-1].name.split('-')[1]} of 60, which is saved" in output
    weights = by_age[-1] / "model.safetensors"
    os.truncate(weights, weights.stat().st_size // 2)
    train(interrupted_project)
    output = capsys.readouterr().out
    assert f"{by_age[-1]} is damaged" in output
    assert f"resuming from {by_age[-2]}" in output
    assert training_result(interrupted_project) == expected


def test_another_run_never_resumes_from_it(interrupted_project, capsys):
    (kept,) = Path("models", "checkpoints").iterdir()
    train(interrupted_project, num_train_epochs=2, warmup_steps=0.2)
    assert "resuming" not in capsys.readouterr().out
    # The other run has deleted its own.
    assert [*Path("models", "checkpoints").iterdir()] == [kept]


@pytest.mark.thorough
def test_another_launcher_resumes_from_it(interrupted_project, expected, monkeypatch):
    (kept,) = Path("models", "checkpoints").iterdir()
    monkeypatch.setenv("STARS_LAUNCHER", "torchrun --nproc-per-node 1")
    assert f"resuming from {kept}" in train_in_process(interrupted_project)
    assert training_result(interrupted_project) == expected


PICKLED = ("optimizer.pt", "scheduler.pt", "rng_state.pth")  # which torch loads


@pytest.mark.parametrize("name", PICKLED)
def test_code_in_a_checkpoint_is_not_run(interrupted_project, name):
    for manifest in interrupted_project.rglob("complete.json"):
        (manifest.parent / name).write_bytes(pickle.dumps(Payload(Path("ran"))))
        write_manifest(manifest.parent)
    with pytest.raises(pickle.UnpicklingError):
        train(interrupted_project)
    assert not Path("ran").exists()


class Payload:
    """An object that makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@soak
def test_two_processes_stop_together_and_resume_as_two(resumable_project):
    edit(resumable_project, "train", logging_steps=3)
    train_in_process(resumable_project, *TORCHRUN)
    expected = training_result(resumable_project)
    with start_training(resumable_project, *TORCHRUN) as stage:
        # An epoch has 12 steps: this is in the middle of one.
        wait_for_step(resumable_project, stage, 18)
        stage.terminate()
        assert "which is saved" in finish(stage)
    assert "resuming from" in train_in_process(resumable_project, *TORCHRUN)
    assert training_result(resumable_project) == expected
