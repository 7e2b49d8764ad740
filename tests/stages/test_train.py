"""The stage `train`: repeatable, honest losses, a model that anyone can load."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from helpers import (
    TRAIN,
    TRAIN_OUTS,
    edit,
    fails_here,
    max_difference,
    run,
    soak,
    train,
    train_losses,
)
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from transformers import pipeline

from stages import sample
from stages.train import main
from yelp_stars.data import arrow
from yelp_stars.modeling import batching, compute, inference
from yelp_stars.pipeline.entrypoint import call
from yelp_stars.scoring import calibration


def without_dropout(project) -> None:
    config = project / "models" / "pretrained" / "config.json"
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config.write_text(json.dumps(json.loads(config.read_text()) | none))


def draw_48_rows(project) -> None:
    """A sample that batches of 16 divide evenly."""
    edit(project, "sample", train_size=48)
    data = project / "data"
    call(sample.main, data / "tokenized", data / "audit.parquet", data / "sample")


def write_toy(project, shuffled: bool) -> None:
    """Write a sample whose texts repeat one word of their label; or labels that are shuffled."""
    for name, n_rows in (("train", 400), ("validation", 100)):
        path = project / "data" / "sample" / f"{name}.arrow"
        schema = arrow.read(path).schema
        labels = np.arange(n_rows) % 5
        ids = [[2, *[10 + label] * 5, 3] for label in labels]
        if shuffled:
            labels = np.random.default_rng(0).permutation(labels)
        columns = {"input_ids": ids, "label": labels, "row": np.arange(n_rows)}
        arrays = [pa.array(columns[field.name], field.type) for field in schema]
        path.unlink()
        arrow.write(path, schema, pa.table(arrays, schema=schema).to_batches())


@pytest.mark.slow
@pytest.mark.parametrize("shuffled", [False, True])
def test_an_epoch_learns_what_texts_say_about_their_labels_and_nothing_else(
    train_project, shuffled
):
    write_toy(train_project, shuffled)
    train(train_project, batch_size=8, learning_rate=1e-2, head_learning_rate=1e-2)
    accuracy = json.loads((train_project / "validation.json").read_text())["accuracy"]
    last_losses = train_losses(train_project)[-5:, 1]
    if shuffled:  # chance is 0.2
        assert accuracy < 0.4
        assert last_losses.min() > 1.4
    else:
        assert accuracy > 0.9
        assert last_losses.max() < 0.8


@pytest.mark.slow
@pytest.mark.parametrize(
    "precision", sorted({"fp32", compute.resolve("auto", "train.precision").precision})
)
def test_two_runs_give_the_same_weights_to_the_byte(train_project, precision):
    edit(train_project, "train", precision=precision, intermediate_size=20)
    first, again = train(train_project, "first"), train(train_project, "again")
    weights = [Path(name, "model.safetensors").read_bytes() for name in ("first", "again")]
    assert weights[0] == weights[1]
    assert max_difference(first, again) == 0 < max_difference(first, train(train_project, seed=7))


# Of notebooks, of `accelerate launch`, of an image; of another style for pictures.
ENVIRONMENT = {
    "ACCELERATE_MIXED_PRECISION": "bf16",
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4",
    "ACCELERATE_USE_DEEPSPEED": "true",
    "RANK": "1",
    "WORLD_SIZE": "2",
    "MPLBACKEND": "none",
    "MATPLOTLIBRC": "style",
    "HF_HUB_OFFLINE": "0",  # 1 in the other tests
}


@pytest.mark.slow
def test_the_environment_changes_no_byte_of_a_training(train_project):
    edit(train_project, "train", precision="fp32")
    Path("style").write_text("lines.linewidth: 20\nfont.size: 4\n")
    outs = ("ft", "plots/training", "validation.json")

    def content() -> dict[str, bytes]:
        files = [file for out in outs for file in [Path(out), *Path(out).rglob("*")]]
        return {str(file): file.read_bytes() for file in files if file.is_file()}

    train(train_project)
    expected = content()
    assert len(expected) > 10
    run(*TRAIN, *TRAIN_OUTS, cwd=train_project, **ENVIRONMENT)
    found = content()
    assert {name for name in expected | found if expected.get(name) != found.get(name)} == set()


@pytest.mark.slow
def test_accumulated_parts_give_the_loss_and_weights_of_one_batch(train_project):
    # transformers#47688: without the fix, 4 steps make the loss four times too large.
    edit(train_project, "train", train_sampling_strategy="random", padding="max_length")
    edit(train_project, "train", logging_steps=1, intermediate_size=48)
    without_dropout(train_project)
    draw_48_rows(train_project)
    one = train(train_project, "one", batch_size=16)
    expected = train_losses(train_project)
    parts = train(train_project, "parts", gradient_accumulation_steps=4)
    assert np.allclose(train_losses(train_project), expected, atol=1e-4)
    assert max_difference(one, parts) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher",
    [
        "torchrun --standalone --nproc-per-node 2",
        pytest.param("accelerate launch --cpu --num_processes 1", marks=soak),
    ],
)
def test_a_launcher_gives_the_losses_and_weights_of_one_process(train_project, launcher):
    without_dropout(train_project)
    edit(train_project, "train", padding="max_length", logging_steps=1, intermediate_size=48)
    edit(train_project, "train", freeze_embeddings=True)
    draw_48_rows(train_project)
    one = train(train_project, "one", batch_size=16)
    expected = train_losses(train_project)
    output = run(*TRAIN, *TRAIN_OUTS, cwd=train_project, STARS_LAUNCHER=launcher)
    assert "3 steps of 16 rows" in output
    assert np.allclose(train_losses(train_project), expected, atol=1e-4)
    assert max_difference(one, load_file(train_project / "ft" / "model.safetensors")) < 1e-4
    assert json.loads((train_project / "validation.json").read_text())["n"] == 20


@pytest.mark.slow
def test_a_training_leaves_its_curves_and_a_model_that_loads_without_our_code(
    train_project, capsys
):
    train(train_project, num_train_epochs=3)
    output = capsys.readouterr().out
    assert re.findall(r"^ +(\d) +[\d.]+ +[\d.]+ +[\d.]+$", output, re.M) == ["1", "2", "3"]
    assert re.search(r"^trained in \d+ s, .*; validation accuracy .* on 20 rows$", output, re.M)
    assert not list(train_project.glob("ft/*.bin"))
    assert not list(train_project.rglob("checkpoint-*"))
    classify = pipeline("text-classification", model=str(train_project / "ft"))
    answers = classify(["The food was wonderful.", "bad " * 500], truncation=True)
    assert {answer["label"] for answer in answers} <= {
        f"{n} star{'s' * (n > 1)}" for n in range(1, 6)
    }
    config = json.loads((train_project / "ft" / "config.json").read_text())
    assert config["id2label"]["4"] == "5 stars"
    assert "/" not in json.dumps(config)  # no path of this machine
    scores = json.loads((train_project / "validation.json").read_text())
    assert scores["n"] == 20
    assert scores["accuracy_low"] <= scores["accuracy"] <= scores["accuracy_high"]
    (result,) = ModelCard.load(train_project / "ft" / "README.md").data.eval_results
    assert result.metric_value == scores["accuracy"]
    folder = train_project / "plots" / "training"
    assert len(list(folder.iterdir())) == 8
    assert len((folder / "validation_accuracy.tsv").read_text().splitlines()) == 1 + 3
    arguments = json.loads((folder / "arguments.json").read_text())
    assert (arguments["weight_decay"], arguments["adam_beta2"]) == (0.01, 0.999)
    state = json.loads((folder / "state.json").read_text())
    assert len([entry for entry in state["log_history"] if "loss" in entry]) == 3 * 4 / 2
    live = train_project / "dvclive"
    assert (live / "plots" / "metrics" / "train" / "loss.tsv").is_file()
    runtime = json.loads((live / "runtime.json").read_text())
    assert {*runtime} == {
        "finished", "seconds", "steps_per_second", "tokens_per_second", "device", "versions",
    }  # fmt: skip
    assert {*runtime["versions"]} >= {"torch", "transformers"}


@pytest.mark.slow
def test_the_best_epoch_is_kept_on_request_with_its_scores_and_temperature(train_project):
    train(train_project, num_train_epochs=3, load_best_model_at_end=True)
    curve = np.loadtxt("plots/training/validation_accuracy.tsv", skiprows=1)
    scores = json.loads((train_project / "validation.json").read_text())
    assert scores["accuracy"] == curve[:, 1].max()
    assert not (train_project / "models" / "checkpoints").exists()
    resolved = compute.resolve("fp32", "evaluate.precision")
    table = arrow.read(train_project / "data" / "sample" / "validation.arrow")
    validation = batching.ReviewDataset(table)
    model = inference.load_finetuned(train_project / "ft", resolved)
    logits = inference.predict_logits(model, validation, 8, resolved)
    labels = np.array([validation[row]["labels"] for row in range(len(validation))])
    expected = calibration.fit(logits, labels, True)
    found = calibration.read(train_project / "ft")
    assert found.temperature == pytest.approx(expected.temperature, rel=1e-2)
    assert found.conformal_threshold == pytest.approx(expected.conformal_threshold, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("frozen_layers", "frozen", "head_learning_rate"),
    [
        (0, ("bert.embeddings.",), 1e-2),  # a rate of its own
        (1, ("bert.embeddings.", "bert.encoder.layer.0."), 1e-3),  # the same
    ],
)
def test_frozen_layers_stay_the_same_to_the_byte(
    train_project, capsys, frozen_layers, frozen, head_learning_rate
):
    before = load_file("models/pretrained/model.safetensors")
    after = train(
        train_project,
        freeze_embeddings=True,
        frozen_layers=frozen_layers,
        intermediate_size=20,
        activation_checkpointing=True,
        learning_rate=1e-3,
        head_learning_rate=head_learning_rate,
    )
    ours = {name: after[f"bert.{name}"] for name in before}
    same = {f"bert.{name}" for name in before if torch.equal(before[name], ours[name])}
    assert same == {name for name in after if name.startswith(frozen)}
    printed = capsys.readouterr()
    assert "intermediate training: 100%" in printed.err
    assert re.search(r"M parameters \(\d+\.\dM trained\) in", printed.out)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_is_reported_with_what_to_lower(train_project):
    edit(train_project, "train", learning_rate=1e30, logging_steps=1)
    assert "lower train.learning_rate" in fails_here(main, *TRAIN[3:], *TRAIN_OUTS)
    assert not [out for out in TRAIN_OUTS if (train_project / out).exists()]
