"""TrainingArguments: the parameters under their own names, what is fixed, what a machine lacks."""

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import ROOT
from transformers import (
    MPNetConfig,
    MPNetForSequenceClassification,
    PreTrainedModel,
    Trainer,
    TrainingArguments,
)

from stages.train import TrainerParams
from yelp_stars.modeling.compute import Compute
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.yaml_file import read_yaml
from yelp_stars.training.arguments import make_optimizer, training_arguments
from yelp_stars.training.classifier import freeze

FP32 = Compute("fp32", "as requested", None)
RATES = {"learning_rate": 1e-3, "head_learning_rate": 5e-3, "weight_decay": 0.01}
PRESETS = sorted(path.stem for path in ROOT.joinpath("presets").glob("*.yaml"))


def fields_of(preset: str, **values: Any) -> dict[str, Any]:
    section = read_yaml(ROOT / "presets" / f"{preset}.yaml")["train"]
    return {**{name: section[name] for name in TrainerParams.model_fields}, **values}


def arguments(
    batch_size: int = 16, resolved: Compute = FP32, preset: str = "cpu", **values: Any
) -> TrainingArguments:
    return training_arguments(fields_of(preset, **values), batch_size, Path("out"), resolved)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_parameters_are_passed_on_under_their_own_names(preset):
    fields, args = fields_of(preset), arguments(preset=preset)
    assert {name: getattr(args, name) for name in fields} == fields
    assert args.output_dir == "out"
    assert (args.device, args.bf16, args.fp16) == (torch.device("cpu"), False, False)
    assert arguments(resolved=Compute("bf16", "", None)).bf16
    assert args.eval_strategy == args.save_strategy == "epoch"


def test_processes_and_accumulated_parts_divide_the_rows_of_a_step(monkeypatch):
    assert arguments(24).per_device_train_batch_size == 24
    assert arguments(24, gradient_accumulation_steps=3).per_device_train_batch_size == 8
    monkeypatch.setenv("WORLD_SIZE", "4")  # test_train.py trains by two processes
    with pytest.raises(UserError) as raised:
        arguments(24, gradient_accumulation_steps=5)
    assert raised.value.setting == "train.batch_size"
    assert "a multiple of 20" in raised.value.advice


def test_tf32_without_such_a_gpu_is_reported_and_the_advice_works():
    with pytest.raises(UserError, match="no GPU here supports it"):
        arguments(tf32=True)
    assert arguments(tf32=False)


def test_several_gpus_for_one_process_are_reported_with_a_launcher(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    with pytest.raises(UserError) as raised:
        arguments()
    assert "STARS_LAUNCHER='torchrun --nproc-per-node 8'" in raised.value.advice
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert arguments()


def settings(model: PreTrainedModel, optimizer: torch.optim.Optimizer) -> dict[str, tuple]:
    """The learning rate and the weight decay of each parameter, by name."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {
        names[parameter]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


def test_the_head_learns_at_its_own_rate_and_frozen_parameters_at_none(deep_model):
    found = settings(deep_model, make_optimizer(deep_model, **RATES))
    assert len(found) == len(list(deep_model.parameters()))
    freeze(deep_model, embeddings=True, layers=2)
    trained = {name for name, weights in deep_model.named_parameters() if weights.requires_grad}
    assert set(settings(deep_model, make_optimizer(deep_model, **RATES))) == trained
    for name, parameter in deep_model.named_parameters():
        rate = 5e-3 if name.startswith("classifier.") else 1e-3
        assert found[name] == (rate, 0.01 if parameter.ndim > 1 else 0.0), name


def test_of_a_fitted_head_only_the_last_layer_has_the_rate_of_the_head():
    config = MPNetConfig(
        vocab_size=50, hidden_size=16, num_attention_heads=2, intermediate_size=32,
        num_hidden_layers=1, num_labels=3,
    )  # fmt: skip
    model = MPNetForSequenceClassification(config)
    for fitted, dense in ((True, 1e-3), (False, 5e-3)):
        found = settings(model, make_optimizer(model, **RATES, fitted_head=fitted))
        rates = {name: rate for name, (rate, _) in found.items() if name.startswith("classifier")}
        assert rates == {
            "classifier.dense.weight": dense, "classifier.dense.bias": dense,
            "classifier.out_proj.weight": 5e-3, "classifier.out_proj.bias": 5e-3,
        }  # fmt: skip


def test_at_one_rate_the_optimizer_is_trainers_own(deep_model, tmp_path):
    args = TrainingArguments(
        output_dir=str(tmp_path), learning_rate=1e-3, weight_decay=0.01, use_cpu=True
    )
    theirs = Trainer(model=deep_model, args=args).create_optimizer()
    ours = make_optimizer(deep_model, **{**RATES, "head_learning_rate": 1e-3})
    assert settings(deep_model, ours) == settings(deep_model, theirs)
    assert type(ours) is type(theirs)
    for name in ("betas", "eps", "amsgrad", "fused"):
        assert ours.defaults[name] == theirs.defaults[name]
