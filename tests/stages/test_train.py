"""The stage `train`: repeatable, honest losses, a model that anyone can load."""

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from helpers import TRAIN, TRAIN_OUTS, edit, fails_here, max_difference, run, train, train_losses
from safetensors.torch import load_file
from transformers import pipeline

from stages import sample
from stages.train import main
from yelp_stars.data import arrow
from yelp_stars.modeling import compute
from yelp_stars.pipeline.entrypoint import call
from yelp_stars.pipeline.errors import UserError
from yelp_stars.training.classifier import load_pretrained


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
    train(train_project, "first")
    train(train_project, "second")
    first, second = (
        (train_project / name / "model.safetensors").read_bytes() for name in ("first", "second")
    )
    assert first == second


@pytest.mark.slow
def test_another_seed_gives_another_head_and_other_weights(train_project):
    first = train(train_project, "first", seed=1, learning_rate=1e-9)
    second = train(train_project, "second", seed=2)
    assert max_difference(first, second) > 0
    assert not torch.allclose(first["classifier.weight"], second["classifier.weight"])


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


@pytest.mark.thorough
def test_two_processes_have_the_losses_and_weights_of_one(train_project):
    without_dropout(train_project)
    edit(train_project, "train", padding="max_length", logging_steps=1, intermediate_size=48)
    edit(train_project, "train", freeze_embeddings=True)
    draw_48_rows(train_project)
    one = train(train_project, "one", batch_size=16)
    expected = train_losses(train_project)
    launcher = "torchrun --standalone --nproc-per-node 2"
    output = run(*TRAIN, *TRAIN_OUTS, cwd=train_project, STARS_LAUNCHER=launcher)
    assert "3 steps of 16 rows" in output
    assert np.allclose(train_losses(train_project), expected, atol=1e-4)
    assert max_difference(one, load_file(train_project / "ft" / "model.safetensors")) < 1e-4
    assert json.loads((train_project / "validation.json").read_text())["n"] == 20


@pytest.mark.slow
def test_the_model_loads_without_any_code_of_this_project(train_project):
    train(train_project)
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


@pytest.mark.slow
def test_curves_arguments_and_state_are_kept_without_times_and_locations(train_project):
    train(train_project, num_train_epochs=3)
    folder = train_project / "plots" / "training"
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "arguments.json",
        "state.json",
        "train_grad_norm.tsv",
        "train_learning_rate.tsv",
        "train_loss.tsv",
        "training.svg",
        "validation_accuracy.tsv",
        "validation_loss.tsv",
    }
    assert len((folder / "validation_accuracy.tsv").read_text().splitlines()) == 1 + 3
    arguments = json.loads((folder / "arguments.json").read_text())
    assert arguments["weight_decay"] == 0.01
    assert arguments["train_sampling_strategy"] == "group_by_length"
    assert arguments["adam_beta2"] == 0.999
    state = json.loads((folder / "state.json").read_text())
    assert len([entry for entry in state["log_history"] if "loss" in entry]) == 3 * 4 / 2
    kept = "".join(path.read_text("utf-8") for path in folder.iterdir())
    assert str(train_project) not in kept
    assert not [word for word in ("runtime", "per_second") if word in kept]
    live = train_project / "dvclive"
    assert (live / "plots" / "metrics" / "train" / "loss.tsv").is_file()
    runtime = json.loads((live / "runtime.json").read_text())
    assert {*runtime} == {"seconds", "steps_per_second", "tokens_per_second", "device"}
    scores = json.loads((train_project / "validation.json").read_text())
    assert scores["n"] == 20
    assert scores["accuracy_low"] <= scores["accuracy"] <= scores["accuracy_high"]


@pytest.mark.slow
def test_the_best_epoch_on_validation_is_kept_on_request(train_project):
    train(train_project, num_train_epochs=3, load_best_model_at_end=True)
    curve = np.loadtxt(
        (train_project / "plots" / "training" / "validation_accuracy.tsv")
        .read_text()
        .splitlines()[1:]
    )
    scores = json.loads((train_project / "validation.json").read_text())
    assert scores["accuracy"] == curve[:, 1].max()
    assert not (train_project / "models" / "checkpoints").exists()


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
    before = load_pretrained(
        train_project / "models" / "pretrained",
        list("abcde"),
        seed=0,
        attention_dropout=0.0,
        attention=None,
    ).state_dict()
    after = train(
        train_project,
        freeze_embeddings=True,
        frozen_layers=frozen_layers,
        intermediate_size=20,
        activation_checkpointing=True,
        learning_rate=1e-3,
        head_learning_rate=head_learning_rate,
    )
    same = {name for name in after if torch.equal(before[name], after[name])}
    assert same == {name for name in after if name.startswith(frozen)}
    assert re.search(r"M parameters \(\d+\.\dM trained\) in", capsys.readouterr().out)


@pytest.mark.slow
def test_synthetic_reviews_come_first_on_request(train_project, capsys):
    one = train(train_project, "one", learning_rate=1e-9, head_learning_rate=1e-9)
    edit(train_project, "train", intermediate_size=20)
    assert max_difference(one, train(train_project, "slow")) < 1e-6
    without = train(train_project, "without", intermediate_size=0, learning_rate=1e-3)
    capsys.readouterr()
    with_them = train(train_project, "with", intermediate_size=400)
    assert max_difference(without, with_them) > 1e-3
    assert "intermediate training: 100%" in capsys.readouterr().err


@pytest.mark.slow
def test_synthetic_reviews_with_other_labels_than_yours_are_reported(train_project):
    path = train_project / "data" / "sample" / "train.arrow"
    table = arrow.read(path)
    columns = {name: table.schema.field(name).type for name in table.column_names}
    schema = arrow.make_schema(
        columns,
        ["a", "b"],
        max_length=arrow.metadata(table.schema, "max_length"),
        truncation="head",
        source="",
    )
    two = table.filter(pc.less(table["label"], 2)).combine_chunks()
    path.unlink()
    arrow.write(path, schema, two.to_batches())
    edit(train_project, "train", intermediate_size=20)
    expected = "is 20, but synthetic reviews have 5 labels and yours have 2; set it to 0"
    with pytest.raises(UserError, match=expected):
        train(train_project)
    assert not [out for out in TRAIN_OUTS if (train_project / out).exists()]


@pytest.mark.slow
def test_a_loss_that_is_not_finite_is_reported_with_what_to_lower(train_project):
    edit(train_project, "train", learning_rate=1e30, logging_steps=1)
    assert "lower train.learning_rate" in fails_here(main, *TRAIN[3:], *TRAIN_OUTS)
    assert not [out for out in TRAIN_OUTS if (train_project / out).exists()]


@pytest.mark.slow
def test_what_the_hardware_lacks_is_reported_before_training(train_project):
    edit(train_project, "train", tf32=True)
    message = fails_here(main, *TRAIN[3:], *TRAIN_OUTS)
    assert "no GPU here supports it (Ampere does); set it to false" in message
    assert not [out for out in TRAIN_OUTS if (train_project / out).exists()]
