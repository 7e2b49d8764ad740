"""The checkpoint with a new head, and how fast its parts learn."""

import re
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    set_seed,
)

from stars import first_token
from stars.stage import UserError


def load_model(
    pretrained: Path,
    names: list[str],
    seed: int,
    attention_dropout: float,
    attn_implementation: str | None,
) -> PreTrainedModel:
    """The checkpoint in fp32, however it is stored, with a new head drawn by `seed`."""
    config = AutoConfig.from_pretrained(
        pretrained,
        num_labels=len(names),
        id2label=dict(enumerate(names)),
        label2id={name: label for label, name in enumerate(names)},
    )
    if config.pad_token_id is None:
        raise UserError("this checkpoint has no padding token; choose an encoder, such as BERT")
    known = ("attention_probs_dropout_prob", "attention_dropout")  # BERT's name, and others'
    name = next((name for name in known if hasattr(config, name)), None)
    if name is None:
        raise UserError(f"the config of this {config.model_type} has none of {', '.join(known)}")
    setattr(config, name, attention_dropout)
    set_seed(seed)  # before the head is made: Trainer's own seeding comes after it
    model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
        pretrained,
        config=config,
        dtype=torch.float32,
        attn_implementation=attn_implementation,
    )
    first_token.compute_only_first(model)
    return model


def _depths(model: PreTrainedModel) -> tuple[dict[str, int], int]:
    """How deep each parameter lies, and how many layers there are.

    0 is the embeddings, 1 the lowest layer, and so on; what is above the last layer has one more.
    """
    numbers = {
        name: int(found.group(1)) + 1
        for name, _ in model.named_parameters()
        if (found := re.search(r"\.layers?\.(\d+)\.", name))
    }
    layers = max(numbers.values(), default=0)
    depths = {
        name: 0 if "embeddings" in name else numbers.get(name, layers + 1)
        for name, _ in model.named_parameters()
    }
    return depths, layers


def freeze(model: PreTrainedModel, frozen_layers: int) -> None:
    """Let the lowest layers stay what they are, of which the embeddings are the first.

    The gradient then need not go down to them (Lee et al. 2019, What Would Elsa Do?).

    Raises:
        UserError: if there are not as many.
    """
    depths, layers = _depths(model)
    if frozen_layers > 1 + layers:
        raise UserError(
            f"train.frozen_layers is {frozen_layers}, but with the embeddings this checkpoint has "
            f"{1 + layers}; set it to {1 + layers} or less"
        )
    for name, parameter in model.named_parameters():
        if depths[name] < frozen_layers:
            parameter.requires_grad_(False)


def parameter_groups(
    model: PreTrainedModel,
    *,
    learning_rate: float,
    head_learning_rate: float,
    layer_decay: float,
    weight_decay: float,
) -> list[dict[str, Any]]:
    """Parameters for AdamW: the head, and layers of which each learns slower than the one above.

    The head, which is new, learns at `head_learning_rate`; a pooler and the uppermost layer at
    about `learning_rate`, each layer below it `layer_decay` times as fast (Sun et al. 2019,
    section 5.3.4: 0.95), the embeddings slowest; what is frozen is left out. Biases and norms do
    not decay.
    """
    depths, layers = _depths(model)
    if not layers and layer_decay < 1:
        raise UserError("this checkpoint's layers have no numbers; set train.layer_decay to 1.0")
    groups: dict[tuple[float, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = learning_rate * layer_decay ** (layers + 1 - depths[name])
        if not name.startswith(f"{model.base_model_prefix}."):
            rate = head_learning_rate
        decay = weight_decay if parameter.ndim > 1 else 0.0
        group = {"params": [], "lr": rate, "weight_decay": decay}
        groups.setdefault((rate, parameter.ndim > 1), group)["params"].append(parameter)
    return list(groups.values())
