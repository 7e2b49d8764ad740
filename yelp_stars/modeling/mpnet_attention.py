"""Compute MPNet's attention faster: fused, its bias added once, its last layer for one token."""

import math
from typing import Any

import torch
from transformers import MPNetForSequenceClassification
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.mpnet.modeling_mpnet import (
    MPNetAttention,
    MPNetEncoder,
    MPNetSelfAttention,
)


class OneBiasEncoder(MPNetEncoder):
    """Add the mask to the position bias once, instead of in each layer and for each row."""

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        *_: Any,
        **__: Any,
    ) -> BaseModelOutput:
        # Of one row: transformers repeats it for each row of the batch.
        bias = self.compute_position_bias(hidden_states[:1])
        if attention_mask is not None:
            bias = bias + attention_mask
        for layer in self.layer:
            hidden_states = layer(hidden_states, position_bias=bias)[0]
        return BaseModelOutput(last_hidden_state=hidden_states)


class FusedSelfAttention(MPNetSelfAttention):
    """Attend with PyTorch's fused kernel, which has no matrix of all pairs of tokens.

    For inference only: the kernels have no gradient of the position bias.
    """

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_bias: Any = None,
        **options: Any,
    ) -> tuple[torch.Tensor, ...]:
        if self.training:
            return super().forward(hidden_states, attention_mask, position_bias, **options)
        query, key, value = (
            per_head(linear, hidden_states, self.num_attention_heads)
            for linear in (self.q, self.k, self.v)
        )
        attended = torch.nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=position_bias.to(query.dtype)
        )
        return (self.o(attended.transpose(1, 2).flatten(2)),)


class FirstTokenSelfAttention(MPNetSelfAttention):
    """Attend from the first token alone: (batch, 1, hidden)."""

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_bias: Any = None,
        **_: Any,
    ) -> tuple[torch.Tensor, ...]:
        heads = self.num_attention_heads
        query = per_head(self.q, hidden_states[:, :1], heads)
        key, value = (per_head(linear, hidden_states, heads) for linear in (self.k, self.v))
        scores = query @ key.mT / math.sqrt(self.attention_head_size) + position_bias[:, :, :1]
        weights = self.dropout(scores.softmax(-1)).to(value.dtype)
        return (self.o((weights @ value).transpose(1, 2).flatten(2)),)


class FirstTokenAttention(MPNetAttention):
    """Return the first token alone, with its residual."""

    def forward(
        self, hidden_states: torch.Tensor, *given: Any, **options: Any
    ) -> tuple[torch.Tensor, ...]:
        attended = self.attn(hidden_states, *given, **options)[0]
        return (self.LayerNorm(self.dropout(attended) + hidden_states[:, :1]),)


def per_head(linear: torch.nn.Linear, states: torch.Tensor, heads: int) -> torch.Tensor:
    """Project states and divide them by heads: (batch, heads, tokens, size)."""
    return linear(states).unflatten(-1, (heads, -1)).transpose(1, 2)


def use_fast_mpnet(model: torch.nn.Module) -> None:
    """Change how an `MPNetForSequenceClassification` computes; its weights keep their names.

    Logits and gradients are the same up to rounding. A model of another architecture stays as it
    is.
    """
    if not isinstance(model, MPNetForSequenceClassification):
        return
    encoder = model.mpnet.encoder
    encoder.__class__ = OneBiasEncoder
    for layer in encoder.layer:
        layer.attention.attn.__class__ = FusedSelfAttention
    last = encoder.layer[-1].attention
    last.__class__, last.attn.__class__ = FirstTokenAttention, FirstTokenSelfAttention
