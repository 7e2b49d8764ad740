"""A BERT classifier reads one token of its last layer: compute no other."""

import math
from typing import Any

import torch
from transformers import BertForSequenceClassification
from transformers.models.bert.modeling_bert import BertLayer


class FirstTokenLayer(BertLayer):
    """A layer that attends from, and gives back, the first token alone: (batch, 1, hidden).

    One query needs no key of each token: q . (W x + b) is (q W) . x + q . b, and the sum of
    weighted values is their weights' sum of x, times W. Both matrices so meet one vector a head
    instead of one a token.
    """

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        *_: Any,
        **__: Any,
    ) -> torch.Tensor:
        attention = self.attention.self
        size = attention.attention_head_size
        first = hidden_states[:, :1]

        def by_head(linear: torch.nn.Linear) -> tuple[torch.Tensor, torch.Tensor]:
            return linear.weight.view(-1, size, linear.in_features), linear.bias.view(-1, size)

        (keys, key_bias), (values, value_bias) = by_head(attention.key), by_head(attention.value)
        query = attention.query(first).view(len(first), -1, size)  # batch, head, size
        # Softmax does not see the key's bias; a gradient it must have, for DDP.
        asked = torch.einsum("bhs,hsx->bhx", query, keys)
        scores = asked @ hidden_states.mT + (query * key_bias).sum(-1, keepdim=True)
        scores = scores / math.sqrt(size)  # batch, head, token
        if attention_mask is not None:
            scores = scores + additive(attention_mask[:, 0, :1])
        weights = attention.dropout(scores.softmax(-1))
        mixed = torch.einsum("bhx,hsx->bhs", weights @ hidden_states, values)
        context = mixed + weights.sum(-1, keepdim=True) * value_bias
        read = self.attention.output(context.flatten(1).unsqueeze(1), first)
        computed: torch.Tensor = self.feed_forward_chunk(read)
        return computed


def additive(mask: torch.Tensor) -> torch.Tensor:
    """SDPA's mask of booleans as the eager attention's: 0, or what leaves no weight.

    Not minus infinity: a row of nothing but padding then has even weights instead of none.
    """
    if mask.dtype != torch.bool:
        return mask
    none = torch.zeros(mask.shape, device=mask.device)
    return none.masked_fill(~mask, torch.finfo(none.dtype).min)


def compute_only_first(model: torch.nn.Module) -> bool:
    """Let the last layer of a `BertForSequenceClassification` compute its first token only.

    The pooler reads no other, and no gradient comes from the others: logits and gradients are the
    same, up to rounding, for next to none of the layer's work. The weights keep their names.
    Says whether the model is one of that kind; any other is left as it is.
    """
    if not isinstance(model, BertForSequenceClassification) or model.config.is_decoder:
        return False
    if model.config._attn_implementation not in ("sdpa", "eager"):  # other kinds of masks
        return False
    # Another class for the layer that is there: its weights stay, and so do their names.
    model.bert.encoder.layer[-1].__class__ = FirstTokenLayer
    return True
