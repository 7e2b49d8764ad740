"""Training: repeatable, honest losses, a model that anyone can load."""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
import torch
from conftest import edit, fails, run
from safetensors.torch import load_file

from stages import sample, train
from stars import arrow, intermediate
from stars.model import load_model
from stars.params import load_params
from stars.precision import computed_in
from stars.stage import UserError

TRAIN = (
    "python", "-m", "stages.train", "corpus/sentences.tsv", "data/sample", "models/pretrained"
)  # fmt: skip
OUTS = ("ft", "logs/training", "plots/training", "validation.json")


def trained(project: Path, name: str = "ft", **values) -> dict[str, torch.Tensor]:
    edit(project, "train", **values)
    finetuned = project / name
    train.main(
        project / "corpus" / "sentences.tsv",
        project / "data" / "sample",
        project / "models" / "pretrained",
        finetuned,
        project / "logs" / "training",
        project / "plots" / "training",
        project / "validation.json",
    )
    return load_file(finetuned / "model.safetensors")


def without_dropout(project: Path) -> None:
    config = project / "models" / "pretrained" / "config.json"
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config.write_text(json.dumps(json.loads(config.read_text()) | none))


def losses(project: Path) -> np.ndarray:
    lines = (project / "plots" / "training" / "train_loss.tsv").read_text().splitlines()
    return np.loadtxt(lines[1:])


def apart(first, second) -> float:
    return max((first[name] - second[name]).abs().max().item() for name in first)


@pytest.mark.parametrize("precision", sorted({"fp32", computed_in("auto", "train")[0]}))
def test_two_runs_give_the_same_weights_to_the_byte(small, precision):
    edit(small, "train", precision=precision, intermediate_reviews=20)
    trained(small, "first")
    trained(small, "second")
    first, second = (
        (small / name / "model.safetensors").read_bytes() for name in ("first", "second")
    )
    assert first == second


def test_another_seed_gives_another_head_and_other_weights(small):
    first = trained(small, "first", seed=1, learning_rate=1e-9)
    second = trained(small, "second", seed=2)
    assert apart(first, second) > 0
    assert not torch.allclose(first["classifier.weight"], second["classifier.weight"])


@pytest.mark.parametrize("steps", [2, 4])
def test_accumulated_batches_give_the_loss_and_weights_of_one_batch(small, steps):
    # transformers#47688: without the fix, 4 steps make the loss four times too big.
    edit(small, "train", train_sampling_strategy="random", padding="max_length", logging_steps=1)
    edit(small, "train", intermediate_reviews=48)
    without_dropout(small)
    edit(small, "sample", train_size=48)
    sample.main(small / "data" / "tokenized", small / "data" / "sample")
    whole = trained(small, "whole", per_device_train_batch_size=16)
    expected = losses(small)
    parts = trained(
        small,
        "parts",
        per_device_train_batch_size=16 // steps,
        gradient_accumulation_steps=steps,
    )
    assert np.allclose(losses(small), expected, atol=1e-4)
    assert apart(whole, parts) < 1e-4


def test_two_processes_have_the_losses_and_weights_of_one(small):
    without_dropout(small)
    edit(small, "train", padding="max_length", logging_steps=1, intermediate_reviews=48)
    edit(small, "train", frozen_layers=1)
    edit(small, "sample", train_size=48)
    sample.main(small / "data" / "tokenized", small / "data" / "sample")
    one = trained(small, "one", per_device_train_batch_size=16)
    expected = losses(small)
    edit(small, "train", per_device_train_batch_size=8)
    launch = ("torchrun", "--standalone", "--nproc-per-node", "2", "-m")
    run(*launch, *TRAIN[2:], *OUTS, cwd=small)
    assert np.allclose(losses(small), expected, atol=1e-4)
    assert apart(one, load_file(small / "ft" / "model.safetensors")) < 1e-4
    assert json.loads((small / "validation.json").read_text())["n"] == 20


def test_the_model_loads_without_a_line_of_ours(small):
    from transformers import pipeline

    trained(small)
    assert not list(small.glob("ft/*.bin"))
    assert not list(small.rglob("checkpoint-*"))
    classify = pipeline("text-classification", model=str(small / "ft"))
    told = classify(["The food was wonderful.", "bad " * 500], truncation=True)
    assert {answer["label"] for answer in told} <= {f"{n} star{'s' * (n > 1)}" for n in range(1, 6)}
    config = json.loads((small / "ft" / "config.json").read_text())
    assert config["id2label"]["4"] == "5 stars"
    assert "/" not in json.dumps(config)  # no path of this machine


def test_curves_arguments_and_state_are_kept_without_times_and_places(small):
    trained(small, num_train_epochs=50)  # the machine is watched once a second
    folder = small / "plots" / "training"
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
    assert len((folder / "validation_accuracy.tsv").read_text().splitlines()) == 1 + 50
    arguments = json.loads((folder / "arguments.json").read_text())
    assert arguments["weight_decay"] == 0.01
    assert arguments["train_sampling_strategy"] == "group_by_length"
    assert arguments["adam_beta2"] == 0.999
    state = json.loads((folder / "state.json").read_text())
    assert len([entry for entry in state["log_history"] if "loss" in entry]) == 100
    kept = "".join(path.read_text("utf-8") for path in folder.iterdir())
    assert str(small) not in kept
    assert not [word for word in ("runtime", "per_second") if word in kept]
    live = small / "logs" / "training" / "plots" / "metrics"
    assert (live / "train" / "loss.tsv").is_file()
    assert (live / "system").is_dir()
    scores = json.loads((small / "validation.json").read_text())
    assert scores["n"] == 20
    assert scores["accuracy_low"] <= scores["accuracy"] <= scores["accuracy_high"]


def test_the_best_epoch_on_validation_is_kept_on_request(small):
    trained(small, num_train_epochs=3, load_best_model_at_end=True)
    curve = np.loadtxt(
        (small / "plots" / "training" / "validation_accuracy.tsv").read_text().splitlines()[1:]
    )
    scores = json.loads((small / "validation.json").read_text())
    assert scores["accuracy"] == curve[:, 1].max()
    assert not (small / "checkpoints").exists()


def test_the_head_learns_at_its_own_rate(small):
    edit(small, "train", learning_rate=1e-3, head_learning_rate=5e-3)
    params = load_params(train.Params, "train")
    model = load_model(small / "models" / "pretrained", ["a", "b"], 0, 0.1, None)
    learns = {
        parameter: (group["lr"], group["weight_decay"])
        for group in train.adamw(model, params).param_groups
        for parameter in group["params"]
    }
    assert len(learns) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        rate = 5e-3 if name.startswith("classifier.") else 1e-3
        assert learns[parameter] == (rate, 0.01 if parameter.ndim > 1 else 0.0), name


@pytest.mark.parametrize(
    ("frozen_layers", "frozen"),
    [(1, ("bert.embeddings.",)), (2, ("bert.embeddings.", "bert.encoder.layer.0."))],
)
@pytest.mark.parametrize("head_learning_rate", [1e-2, 1e-3])  # our optimizer, and Trainer's own
def test_frozen_layers_stay_what_they_are_to_the_byte(
    small, capsys, frozen_layers, frozen, head_learning_rate
):
    before = load_model(small / "models" / "pretrained", list("abcde"), 0, 0.0, None).state_dict()
    after = trained(
        small,
        frozen_layers=frozen_layers,
        intermediate_reviews=20,
        activation_checkpointing=True,
        learning_rate=1e-3,
        head_learning_rate=head_learning_rate,
    )
    stayed = {name for name in after if torch.equal(before[name], after[name])}
    assert stayed == {name for name in after if name.startswith(frozen)}
    assert "parameters, 0.0M of them learning, in" in capsys.readouterr().out


def test_more_frozen_layers_than_there_are_is_told(small):
    edit(small, "train", frozen_layers=3)
    expected = "is 3, but with the embeddings this checkpoint has 2; set it to 2 or less"
    assert expected in fails(*TRAIN, *OUTS, cwd=small)


def test_embedded_reviews_come_first_on_request(small, capsys):
    one = trained(small, "one", learning_rate=1e-9, head_learning_rate=1e-9)
    edit(small, "train", intermediate_reviews=20)
    assert apart(one, trained(small, "slow")) < 1e-6
    without = trained(small, "without", intermediate_reviews=0, learning_rate=1e-3)
    with_them = trained(small, "with", intermediate_reviews=400)
    assert apart(without, with_them) > 1e-3
    assert "embedded reviews first: 100%" in capsys.readouterr().err


def test_after_the_embedded_reviews_nothing_is_left_but_the_weights(small):
    where = (small / "models" / "pretrained", small / "data" / "sample", small / "checkpoints")
    params = load_params(train.Params, "train")
    trainer, max_length = train.make_trainer(params, *where, callbacks=[])
    made = intermediate.examples(small / "corpus/sentences.tsv", where[0], 40, 0, max_length)
    assert [review["labels"] for review in made].count(4) == 8
    assert max(len(review["input_ids"]) for review in made) <= max_length
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    intermediate.train(trainer, made, train.adamw(trainer.model, params))
    assert apart(before, trainer.model.state_dict()) > 0
    state = torch.get_rng_state()
    torch.manual_seed(params.seed)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in trainer.model.parameters())


def test_a_checkpoint_in_half_precision_is_trained_in_fp32(small):
    from transformers import AutoModel

    folder = small / "models" / "pretrained"
    AutoModel.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(folder)
    assert {weights.dtype for weights in load_file(folder / "model.safetensors").values()} == {
        torch.bfloat16
    }
    assert load_model(folder, ["a", "b"], 0, 0.0, None).dtype == torch.float32


def test_embedded_reviews_want_five_labels(small):
    path = small / "data" / "sample" / "train.arrow"
    table = arrow.read(path)
    schema = arrow.schema({n: table.schema.field(n).type for n in table.column_names}, ["a", "b"])
    two = table.filter(pc.less(table["label"], 2)).combine_chunks()
    metadata = {**table.schema.metadata, **schema.metadata}
    path.unlink()
    arrow.write(path, schema.with_metadata(metadata), two.to_batches())
    edit(small, "train", intermediate_reviews=20)
    with pytest.raises(UserError, match="is 20, but these have 5 labels and yours are 2; set it"):
        trained(small)


def test_attention_dropout_is_that_of_the_params(small):
    model = load_model(small / "models" / "pretrained", ["a", "b"], 0, 0.25, None)
    assert model.bert.encoder.layer[0].attention.self.dropout.p == 0.25
    (small / "models" / "pretrained" / "config.json").write_text('{"model_type": "t5"}')
    assert "the config of this t5 has none of" in fails(*TRAIN, *OUTS, cwd=small)


def test_a_loss_that_is_no_number_is_told_with_what_to_lower(small):
    edit(small, "train", learning_rate=1e30, logging_steps=1)
    assert "lower train.learning_rate" in fails(*TRAIN, *OUTS, cwd=small)
    assert not [out for out in OUTS if (small / out).exists()]


def test_no_bf16_hardware_is_told(small):
    fast, why = computed_in("auto", "train")
    assert why.startswith("auto: this CPU has")
    assert computed_in("fp32", "train") == ("fp32", "as asked")
    missing = {"bf16", "fp16"} - {fast}
    for precision in missing:
        edit(small, "train", precision=precision)
        with pytest.raises(UserError, match=f"{precision!r}, but .* set it to 'fp32' or 'auto'"):
            trained(small)
    edit(small, "train", precision="auto", tf32=True)
    assert "no GPU here has it (Ampere has); set it to false" in fails(*TRAIN, *OUTS, cwd=small)
    assert not (small / "ft").exists()


@pytest.mark.parametrize("gpus", [1, 8])
def test_presets_for_gpus_can_be_built_without_one(small, gpus):
    as_first = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": str(gpus)}
    as_first |= {"LOCAL_WORLD_SIZE": str(gpus), "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    script = str(Path(__file__).with_name("construct.py"))
    said = run(sys.executable, script, str(gpus), cwd=small, PYTHONPATH=str(small), **as_first)
    assert f"full on {gpus}: 2 rows here, LengthGroupedSampler, 2 groups" in said
    assert f"notebook on {gpus}: 2 rows here, RandomSampler, 2 groups" in said
    assert said.count(f"steps of {2 * gpus} rows") == 2


def test_several_gpus_for_one_process_are_told(small, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    with pytest.raises(UserError, match=r"set train\.launch to 'torchrun --nproc-per-node 8'"):
        trained(small)
