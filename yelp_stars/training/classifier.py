"""A checkpoint as a classifier with a new head; frozen layers."""

import re
from pathlib import Path

import torch
from transformers import PreTrainedModel, set_seed

from yelp_stars.checkpoint import architecture
from yelp_stars.modeling.cls_attention import use_cls_only_last_layer
from yelp_stars.pipeline.errors import Damaged, UserError
from yelp_stars.pipeline.files import refusing
from yelp_stars.pipeline.text import listed
from yelp_stars.training.mean_pooling import add_mean_pooling


def load_pretrained(
    pretrained: Path,
    label_names: list[str],
    *,
    seed: int,
    attention_dropout: float,
    attention: str | None,
    mean_pooling: bool = False,
) -> PreTrainedModel:
    """Load the checkpoint in fp32, however it is stored, with a new head drawn with `seed`.

    With `mean_pooling`, the head reads the mean of all tokens, where the model can.
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
        raise Damaged(
            f"{str(pretrained)!r} lacks {listed(lost, 2)}, which the model expects",
            advice="run `dvc repro`",
        )
    if mean_pooling:
        add_mean_pooling(model)
    use_cls_only_last_layer(model)
    return model


def freeze(model: PreTrainedModel, *, embeddings: bool, layers: int) -> None:
    """Freeze the embeddings and the lowest encoder layers.

    The backward pass stops above them (Lee et al. 2019, What Would Elsa Do?).
    """
    depth = {
        name: int(layer[1])
        for name, _ in model.named_parameters()
        if (layer := re.search(r"\.layers?\.(\d+)\.", name))
    }
    n_layers = max(depth.values(), default=-1) + 1
    if layers > n_layers:
        raise UserError(
            f"train.frozen_layers is {layers}, but this checkpoint has only {n_layers}",
            setting="train.frozen_layers",
            advice=f"set it to {n_layers} or less",
        )
    for name, parameter in model.named_parameters():
        frozen = embeddings if "embeddings" in name else depth.get(name, n_layers) < layers
        if frozen:
            parameter.requires_grad_(False)
