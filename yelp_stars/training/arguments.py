"""Turn the section `train` of params.yaml into TrainingArguments and an optimizer."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, TrainingArguments
from transformers.utils import is_torch_tf32_available

from yelp_stars.modeling.compute import Compute
from yelp_stars.modeling.inference import last_layer
from yelp_stars.pipeline.errors import UserError
from yelp_stars.training.launcher import VARIABLE


def training_arguments(
    fields: Mapping[str, Any],
    batch_size: int,
    output_dir: Path,
    resolved: Compute,
    *,
    best_by: str = "accuracy",
) -> TrainingArguments:
    """Complete `fields`, which have the names of TrainingArguments, with what is fixed here.

    `batch_size` counts the rows of an optimizer step, over all processes and accumulated parts.
    """
    if fields["tf32"] and not is_torch_tf32_available():
        raise UserError(
            "train.tf32 is true, but no GPU here supports it (Ampere does); set it to false"
        )
    n_gpus = torch.cuda.device_count()
    if n_gpus > 1 and "WORLD_SIZE" not in os.environ:
        # One process on several GPUs means DataParallel: slow, always fp32, and with random
        # numbers that checkpoints do not keep.
        raise UserError(
            f"this machine has {n_gpus} GPUs",
            advice=f"set {VARIABLE}='torchrun --nproc-per-node {n_gpus}' to use all, or "
            f"CUDA_VISIBLE_DEVICES=0 to use one",
        )
    n_processes = int(os.environ.get("WORLD_SIZE", "1"))
    n_parts = n_processes * fields["gradient_accumulation_steps"]
    if batch_size % n_parts:
        raise UserError(
            f"train.batch_size is {batch_size}, which {n_processes} processes with "
            f"{fields['gradient_accumulation_steps']} gradient_accumulation_steps do not divide",
            setting="train.batch_size",
            advice=f"set {{setting}} to a multiple of {n_parts}, or use fewer processes",
        )
    return TrainingArguments(
        output_dir=str(output_dir),
        **fields,
        per_device_train_batch_size=batch_size // n_parts,
        bf16=resolved.precision == "bf16",
        fp16=resolved.precision == "fp16",
        use_cpu=not torch.accelerator.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        include_num_input_tokens_seen="non_padding",
        eval_strategy="epoch",
        save_strategy="epoch",  # and in between, see checkpoints.py
        save_total_limit=3,  # the last one, a complete one to fall back to, and the best one
        metric_for_best_model=best_by,
        disable_tqdm=False,  # otherwise it depends on the user's TRANSFORMERS_VERBOSITY
        logging_nan_inf_filter=False,  # otherwise a NaN loss is logged as the running mean
    )


def make_optimizer(
    model: PreTrainedModel,
    *,
    learning_rate: float,
    head_learning_rate: float,
    weight_decay: float,
    fitted_head: bool = False,
) -> torch.optim.Optimizer:
    """Make AdamW over the trained parameters; the new head has its own learning rate.

    Of a fitted head, which starts from the checkpoint's features, only the last layer has it.
    Biases and norms do not decay.
    """
    last = last_layer(model) if fitted_head else ""
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        head = not name.startswith(f"{model.base_model_prefix}.") and name.startswith(last)
        rate = head_learning_rate if head else learning_rate
        decay = weight_decay if parameter.ndim > 1 else 0.0
        group = groups.setdefault((rate, decay), {"params": [], "lr": rate, "weight_decay": decay})
        group["params"].append(parameter)
    return torch.optim.AdamW(list(groups.values()), lr=learning_rate, fused=True)
