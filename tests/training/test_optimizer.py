"""The optimizer: AdamW with a rate of its own for the head."""

import torch
from transformers import PreTrainedModel, Trainer, TrainingArguments

from yelp_stars.training.classifier import freeze
from yelp_stars.training.optimizer import make_optimizer

RATES = {"learning_rate": 1e-3, "head_learning_rate": 5e-3, "weight_decay": 0.01}


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
