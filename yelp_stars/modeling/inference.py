"""Logits of a fine-tuned model: each row once, in its position, on all cores."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from tqdm import tqdm
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from yelp_stars.checkpoint import architecture
from yelp_stars.modeling import batching, compute
from yelp_stars.modeling.cls_attention import use_cls_only_last_layer
from yelp_stars.modeling.compute import Compute
from yelp_stars.modeling.mpnet_attention import use_fast_mpnet
from yelp_stars.pipeline.errors import Damaged, UserError
from yelp_stars.pipeline.files import refusing
from yelp_stars.pipeline.text import listed


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
    compute.set_up_cuda(repeatable=False)
    with refusing(f"{str(finetuned)!r} cannot be loaded", advice):
        model, info = AutoModelForSequenceClassification.from_pretrained(
            finetuned,
            dtype=torch.float32,  # however they are stored
            attn_implementation=resolved.attention,
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
    return model.to(compute.device())  # type: ignore[arg-type]


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
    pool = ThreadPoolExecutor(cores if model.device.type == "cpu" else 1)

    def logits_of(rows: np.ndarray) -> np.ndarray:
        batch = batching.pad([reviews[row] for row in rows], model.config.pad_token_id)
        del batch["labels"]
        mixed = resolved.precision != "fp32"
        autocast = torch.autocast(model.device.type, resolved.dtype, enabled=mixed)
        with torch.inference_mode(), autocast:
            on_device = {name: tensor.to(model.device) for name, tensor in batch.items()}
            return model(**on_device).logits.float().cpu().numpy()

    model.eval()
    parts = [np.empty((0, model.config.num_labels), np.float32)] if not batches else []
    own = tqdm(total=len(order), desc=doing, unit=" rows") if bar is None else None
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
