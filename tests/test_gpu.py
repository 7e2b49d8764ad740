"""The promises on a GPU; skipped where there is none."""

import json
import shutil
import subprocess
import sys

import pytest
from helpers import (
    DEADLINE,
    SENTENCES,
    TRAIN,
    TRAIN_OUTS,
    edit,
    fails,
    finish,
    ran,
    run,
    start_training,
    train_in_process,
    training_result,
    wait_for_step,
)

TORCHRUN = ("torchrun", "--standalone", "--nproc-per-node", "1", "-m")


def has_gpu() -> bool:
    if not shutil.which("nvidia-smi"):
        return False
    found = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
    return "GPU 0" in found.stdout


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not has_gpu(), reason="no GPU here"),
    pytest.mark.timeout(3 * DEADLINE),
]


@pytest.fixture(autouse=True)
def _visible(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show the first GPU to the commands of a test; conftest.py hides it from all others."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")


def test_the_pipeline_trains_and_evaluates_on_a_gpu_and_then_rests(repo):
    edit(repo, "train", precision="auto")
    edit(repo, "train", seed=1)
    output = run("dvc", "repro", cwd=repo)
    assert ran(output)[0] == "train"
    assert " on cuda:0" in output
    assert "bf16 (auto: " in output or "fp16 (auto: " in output
    name = json.loads((repo / "dvclive" / "runtime.json").read_text())["device"]
    assert name in run("nvidia-smi", "-L", cwd=repo)
    assert ran(run("dvc", "repro", cwd=repo)) == []


@pytest.mark.parametrize("launcher", [(), TORCHRUN])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_training_that_was_stopped_ends_as_an_uninterrupted_one(
    train_project, precision, launcher
):
    edit(train_project, "train", precision=precision, attention_dropout=0.1, save_steps=7)
    edit(train_project, "train", num_train_epochs=15, logging_steps=4)
    assert f" in {precision} (as requested) on cuda:0" in train_in_process(train_project, *launcher)
    expected = training_result(train_project)
    train_in_process(train_project, *launcher)
    assert training_result(train_project) == expected, "two runs differ"
    with start_training(train_project, *launcher) as stage:
        wait_for_step(train_project, stage, 24)
        stage.terminate()
        assert "which is saved" in finish(stage)
    assert "resuming from" in train_in_process(train_project, *launcher)
    assert training_result(train_project) == expected


def test_two_trainings_of_a_larger_model_give_the_same_bytes(train_project):
    """Four layers of 128 tokens: with more, kernels add up in the order in which they end."""
    from transformers import BertConfig, BertModel

    checkpoint = train_project / "models" / "pretrained"
    config = BertConfig.from_pretrained(checkpoint, num_hidden_layers=4, hidden_size=256)
    BertModel(config).save_pretrained(checkpoint)
    edit(train_project, "train", precision="bf16", num_train_epochs=4, padding="max_length")
    train_in_process(train_project)
    expected = training_result(train_project)
    train_in_process(train_project)
    assert training_result(train_project) == expected


@pytest.mark.parametrize(
    "changed",
    [
        {"torch_compile": True},
        {"activation_checkpointing": True},
        {"tf32": True, "precision": "fp32"},
        {"gradient_accumulation_steps": 2},
        {"padding": "max_length", "train_sampling_strategy": "random"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_what_changes_the_speed_trains_on_a_gpu(train_project, changed):
    edit(train_project, "train", precision="auto")
    edit(train_project, "train", **changed)
    train_in_process(train_project)
    assert 0 <= json.loads((train_project / "validation.json").read_text())["accuracy"] <= 1


def test_a_gpu_predicts_what_the_cpu_predicts(repo, monkeypatch):
    texts = [line.split("\t")[3] for line in SENTENCES.read_text("utf-8").splitlines()[:500]]
    (repo / "texts.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    command = (
        sys.executable, "-m", "yelp_stars.cli", "predict", "texts.txt", "--precision", "fp32",
    )  # fmt: skip
    for device, out in (("0", "gpu.jsonl"), ("", "cpu.jsonl")):
        run(*command, "-o", out, cwd=repo, CUDA_VISIBLE_DEVICES=device)
    by_gpu, by_cpu = (
        [json.loads(line) for line in (repo / out).read_text().splitlines()]
        for out in ("gpu.jsonl", "cpu.jsonl")
    )
    assert [row["stars"] for row in by_gpu] == [row["stars"] for row in by_cpu]
    for first, second in zip(by_gpu, by_cpu):
        numbers = [key for key, value in first.items() if isinstance(value, float)]
        assert numbers
        assert all(first[key] == pytest.approx(second[key], abs=1e-3) for key in numbers)


def test_too_little_memory_for_a_training_is_one_line(train_project, monkeypatch):
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "per_process_memory_fraction:0.00001")
    message = fails(*TRAIN, *TRAIN_OUTS, cwd=train_project)
    assert "has too little memory; raise train.gradient_accumulation_steps" in message
