"""The curves of a training: no times, no locations, no digits that differ between CPUs."""

import json
import re
import resource
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import DEADLINE, run
from transformers import TrainerControl, TrainerState, TrainingArguments

from benchmarks.workspace import commit
from yelp_stars.pipeline.errors import UserError
from yelp_stars.scoring.tracking import Tracker
from yelp_stars.training import curves

CONTROL = TrainerControl()
NOISY = 0.123456789


def evaluated(step: int, accuracy: float) -> dict:
    return {
        "step": step, "epoch": step / 10, "eval_loss": 1 + NOISY,
        "eval_accuracy": accuracy + NOISY / 1e6, "eval_accuracy_low": accuracy - NOISY,
        "eval_quadratic_kappa": None, "eval_runtime": 2.5, "eval_samples_per_second": 8.0,
    }  # fmt: skip


def test_the_plots_have_no_time_no_location_and_no_digit_that_depends_on_the_machine(tmp_path):
    state = TrainerState(
        global_step=30,
        total_flos=NOISY * 1e15,
        best_metric=0.7 + NOISY / 1e6,
        best_global_step=20,
        best_model_checkpoint="/home/me/models/checkpoints/0123/checkpoint-20",
        log_history=[
            {"step": 5, "loss": 1 + NOISY, "learning_rate": NOISY / 1e4, "grad_norm": NOISY * 1e3},
            evaluated(10, 0.6),
            {"step": 15, "loss": 1e-8 + NOISY / 1e9, "grad_norm": float("inf")},
            evaluated(20, 0.7),
            {"step": 20, "train_runtime": 9.0, "train_loss": NOISY, "train_steps_per_second": 3.0},
        ],
    )
    args = TrainingArguments(output_dir=str(tmp_path / "run"), use_cpu=True)
    plots = tmp_path / "plots"
    curves.write_plots(state, args, plots)
    tables = {path.name: path.read_text() for path in plots.glob("*.tsv")}
    assert tables == {
        "train_loss.tsv": "step\tloss\n5\t1.123\n15\t1.012e-08\n",
        "train_learning_rate.tsv": "step\tlearning_rate\n5\t1.235e-05\n",
        "train_grad_norm.tsv": "step\tgrad_norm\n5\t123.5\n",  # it overflowed in step 15
        "validation_loss.tsv": "step\tloss\n10\t1.123\n20\t1.123\n",
        "validation_accuracy.tsv": "step\taccuracy\n10\t0.6\n20\t0.7\n",
    }
    written = json.loads((plots / "state.json").read_text())
    assert (written["global_step"], written["best_metric"]) == (30, 0.7)
    assert [entry["step"] for entry in written["log_history"]] == [5, 10, 15, 20]
    assert [entry.get("grad_norm", 0) for entry in written["log_history"]] == [123.5, 0, None, 0]
    everything = "".join(path.read_text("utf-8") for path in plots.iterdir())
    assert not re.search("runtime|per_second|/home/me|checkpoint-20|total_flos", everything)
    assert str(tmp_path) not in everything
    assert not re.search(r"\d\.\d{7}", (plots / "state.json").read_text())


def watching() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.endswith("(_monitoring_loop)")]


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for the thread that watches the machine, once a second."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder that is a git repository with a commit."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    Path("README.md").write_text("a file")
    commit(Path())
    return tmp_path / "project"


def begun(folder: Path, **values: Any) -> tuple[curves.DVCLiveCurves, TrainerState]:
    """Curves of a training that begins, and its state."""
    live = curves.DVCLiveCurves(folder / "dvclive", Tracker("", ""))
    state = TrainerState(**{"is_world_process_zero": True, **values})
    live.on_train_begin(None, state, CONTROL)
    return live, state


def test_the_curves_are_logged_step_by_step_from_the_start_of_a_resumed_run(folder):
    live, state = begun(folder, global_step=2, log_history=[{"step": 2, "loss": 1.5}])
    state.global_step = 4
    live.on_log(None, state, CONTROL, logs={"loss": 1.25, "learning_rate": 1e-4, "epoch": 1})
    live.on_log(None, state, CONTROL, logs={"eval_loss": 1.1, "eval_accuracy": 0.5})
    live.close()
    tables = folder / "dvclive" / "plots" / "metrics"
    assert (tables / "train" / "loss.tsv").read_text() == "step\tloss\n2\t1.5\n4\t1.25\n"
    assert (tables / "validation" / "accuracy.tsv").read_text() == "step\taccuracy\n4\t0.5\n"
    summary = json.loads((folder / "dvclive" / "metrics.json").read_text())
    assert (summary["step"], summary["train"]["loss"]) == (4, 1.25)


@pytest.mark.slow
def test_the_load_of_the_machine_is_logged_until_close_and_dvc_yaml_is_left_alone(folder):
    live, _ = begun(folder)
    wait_until((folder / "dvclive" / "plots" / "metrics" / "system").is_dir)
    assert watching()
    live.close()
    assert watching() == []
    assert not (folder / "dvc.yaml").exists()


@pytest.mark.slow
def test_a_full_disk_gives_no_traceback_of_the_thread_that_watches_the_machine(folder, monkeypatch):
    printed: list[type] = []
    monkeypatch.setattr(threading, "excepthook", lambda error: printed.append(error.exc_type))
    before = threading.excepthook
    live, _ = begun(folder)
    metrics = folder / "dvclive" / "plots" / "metrics"
    metrics.mkdir(parents=True, exist_ok=True)
    (metrics / "system").write_text("a file: no folder can be made here")
    wait_until(lambda: not watching())  # it fails
    other = threading.Thread(target=int, args=["x"])
    other.start()
    other.join()
    live.close()
    assert printed == [ValueError]  # of the other thread
    assert threading.excepthook is before


def test_other_processes_than_the_main_one_log_nothing(folder):
    live, state = begun(folder, is_world_process_zero=False, global_step=2)
    live.on_log(None, state, CONTROL, logs={"loss": 1.0})
    live.close()
    assert not (folder / "dvclive").exists()


def test_a_git_repository_without_a_commit_is_reported_and_the_advice_works(folder):
    shutil.rmtree(folder / ".git")
    run("git", "init", "-q", cwd=folder)
    with pytest.raises(UserError, match="this git repository has no commit") as error:
        begun(folder)
    run("bash", "-c", re.search("`(.*)`", error.value.advice)[1], cwd=folder)
    begun(folder)[0].close()


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="Linux alone can do that")
def test_a_full_disk_as_the_training_starts_is_one_line(folder):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    (folder / ".dvcignore").touch()
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
        with pytest.raises(UserError, match=r"DVC cannot write its state .* free some space"):
            begun(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
