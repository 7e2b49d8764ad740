"""Parameter groups of the optimizer."""

from typing import Any

import torch
from transformers import PreTrainedModel


def make_optimizer(
    model: PreTrainedModel,
    *,
    learning_rate: float,
    head_learning_rate: float,
    weight_decay: float,
) -> torch.optim.Optimizer:
    """Make AdamW over the trained parameters; the new head has its own learning rate.

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
