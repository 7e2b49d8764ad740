"""A training that was killed goes on, and ends as one that was not."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import edit, run
from test_train import OUTS, TRAIN

from stars import checkpoints

KILLS = int(os.environ.get("KILLS", "3"))  # make soak: 20
STEPS = 4 * 15  # 60 rows, batches of 16, 15 epochs


def start(project: Path, *launch: str) -> subprocess.Popen[str]:
    for out in OUTS:  # as DVC does
        path = project / out
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    command = [*(launch or (sys.executable, "-m")), *TRAIN[2:], *OUTS]
    return subprocess.Popen(
        command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def at_step(project: Path, stage: subprocess.Popen[str], step: int) -> None:
    """Wait until the training has done so many steps."""
    live = project / "logs" / "training" / "metrics.json"
    while True:
        assert stage.poll() is None, stage.communicate()[0]
        try:
            if json.loads(live.read_text())["step"] >= step:
                return
        except (FileNotFoundError, ValueError):
            pass
        time.sleep(0.002)


def result(project: Path) -> dict[str, bytes]:
    """The weights, the curves, the scores: what must not depend on how often one was stopped."""
    files = [*(project / "ft").iterdir(), *(project / "plots" / "training").iterdir()]
    return {file.name: file.read_bytes() for file in [*files, project / "validation.json"]}


def make_long(project: Path) -> None:
    """A training of 60 steps, saved every 7th, with all that is random in it."""
    values = {"num_train_epochs": 15, "logging_steps": 4, "save_steps": 7}
    edit(project, "train", **values, attention_dropout=0.1, intermediate_reviews=20)


@pytest.fixture
def long(small) -> Path:
    make_long(small)
    return small


def uninterrupted(project: Path, *launch: str) -> dict[str, bytes]:
    stage = start(project, *launch)
    said, _ = stage.communicate()
    assert stage.returncode == 0, said
    assert "going on" not in said
    assert not (project / "checkpoints").exists()
    return result(project)


@pytest.fixture(scope="module")
def expected(sampled, tmp_path_factory) -> dict[str, bytes]:
    """What a training gives that nobody stops."""
    project = tmp_path_factory.mktemp("uninterrupted") / "project"
    shutil.copytree(sampled, project)
    make_long(project)
    return uninterrupted(project)


def test_a_training_killed_at_random_steps_ends_as_if_it_had_not_been(long, expected):
    steps = random.Random(time.time())
    done, killed = 0, []
    for _ in range(KILLS):
        stage = start(long)
        # From where it goes on (the last save), or soon after, to some steps before the end.
        killed.append(steps.randint(done, max(done, STEPS - 8)))
        at_step(long, stage, killed[-1])
        stage.kill()
        stage.wait()
        whole = [int(seal.parent.name.split("-")[1]) for seal in long.rglob("complete.json")]
        done = max(whole, default=0)
        if done > STEPS // 2:  # begin another run: there must be something left to kill
            last = start(long)
            assert last.wait() == 0, last.communicate()[0]
            assert result(long) == expected, killed
            done = 0
    said = run(sys.executable, *TRAIN[1:], *OUTS, cwd=long)
    assert result(long) == expected, (killed, said)
    assert not (long / "checkpoints").exists()


def test_sigterm_saves_at_once_and_a_truncated_checkpoint_is_passed_over(long, expected):
    stage = start(long)
    at_step(long, stage, 16)
    stage.terminate()
    said, _ = stage.communicate()
    assert stage.returncode == 1, said
    assert "error: stopped by SIGTERM after step" in said
    assert "type `dvc repro` to go on from there" in said
    assert not [out for out in OUTS if (long / out).exists()]
    assert not list(long.rglob("*.partial"))
    by_age = sorted(long.glob("checkpoints/*/checkpoint-*"), key=lambda p: int(p.name[11:]))
    assert len(by_age) == 2
    assert f"after step {by_age[-1].name[11:]} of 60" in said
    weights = by_age[-1] / "model.safetensors"
    os.truncate(weights, weights.stat().st_size // 2)
    said = run(sys.executable, *TRAIN[1:], *OUTS, cwd=long)
    assert f"{by_age[-1].relative_to(long)} is damaged" in said
    assert f"going on from {by_age[0].relative_to(long)}" in said
    assert result(long) == expected


def test_another_run_never_goes_on_from_it(long):
    stage = start(long)
    at_step(long, stage, 9)
    stage.send_signal(signal.SIGINT)
    assert "stopped by SIGINT" in stage.communicate()[0]
    (kept,) = (long / "checkpoints").iterdir()
    edit(long, "train", num_train_epochs=2, warmup_steps=0.2)
    assert "going on" not in run(sys.executable, *TRAIN[1:], *OUTS, cwd=long)
    assert [*(long / "checkpoints").iterdir()] == [kept]  # the other run cleaned up its own


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="Linux alone can do that")
@pytest.mark.parametrize(
    ("larger_than", "by"),
    [
        ("model.safetensors", -1),  # full while the weights are written
        ("model.safetensors", 1000),  # in the midst of the optimizer's state, which is larger
        ("optimizer.pt", -1),  # when its file is closed
    ],
)
def test_a_full_disk_is_told_and_the_next_run_goes_on(long, expected, larger_than, by):
    stage = start(long)
    at_step(long, stage, 8)
    (file,) = long.glob(f"checkpoints/*/checkpoint-7/{larger_than}")
    limit = file.stat().st_size + by
    resource.prlimit(stage.pid, resource.RLIMIT_FSIZE, (limit, limit))
    said, _ = stage.communicate()
    assert stage.returncode == 1, said
    assert "Traceback" not in said
    assert "free some space" in said
    assert {seal.parent.name for seal in long.rglob("complete.json")} == {
        path.name for path in long.glob("checkpoints/*/checkpoint-*")
    }
    said = run(sys.executable, *TRAIN[1:], *OUTS, cwd=long)
    assert "going on from" in said
    assert result(long) == expected


@pytest.mark.skipif(KILLS < 20, reason="a minute: make soak")
def test_two_processes_stop_together_and_go_on_as_two(long):
    torchrun = ("torchrun", "--standalone", "--nproc-per-node", "2", "-m")
    edit(long, "train", per_device_train_batch_size=8, logging_steps=3)
    expected = uninterrupted(long, *torchrun)
    stage = start(long, *torchrun)
    at_step(long, stage, 18)  # an epoch has 4 steps: this is in the middle of one
    stage.terminate()
    said, _ = stage.communicate()
    assert "which is saved" in said
    said = run(*torchrun, *TRAIN[2:], *OUTS, cwd=long)
    assert "going on from" in said
    assert result(long) == expected


def test_the_newest_checkpoint_counts_that_is_whole_with_the_best_one(tmp_path):
    folder = tmp_path / "checkpoints"
    best = folder / "checkpoint-10"
    for step, best_so_far in ((5, None), (10, best), (20, best), (30, best)):
        checkpoint = folder / f"checkpoint-{step}"
        checkpoint.mkdir(parents=True)
        state = {"best_model_checkpoint": best_so_far and str(best_so_far)}
        (checkpoint / "trainer_state.json").write_text(json.dumps(state))
        (checkpoint / "model.safetensors").write_bytes(b"weights")
        if step < 30:  # the last one has not been finished
            checkpoints.seal(checkpoint)
    assert checkpoints.newest(folder) == (folder / "checkpoint-20", [folder / "checkpoint-30"])
    (best / "model.safetensors").write_bytes(b"wei")  # without it, the end would be another
    newest, damaged = checkpoints.newest(folder)
    assert newest == folder / "checkpoint-5"
    assert [path.name for path in damaged] == ["checkpoint-30", "checkpoint-20", "checkpoint-10"]
    assert checkpoints.newest(tmp_path / "nothing") == (None, [])


def test_a_training_of_other_data_or_code_has_another_name(small):
    from stages import train
    from stars.params import load_params

    def name() -> str:
        params = load_params(train.Params, "train")
        data = [small / name for name in ("corpus/sentences.tsv", "data/sample")]
        return train.run_key(params, "cpu", *data, small / "models" / "pretrained")

    names = [name()]
    edit(small, "train", seed=7)
    names.append(name())
    (small / "models" / "pretrained" / "config.json").write_text("{}")
    names.append(name())
    (small / "data" / "sample" / "train.arrow").unlink()
    (small / "data" / "sample" / "train.arrow").write_bytes(b"other")
    names.append(name())
    assert len(set(names)) == 4
    edit(small, "train", launch="torchrun")
    assert name() == names[-1]
