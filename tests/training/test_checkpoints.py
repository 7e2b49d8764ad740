"""Checkpoints of a run: whose they are, which one counts, when they are written."""

import json
import os
import shutil
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors import SafetensorError
from transformers import TrainerControl, TrainerState

from yelp_stars.modeling.compute import Compute
from yelp_stars.pipeline.entrypoint import SIGNALS
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.yaml_file import read_yaml
from yelp_stars.training import checkpoints

FP32 = Compute("fp32", "as requested", None)


def directory(project: Path, resolved: Compute = FP32, weights: str = "weights", **values) -> Path:
    params = {**read_yaml(project / "params.yaml")["train"], **values}
    return checkpoints.run_directory(params, resolved, weights)


def test_the_run_id_changes_with_parameters_weights_and_what_computes(train_project, monkeypatch):
    ids = [
        directory(train_project),
        directory(train_project, batch_size="another"),
        directory(train_project, seed="another"),
        directory(train_project, weights="others"),
        directory(train_project, Compute("bf16", "as requested", "eager")),
    ]
    for owner, name, value in (
        (torch, "get_num_threads", lambda: 7),
        (torch.accelerator, "device_count", lambda: 3),
        (checkpoints, "VERSIONS", {"torch": "0.0"}),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, value)
            ids.append(directory(train_project))
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert len({*ids, directory(train_project)}) == 9


def test_weights_have_another_digest_after_the_smallest_change():
    model = torch.nn.Linear(2, 2)
    before = checkpoints.weights_digest(model)
    assert checkpoints.weights_digest(model) == before
    with torch.no_grad():
        model.bias[1] += 1e-6
    assert checkpoints.weights_digest(model) != before


def test_the_run_id_changes_with_every_dependency_in_dvc_yaml(train_project):
    before = directory(train_project)
    deps = read_yaml(train_project / "dvc.yaml")["stages"]["train"]["deps"]
    assert {"stages/train.py", "yelp_stars/training", "data/sample", "models/pretrained"} <= {*deps}
    for dep in map(Path, deps):
        file = max(dep.rglob("*.*")) if dep.is_dir() else dep  # the last one of a folder
        content = file.read_bytes()
        file.write_bytes(content + b"\n")
        assert directory(train_project) != before, file
        file.write_bytes(content)
    assert directory(train_project) == before
    file.rename(file.with_name("renamed"))
    assert directory(train_project) != before


def test_the_run_id_does_not_change_with_what_training_does_not_see(
    train_project, tmp_path, monkeypatch
):
    before = directory(train_project)
    for name in (
        "yelp_stars/cli.py",
        "yelp_stars/reading/readers.py",
        "yelp_stars/training/__pycache__/trainer.cpython-311.pyc",
        "stages/evaluate.py",
        "params.yaml",
        "README.md",
    ):
        file = train_project / name
        file.parent.mkdir(exist_ok=True)
        with file.open("ab") as opened:
            opened.write(b"\n# an edit\n")
        assert directory(train_project) == before, name
    assert directory(train_project, Compute("fp32", "auto: a CPU", None)) == before
    shutil.copytree(train_project, tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert directory(tmp_path / "elsewhere") == before


def write_checkpoint(run: Path, step: int, best: Path | None = None) -> Path:
    checkpoint = run / f"checkpoint-{step}"
    checkpoint.mkdir(parents=True)
    state = {"best_model_checkpoint": best and str(best)}
    (checkpoint / "trainer_state.json").write_text(json.dumps(state))
    (checkpoint / "model.safetensors").write_bytes(b"weights")
    return checkpoint


NOT_OURS = [
    "checkpoint-7.bak", "checkpoint-x", "checkpoint-030", "old-checkpoint-50", "checkpoint-\u0667",
]  # fmt: skip


def add_what_is_not_ours(run: Path) -> None:
    """Folders, a file and a link with names like those of checkpoints."""
    for name in NOT_OURS:
        (run / name).mkdir()
    (run / "checkpoint-99").write_text("a file")
    (run / "checkpoint-98").symlink_to("nowhere")


def test_the_latest_checkpoint_counts_that_is_complete_with_the_best_one(tmp_path):
    run = tmp_path / "checkpoints"
    best = run / "checkpoint-10"
    for step, best_so_far in ((5, None), (10, best), (20, best), (30, best)):
        checkpoint = write_checkpoint(run, step, best_so_far)
        if step < 30:  # the last one has not been finished
            checkpoints.write_manifest(checkpoint)
    add_what_is_not_ours(run)
    assert checkpoints.latest_complete(run) == (run / "checkpoint-20", [run / "checkpoint-30"])
    (best / "model.safetensors").write_bytes(b"wei")  # without it, the end would be another
    latest, damaged = checkpoints.latest_complete(run)
    assert latest == run / "checkpoint-5"
    assert [path.name for path in damaged] == ["checkpoint-30", "checkpoint-20", "checkpoint-10"]
    assert checkpoints.latest_complete(tmp_path / "nothing") == (None, [])


@pytest.mark.parametrize("name", ["complete.json", "trainer_state.json"])
@pytest.mark.parametrize("content", ["", "[]", "1", '{"a": 1}'])
def test_a_checkpoint_with_another_state_or_manifest_is_damaged(tmp_path, name, content):
    checkpoint = write_checkpoint(tmp_path, 5)
    checkpoints.write_manifest(checkpoint)
    (checkpoint / name).write_text(content)
    if name == "trainer_state.json":
        checkpoints.write_manifest(checkpoint)
    assert not checkpoints.is_complete(checkpoint)


def test_a_checkpoint_is_complete_once_every_process_has_written(tmp_path):
    checkpoint = tmp_path / "checkpoint-5"

    def wait_for_everyone() -> None:
        assert not checkpoints.is_complete(checkpoint)
        (checkpoint / "rng_state_1.pth").write_bytes(b"of another process")

    with checkpoints.complete_or_removed(checkpoint, True, wait_for_everyone):
        write_checkpoint(tmp_path, 5)
    assert checkpoints.is_complete(checkpoint)
    (checkpoint / "rng_state_1.pth").unlink()
    assert not checkpoints.is_complete(checkpoint)


@pytest.mark.parametrize(
    ("error", "reported"),
    [
        (RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64"), UserError),
        (RuntimeError("basic_ios::clear: iostream error"), UserError),  # as the file is closed
        (SafetensorError("Error while serializing: No space left on device"), UserError),
        (RuntimeError("out of memory"), RuntimeError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_a_full_disk_is_reported_and_no_error_leaves_a_checkpoint(tmp_path, error, reported):
    @checkpoints.complete_or_removed(tmp_path / "checkpoint-5", True, lambda: None)
    def fail_to_save() -> None:
        write_checkpoint(tmp_path, 5)
        raise error

    with pytest.raises(reported) as raised:
        fail_to_save()
    assert reported is not UserError or "free some space" in raised.value.advice
    assert not [*tmp_path.iterdir()]


ONE_PROCESS = SimpleNamespace(world_size=1)


def saves(saver: checkpoints.SaveOnSignal, step: int, epoch: float) -> bool:
    """Whether a step of a training of 20 is saved before the epoch ends."""
    state = TrainerState(global_step=step, max_steps=20, epoch=epoch)
    control = TrainerControl()
    saver.on_step_end(ONE_PROCESS, state, control)
    return control.should_save


def test_every_so_many_steps_are_saved_but_not_the_last_of_an_epoch():
    saver = checkpoints.SaveOnSignal(save_steps=5)
    # 10 steps an epoch: Trainer saves steps 10 and 20 itself, after their validation.
    assert [step for step in range(1, 21) if saves(saver, step, step / 10)] == [5, 15]


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_saves_and_stops_and_a_later_one_exits_at_once(number):
    saver = checkpoints.SaveOnSignal(save_steps=100)
    exits = []
    before = signal.signal(number, lambda number, frame: exits.append(number))
    with saver.stop_on_signal():
        assert not saves(saver, 2, 0.2)
        for _ in range(2):  # torchrun repeats it
            os.kill(os.getpid(), number)
        assert saves(saver, 3, 0.3)
        assert exits == []
        time.sleep(1.1 * checkpoints.REPEATED)
        os.kill(os.getpid(), number)
        assert exits == [number]
    signal.signal(number, before)
    state = TrainerState(global_step=3, max_steps=20, epoch=0.3)
    with pytest.raises(UserError, match=f"stopped by {number.name} after step 3 of 20"):
        saver.on_save(ONE_PROCESS, state, TrainerControl())
    # After the last step, the training ends by itself.
    saver.on_save(
        ONE_PROCESS, TrainerState(global_step=20, max_steps=20, epoch=2.0), TrainerControl()
    )


def test_a_signal_that_is_ignored_stays_ignored_and_handlers_are_restored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    handlers = [signal.getsignal(number) for number in SIGNALS]
    with checkpoints.SaveOnSignal(save_steps=5).stop_on_signal():
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    assert [signal.getsignal(number) for number in SIGNALS] == handlers
    signal.signal(signal.SIGHUP, before)
