"""Load the classifier, freeze layers, group parameters for the optimizer."""

import re
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, set_seed

from yelp_stars.checkpoint import architecture
from yelp_stars.checkpoint.refusing import refusing
from yelp_stars.modeling.cls_attention import use_cls_only_last_layer
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import listed


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
        UserError: if its architecture is not supported, or a file of it is damaged.
    """
    config = architecture.load_config(pretrained, label_names)
    for name in architecture.ATTENTION_DROPOUTS:
        if hasattr(config, name):
            setattr(config, name, attention_dropout)
    # It is saved after the training: report a damaged one before.
    architecture.load_auto_tokenizer(pretrained)
    set_seed(seed)  # before the head is drawn: Trainer seeds only later
    with refusing(f"{str(pretrained)!r} cannot be loaded", "run `dvc repro`"):
        model, info = architecture.classifier_class(config).from_pretrained(
            pretrained,
            config=config,
            dtype=torch.float32,
            attn_implementation=attention,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            trust_remote_code=False,
        )
    if lost := architecture.lost_names(model, info):
        raise UserError(
            f"{str(pretrained)!r} lacks {listed(lost, 2)}, which the model expects; run `dvc repro`"
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
