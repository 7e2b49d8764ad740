"""Attention that suits the hardware."""

from typing import Any

import torch
from torch.nn.functional import dropout as drop
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME = "plain"
# Their queries have a key and a value each, and see what the mask lets them: no less, no more.
KNOWN = ("bert", "camembert", "distilbert", "electra", "roberta", "xlm-roberta")


def plain(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """softmax(q k) v as three operations, of (batch, head, token, size); a mask is of booleans."""
    scores = (query * scaling) @ key.mT
    if attention_mask is not None:
        hidden = torch.zeros_like(attention_mask, dtype=scores.dtype)
        scores = scores + hidden.masked_fill(~attention_mask, -torch.inf)
    weights = drop(scores.softmax(-1), dropout, module.training)
    return (weights @ value).transpose(1, 2), None


def suit(model: PreTrainedModel, precision: str) -> None:
    """Let a model that computes in bf16 on a CPU do so in its attention, too.

    There torch 2.13's fused kernel computes at fp32's speed forwards, and slower backwards, though
    the rest of the model is several times as fast. In fp32 and on a GPU it stays.
    """
    on_cpu = not torch.accelerator.is_available()
    if precision == "bf16" and on_cpu and model.config.model_type in KNOWN:
        AttentionInterface.register(NAME, plain)
        AttentionMaskInterface.register(NAME, sdpa_mask)
        model.set_attn_implementation(NAME)
