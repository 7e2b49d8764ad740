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


def freeze(model: PreTrainedModel, frozen_layers: int) -> None:
    """Let the lowest layers stay what they are, of which the embeddings are the first.

    The gradient then need not go down to them (Lee et al. 2019, What Would Elsa Do?).

    Raises:
        UserError: if there are not as many.
    """
    numbers = {
        name: int(found.group(1)) + 1
        for name, _ in model.named_parameters()
        if (found := re.search(r"\.layers?\.(\d+)\.", name))
    }
    layers = max(numbers.values(), default=0)
    if frozen_layers > 1 + layers:
        raise UserError(
            f"train.frozen_layers is {frozen_layers}, but with the embeddings this checkpoint has "
            f"{1 + layers}; set it to {1 + layers} or less"
        )
    for name, parameter in model.named_parameters():
        depth = 0 if "embeddings" in name else numbers.get(name, layers + 1)
        if depth < frozen_layers:
            parameter.requires_grad_(False)


def parameter_groups(
    model: PreTrainedModel,
    *,
    learning_rate: float,
    head_learning_rate: float,
    weight_decay: float,
) -> list[dict[str, Any]]:
    """Parameters for AdamW: those of the head, which is new, and of the checkpoint.

    What is frozen is left out. Biases and norms do not decay.
    """
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        new = not name.startswith(f"{model.base_model_prefix}.")
        rate = head_learning_rate if new else learning_rate
        decay = weight_decay if parameter.ndim > 1 else 0.0
        group = groups.setdefault((rate, decay), {"params": [], "lr": rate, "weight_decay": decay})
        group["params"].append(parameter)
    return list(groups.values())
