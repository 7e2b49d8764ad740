"""A checkpoint as a classifier: its new head, what that reads, frozen layers."""

import copy
import re
from pathlib import Path

import torch
from transformers import (
    BertForSequenceClassification,
    MPNetForSequenceClassification,
    PreTrainedModel,
    set_seed,
)

from yelp_stars.checkpoint import architecture
from yelp_stars.modeling.cls_attention import use_cls_only_last_layer
from yelp_stars.modeling.mpnet_attention import use_fast_mpnet
from yelp_stars.pipeline.errors import Damaged, UserError
from yelp_stars.pipeline.files import refusing
from yelp_stars.pipeline.text import listed

# By this factor, the mean of all tokens outweighs [CLS] in the residual sum.
MEAN_WEIGHT = 100.0
# tanh is nearly linear for normalized features of this size.
POOLER_SCALE = 0.3


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
        problem = f"{str(pretrained)!r} lacks {listed(lost, 2)}, which the model expects"
        raise Damaged(problem, advice="run `dvc repro`")
    if mean_pooling:
        add_mean_pooling(model)
    use_cls_only_last_layer(model)
    use_fast_mpnet(model)
    return model


def add_mean_pooling(model: torch.nn.Module) -> None:
    """Append an encoder layer to a BERT or MPNet classifier that averages all tokens.

    Sentence encoders are trained to be read by that mean (Reimers and Gurevych 2019); their
    classifiers read [CLS]. In the new layer the queries are 0, so that [CLS] attends evenly; values
    pass through; the residual sum is normalized, and nothing is added to it. The pooler passes it
    on. Training is free to change all of them. MPNet's position bias stays in the attention: its
    mean prefers near tokens a little. A model of another architecture stays as it is.
    """
    if not isinstance(model, BertForSequenceClassification | MPNetForSequenceClassification):
        return
    layers = model.base_model.encoder.layer
    layer, identity = copy.deepcopy(layers[-1]), torch.eye(model.config.hidden_size)
    attention = layer.attention
    if isinstance(model, BertForSequenceClassification):
        attention.self.layer_idx = len(layers)
        query, value = attention.self.query, attention.self.value
        attended, norm = attention.output.dense, attention.output.LayerNorm
        pooler = model.bert.pooler.dense
    else:
        query, value, attended = attention.attn.q, attention.attn.v, attention.attn.o
        norm, pooler = attention.LayerNorm, model.classifier.dense
    with torch.no_grad():
        for linear, weight in (
            (query, 0 * identity),
            (value, identity),
            (attended, MEAN_WEIGHT * identity),
            (layer.output.dense, torch.zeros_like(layer.output.dense.weight)),
            (pooler, POOLER_SCALE * identity),
        ):
            linear.weight.copy_(weight)
            linear.bias.zero_()
        for each in (norm, layer.output.LayerNorm):
            each.weight.fill_(1)
            each.bias.zero_()
    layers.append(layer)
    model.config.num_hidden_layers += 1


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
        problem = f"train.frozen_layers is {layers}, but this checkpoint has only {n_layers}"
        advice = f"set it to {n_layers} or less"
        raise UserError(problem, setting="train.frozen_layers", advice=advice)
    for name, parameter in model.named_parameters():
        frozen = embeddings if "embeddings" in name else depth.get(name, n_layers) < layers
        if frozen:
            parameter.requires_grad_(False)
