"""Load the classifier, freeze layers, group parameters for the optimizer."""

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
from transformers.utils import logging

from yelp_stars.modeling.cls_attention import use_cls_only_last_layer
from yelp_stars.pipeline.errors import UserError

# BERT's name of the parameter, and that of others.
ATTENTION_DROPOUTS = ("attention_probs_dropout_prob", "attention_dropout")


def load_classifier(
    pretrained: Path,
    label_names: list[str],
    *,
    seed: int,
    attention_dropout: float,
    attention: str | None,
) -> PreTrainedModel:
    """Load the checkpoint in fp32, however it is stored, with a new head drawn with `seed`.

    Raises:
        UserError: if its architecture is not supported.
    """
    # Hide from_pretrained's progress bar, and its report that the head is new.
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    config = AutoConfig.from_pretrained(
        pretrained,
        num_labels=len(label_names),
        id2label=dict(enumerate(label_names)),
        label2id={name: label for label, name in enumerate(label_names)},
    )
    if config.pad_token_id is None:
        raise UserError("this checkpoint has no padding token; choose an encoder, such as BERT")
    name = next((name for name in ATTENTION_DROPOUTS if hasattr(config, name)), None)
    if name is None:
        raise UserError(
            f"the config of this {config.model_type} has none of {', '.join(ATTENTION_DROPOUTS)}; "
            f"choose an encoder, such as BERT"
        )
    setattr(config, name, attention_dropout)
    set_seed(seed)  # before the head is drawn: Trainer seeds only later
    model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
        pretrained,
        config=config,
        dtype=torch.float32,
        attn_implementation=attention,
    )
    use_cls_only_last_layer(model)
    return model


def freeze(model: PreTrainedModel, *, embeddings: bool, layers: int) -> None:
    """Freeze the embeddings and the lowest encoder layers.

    The backward pass stops above them (Lee et al. 2019, What Would Elsa Do?).

    Raises:
        UserError: if the model has fewer layers.
    """
    depth = {
        name: int(found.group(1))
        for name, _ in model.named_parameters()
        if (found := re.search(r"\.layers?\.(\d+)\.", name))
    }
    n_layers = max(depth.values(), default=-1) + 1
    if layers > n_layers:
        raise UserError(
            f"train.frozen_layers is {layers}, but this checkpoint has only {n_layers}; "
            f"set it to {n_layers} or less"
        )
    for name, parameter in model.named_parameters():
        frozen = embeddings if "embeddings" in name else depth.get(name, n_layers) < layers
        if frozen:
            parameter.requires_grad_(False)


def make_optimizer(
    model: PreTrainedModel,
    learning_rate: float,
    head_learning_rate: float,
    weight_decay: float,
) -> torch.optim.Optimizer:
    """AdamW over the trained parameters; the new head has its own learning rate.

    Biases and norms do not decay.
    """
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        head = not name.startswith(f"{model.base_model_prefix}.")
        rate = head_learning_rate if head else learning_rate
        decay = weight_decay if parameter.ndim > 1 else 0.0
        group = groups.setdefault((rate, decay), {"params": [], "lr": rate, "weight_decay": decay})
        group["params"].append(parameter)
    return torch.optim.AdamW(list(groups.values()), lr=learning_rate, fused=True)
