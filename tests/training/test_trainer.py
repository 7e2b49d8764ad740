"""The Trainer: what it overrides exists, its batches, its metrics, what it says about itself."""

import inspect
import math
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import ROOT, edit, make_trainer, run
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import RandomSampler
from transformers import Trainer

from stages.train import Params
from yelp_stars.modeling.batching import LengthGroupedSampler
from yelp_stars.modeling.compute import Compute
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.params import load_params
from yelp_stars.scoring.metrics import scores
from yelp_stars.training import trainer as trainers

FP32 = Compute("fp32", "as requested", None)


PRIVATE_METHODS = {"_get_train_sampler", "_save_checkpoint", "_run_epoch"}
PRIVATE_ATTRIBUTES = {"_tr_loss", "_globalstep_last_logged"}


def test_transformers_still_has_all_that_is_private_to_it_and_the_docstring_lists_it():
    source = inspect.getsource(Trainer)
    gone = {name for name in PRIVATE_METHODS if not hasattr(Trainer, name)}
    gone |= {name for name in PRIVATE_ATTRIBUTES if f"self.{name}" not in source}
    assert not gone, f"Trainer has no {gone}. {trainers.__doc__}"
    ours = vars(trainers.ResumableTrainer)
    overridden = {name for name in ours if name[:2] != "__" and hasattr(Trainer, name)}
    assert overridden - {"compute_loss"} == PRIVATE_METHODS
    used = set(re.findall(r"self\.(_\w+)", inspect.getsource(trainers.ResumableTrainer)))
    assert {name for name in used - set(ours) if f"self.{name}" in source} == PRIVATE_ATTRIBUTES
    assert set(re.findall(r"`(_\w+)`", trainers.__doc__)) == PRIVATE_METHODS | PRIVATE_ATTRIBUTES


def build(project: Path, **values) -> trainers.ResumableTrainer:
    edit(project, "train", **values)
    return make_trainer(load_params(Params, "train"))


@pytest.mark.parametrize(
    ("strategy", "sampler"), [("group_by_length", LengthGroupedSampler), ("random", RandomSampler)]
)
def test_the_rows_come_in_the_order_of_the_strategy(train_project, strategy, sampler):
    trainer = build(train_project, train_sampling_strategy=strategy)
    loader = trainer.get_train_dataloader()
    used = loader.sampler if isinstance(loader.sampler, sampler) else loader.batch_sampler.sampler
    assert isinstance(used, sampler)


def test_batches_are_grouped_by_the_rows_of_an_optimizer_step(train_project):
    trainer = build(train_project, batch_size=12, gradient_accumulation_steps=3, seed=7)
    assert trainer.args.train_batch_size == 4
    assert trainer.rows_per_step == 12
    expected = LengthGroupedSampler(trainer.train_dataset.lengths, 12, 7)
    assert trainer.sampler.order().tolist() == expected.order().tolist()


def test_an_epoch_passes_over_few_rows_until_the_steps_are_made(train_project):
    trainer = build(train_project, min_steps=50, num_train_epochs=3, batch_size=16)
    assert len(trainer.train_dataset) == 60  # 4 steps: 5 passes in each of 3 epochs
    order = trainer.sampler.order()
    assert np.bincount(order).tolist() == [5] * 60
    assert order[:60].tolist() != order[60:120].tolist()
    assert len(trainer.get_train_dataloader()) == math.ceil(5 * 60 / 16)
    assert "(5 passes an epoch)" in trainers.describe(trainer, FP32)
    assert build(train_project, min_steps=12).sampler.passes == 1


@given(
    rows=st.integers(1, 60), batch=st.integers(1, 20), epochs=st.integers(1, 9),
    least=st.integers(0, 300),
)  # fmt: skip
def test_no_fewer_passes_make_the_least_steps(rows, batch, epochs, least):
    passes = trainers.passes_for(least, epochs, rows, batch)
    assert math.ceil(passes * rows / batch) * epochs >= least
    assert passes == 1 or math.ceil((passes - 1) * rows / batch) * epochs < least


def test_balanced_classes_weigh_the_same_in_training_and_not_at_all_in_validation(train_project):
    assert trainers.balanced_weights([6, 2, 0]).tolist() == pytest.approx([2 / 3, 2, 0])
    plain, trainer = build(train_project), build(train_project, class_weights="balanced")
    weights = torch.tensor([4.0, 1.0, 0.5, 0.25, 0.0])
    trainer._class_weights = weights
    batch = next(iter(trainer.get_eval_dataloader()))
    trainer.model.eval()
    assert trainer.compute_loss(trainer.model, batch) == plain.compute_loss(
        plain.model.eval(), batch
    )
    losses = torch.nn.functional.cross_entropy(
        trainer.model(**batch).logits, batch["labels"], reduction="none"
    )
    for module in trainer.model.modules():
        module.training = module is trainer.model  # without dropout
    assert trainer.compute_loss(
        trainer.model, batch, num_items_in_batch=32
    ).item() == pytest.approx((losses * weights[batch["labels"]]).sum().item() / 32)


@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_a_row_weighs_the_same_however_its_step_is_divided(train_project, weights):
    trained = []
    for parts in (1, 2, 4):  # the last of 4 steps has 12 rows: 12, 8 + 4, 4 + 4 + 4
        trainer = build(
            train_project, batch_size=16, gradient_accumulation_steps=parts, num_train_epochs=1,
            class_weights=weights, precision="fp32",
        )  # fmt: skip
        for module in trainer.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        trainer.train()
        trained.append(torch.cat([each.ravel() for each in trainer.model.state_dict().values()]))
    assert (trained[0] - trained[1]).abs().max() < 1e-5
    assert (trained[0] - trained[2]).abs().max() < 1e-5


def test_the_scores_are_those_of_the_validation_rows(train_project):
    trainer = build(train_project)
    found = trainer.evaluate()
    predicted = trainer.predict(trainer.eval_dataset)
    expected = scores(predicted.predictions, predicted.label_ids)
    assert len(trainer.eval_dataset) == found["eval_n"] == 20
    for name, value in expected.items():
        assert found[f"eval_{name}"] == pytest.approx(value, rel=1e-5), name


def test_logits_that_are_not_finite_are_reported(train_project):
    trainer = build(train_project)
    with torch.no_grad():
        trainer.model.classifier.bias.fill_(float("nan"))
    with pytest.raises(UserError, match="NaN or infinite") as raised:
        trainer.evaluate()
    assert raised.value.setting == "train.learning_rate"


@pytest.mark.parametrize("padding", ["longest", "max_length"])
def test_batches_have_the_width_of_the_params_and_are_described(train_project, padding):
    values = {"padding": padding, "batch_size": 8, "num_train_epochs": 2}
    trainer = build(train_project, **values, freeze_embeddings=True)
    masks = [batch["attention_mask"] for batch in trainer.get_train_dataloader()]
    for mask in masks:
        longest = math.ceil(int(mask.sum(dim=1).max()) / 8) * 8
        assert mask.shape[1] == (32 if padding == "max_length" else longest)
    real, total = sum(int(mask.sum()) for mask in masks), sum(mask.numel() for mask in masks)
    described = trainers.describe(trainer, FP32)
    assert described.startswith(f"60 rows, {real:,} tokens, {1 - real / total:.1%} padding; ")
    assert "; 16 steps of 8 rows; " in described
    counts = [(weights.numel(), weights.requires_grad) for weights in trainer.model.parameters()]
    every, trained = np.sum([(n, n * requires_grad) for n, requires_grad in counts], axis=0) / 1e6
    parameters = f"; {every:.1f}M parameters ({trained:.1f}M trained)"
    assert described.endswith(f"{parameters} in fp32 (as requested) on cpu")


@pytest.mark.thorough
@pytest.mark.parametrize("gpus", [1, 8])
def test_presets_for_gpus_can_be_built_without_one(train_project, gpus):
    as_first = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": str(gpus)}
    as_first |= {"LOCAL_WORLD_SIZE": str(gpus), "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    script = str(ROOT / "tests" / "construct.py")
    path = os.pathsep.join(map(str, (train_project, ROOT)))  # its stages, and the tests' helpers
    output = run(sys.executable, script, str(gpus), cwd=train_project, PYTHONPATH=path, **as_first)
    assert f"full on {gpus}: 2 rows here, LengthGroupedSampler, 2 groups" in output
    assert f"notebook on {gpus}: 2 rows here, RandomSampler, 1 groups" in output
    assert output.count(f"steps of {2 * gpus} rows") == 2
