"""TrainingArguments: the parameters under their own names, what is fixed, what a machine lacks."""

import re
from pathlib import Path

import pytest
import torch
from helpers import ROOT

from stages.train import Params
from yelp_stars.modeling.compute import Compute
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.yaml_file import read_yaml
from yelp_stars.training.arguments import training_arguments

FP32 = Compute("fp32", "as requested", None)
# Parameters that Trainer does not know.
OWN = {
    "launcher", "intermediate_size", "freeze_embeddings", "frozen_layers", "head_learning_rate",
    "attention_dropout", "padding", "precision",
}  # fmt: skip
PRESETS = sorted(path.stem for path in ROOT.joinpath("presets").glob("*.yaml"))


def fields_of(preset: str, **values) -> dict:
    section = read_yaml(ROOT / "presets" / f"{preset}.yaml")["train"]
    return {**{name: value for name, value in section.items() if name not in OWN}, **values}


@pytest.mark.parametrize("preset", PRESETS)
def test_the_parameters_are_passed_on_under_their_own_names(tmp_path, preset):
    fields = fields_of(preset)
    args = training_arguments(fields, tmp_path, FP32)
    assert {name: getattr(args, name) for name in fields} == fields
    assert args.output_dir == str(tmp_path)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_trainer_computes_in_the_resolved_precision(tmp_path, precision):
    args = training_arguments(fields_of("cpu"), tmp_path, Compute(precision, "", None))
    assert (args.bf16, args.fp16) == (precision == "bf16", False)
    assert args.device == torch.device("cpu")


def test_every_epoch_is_evaluated_and_saved_and_trainer_deletes_no_checkpoint(tmp_path):
    last, best = (
        training_arguments(fields_of("cpu", load_best_model_at_end=best), tmp_path, FP32)
        for best in (False, True)
    )
    assert last.eval_strategy == last.save_strategy == "epoch"
    assert last.save_total_limit is best.save_total_limit is None  # test_checkpoints
    assert best.metric_for_best_model == "accuracy"


def test_tf32_without_such_a_gpu_is_reported_and_the_advice_works(tmp_path):
    expected = "train.tf32 is true, but no GPU here supports it .*; set it to false"
    with pytest.raises(UserError, match=expected):
        training_arguments(fields_of("cpu", tf32=True), tmp_path, FP32)
    training_arguments(fields_of("cpu", tf32=False), tmp_path, FP32)


def test_several_gpus_for_one_process_are_reported_with_a_valid_launcher(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    with pytest.raises(UserError, match="this machine has 8 GPUs") as raised:
        training_arguments(fields_of("cpu"), tmp_path, FP32)
    message = str(raised.value)
    launcher = re.search(r"set train\.launcher to '(torchrun --nproc-per-node 8)'", message)[1]
    section = read_yaml(ROOT / "presets" / "cpu.yaml")["train"]
    assert Params.model_validate({**section, "launcher": launcher})
    assert "or CUDA_VISIBLE_DEVICES=0 to use one" in message
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert training_arguments(fields_of("cpu"), Path("out"), FP32)
