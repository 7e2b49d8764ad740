"""Logits of a fine-tuned model: each row once, in its position, on all cores."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from tqdm import tqdm
from transformers import AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel

from yelp_stars.checkpoint import architecture
from yelp_stars.modeling import batching, compute
from yelp_stars.modeling.cls_attention import cls_only_parameters, use_cls_only_last_layer
from yelp_stars.modeling.compute import Compute
from yelp_stars.modeling.mpnet_attention import use_fast_mpnet
from yelp_stars.modeling.padding import padded_width
from yelp_stars.pipeline.errors import Damaged, UserError
from yelp_stars.pipeline.files import refusing
from yelp_stars.pipeline.text import listed

ATTENTION_TOKENS = 16


class Rows(Protocol):
    """Token ids of several texts."""

    @property
    def lengths(self) -> np.ndarray:
        """Number of ids per row, (rows,)."""

    def __getitem__(self, index: int) -> dict[str, Any]:
        """{"input_ids": (length,), "labels": int}."""


def load_finetuned(
    finetuned: Path, resolved: Compute, advice: str = "run `dvc repro`"
) -> PreTrainedModel:
    """Load a fine-tuned classifier to this machine's device, for inference only."""
    architecture.be_quiet()
    architecture.check_folder(finetuned)
    compute.set_up_cuda(repeatable=False)
    with refusing(f"{str(finetuned)!r} cannot be loaded", advice):
        model, info = AutoModelForSequenceClassification.from_pretrained(
            finetuned,
            dtype=torch.float32,  # however they are stored
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            trust_remote_code=False,
            use_safetensors=True,
            disable_mmap=True,  # a file that is overwritten later would end the process (SIGBUS)
            **architecture.OUTPUTS,
        )
    for name, shape, expected in sorted(info["mismatched_keys"]):
        raise UserError(
            f"{str(finetuned)!r} has {name!r} of the shape {[*shape]}, but its config.json is for "
            f"{[*expected]} ({model.config.num_labels} labels)",
            advice=advice,
        )
    if lost := sorted(info["missing_keys"]):
        problem = f"{str(finetuned)!r} lacks {listed(lost, 2)}, which the model expects"
        raise UserError(problem, advice=advice)
    use_cls_only_last_layer(model)
    use_fast_mpnet(model)
    device = compute.device()
    if device.type == "cpu":
        cast_weights(model, resolved.dtype)
    return model.to(device)  # type: ignore[arg-type]


def cast_weights(model: PreTrainedModel, dtype: torch.dtype) -> None:
    """Store the weights in the dtype of matrix products: autocast would cast them in each call.

    In batches of 8 rows, bf16 with SDPA is 1.4 to 1.8 times as fast as autocast with eager
    attention, in less memory; batches of 16 and 32 are no faster (MiniLM, real reviews, two cores
    with AMX). What computes [CLS] alone stays in float32, which takes no longer: logits are
    nearer to those of fp32. So do buffers: rotary positions need exact angles.
    """
    exact = cls_only_parameters(model)
    for parameter in model.parameters():
        if id(parameter) not in exact:
            parameter.data = parameter.data.to(dtype)


def last_layer(model: PreTrainedModel) -> str:
    """Return the name of the last layer of a classifier's head."""
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module.out_features == model.config.num_labels
    ][-1]


@contextlib.contextmanager
def without_head(model: PreTrainedModel) -> Iterator[torch.nn.Linear]:
    """Let a classifier return what the last layer of its head reads, instead of its logits.

    Yields that layer: `features @ weight.T + bias` are the logits.
    """
    name = last_layer(model)
    linear: Any = model.get_submodule(name)
    model.set_submodule(name, torch.nn.Identity())
    try:
        yield linear
    finally:
        model.set_submodule(name, linear)


def attention_width(longest: int, config: PreTrainedConfig) -> int:
    """Return the width at which a CPU attends fastest in bf16 to rows of up to `longest` tokens.

    PyTorch's fused attention (2.13) works in 16 tokens: 192 take 0.7 of the time of 184, and a
    whole MiniLM 0.92. In fp32, the padding takes what attention saves. A model that lacks the
    positions has the width of `padded_width`.
    """
    width = -(-longest // ATTENTION_TOKENS) * ATTENTION_TOKENS
    fits = width <= getattr(config, "max_position_embeddings", width)
    return width if fits else padded_width(longest)


def predict_logits(
    model: PreTrainedModel,
    reviews: Rows,
    batch_size: int,
    resolved: Compute,
    bar: tqdm | None = None,
    doing: str = "evaluate",
) -> np.ndarray:
    """Compute the logits (rows, classes), float32, in the order of the rows.

    The longest rows come first: this pads next to nothing, and too little memory shows at once.
    On a CPU each core computes batches of its own, so that as many are in memory as there are
    cores: no core waits for another within a batch, and the logits do not depend on their number.
    Without a `bar` to update, one is shown that says what it is `doing`.
    """
    order = np.argsort(-reviews.lengths, kind="stable")
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    cores = torch.get_num_threads()
    on_cpu = model.device.type == "cpu"
    pool = ThreadPoolExecutor(cores if on_cpu else 1)
    half = resolved.precision != "fp32"

    def logits_of(rows: np.ndarray) -> np.ndarray:
        longest = int(reviews.lengths[rows].max())
        width = attention_width(longest, model.config) if half and on_cpu else None
        batch = batching.pad([reviews[row] for row in rows], model.config.pad_token_id, width)
        del batch["labels"]
        # On a CPU, the weights have the dtype: see cast_weights.
        autocast = torch.autocast(model.device.type, resolved.dtype, enabled=half and not on_cpu)
        with torch.inference_mode(), autocast:
            on_device = {name: tensor.to(model.device) for name, tensor in batch.items()}
            return model(**on_device).logits.float().cpu().numpy()

    model.eval()
    parts = [np.empty((0, model.config.num_labels), np.float32)] if not batches else []
    own = tqdm(total=len(order), desc=doing, unit=" rows", disable=None) if bar is None else None
    with own or contextlib.nullcontext(bar) as shown:
        alone = len(batches) == 1  # on all cores, in this thread
        if not alone:
            torch.set_num_threads(1)  # for each thread of the pool
        try:
            for part in map(logits_of, batches) if alone else pool.map(logits_of, batches):
                if not np.isfinite(part).all():
                    problem = "the model's logits are not finite"
                    raise Damaged(problem, advice="train it again, or choose another model")
                parts.append(part)
                shown.update(len(part))
        finally:  # after Ctrl-C, start no batch that nobody waits for
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(cores)
    return np.concatenate(parts)[np.argsort(order)]
