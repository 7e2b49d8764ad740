"""Let a BERT classifier read the mean of all tokens, by weights that plain transformers loads."""

import copy

import torch
from transformers import BertForSequenceClassification

# The mean of the tokens outweighs [CLS] in the residual sum by this factor.
WEIGHT = 100.0
# Of the pooler: tanh is nearly linear for normalized features of this size.
SCALE = 0.3


def add_mean_pooling(model: torch.nn.Module) -> bool:
    """Append an encoder layer to a `BertForSequenceClassification` that averages all tokens.

    Sentence encoders are trained to be read by that mean (Reimers and Gurevych 2019); BERT's
    classifier reads [CLS]. In the new layer the queries are 0, so that [CLS] attends evenly; values
    pass through; the residual sum is normalized, and nothing is added to it. The pooler passes it
    on. Training is free to change all of them. Returns whether the model is supported; any other
    one is left unchanged.
    """
    if not isinstance(model, BertForSequenceClassification):
        return False
    layers, identity = model.bert.encoder.layer, torch.eye(model.config.hidden_size)
    layer = copy.deepcopy(layers[-1])
    attention = layer.attention
    attention.self.layer_idx = len(layers)
    with torch.no_grad():
        for linear, weight in (
            (attention.self.query, 0 * identity),
            (attention.self.value, identity),
            (attention.output.dense, WEIGHT * identity),
            (layer.output.dense, torch.zeros_like(layer.output.dense.weight)),
            (model.bert.pooler.dense, SCALE * identity),
        ):
            linear.weight.copy_(weight)
            linear.bias.zero_()
        for norm in (attention.output.LayerNorm, layer.output.LayerNorm):
            norm.weight.fill_(1)
            norm.bias.zero_()
    layers.append(layer)
    model.config.num_hidden_layers += 1
    return True
