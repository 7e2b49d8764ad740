"""What stars are, learned from short embedded reviews before the real ones.

Intermediate training, Phang et al. 2018 (Sentence Encoders on STILTs).
"""

import contextlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm
from transformers import (
    AutoTokenizer,
    PreTrainedModel,
    Trainer,
    get_linear_schedule_with_warmup,
    set_seed,
)

from stars import batching, builtin
from stars.stage import UserError

MEDIAN_WORDS = 20


def examples(
    sentences: Path, pretrained: Path, size: int, seed: int, max_length: int
) -> list[dict[str, Any]]:
    """Embedded reviews of the bank's training split: {"input_ids": (length,), "labels": int}."""
    bank = builtin.read_bank(sentences, "train")
    made = builtin.reviews(
        bank, size, median_words=MEDIAN_WORDS, label_noise=0.0, seed=seed, split="train"
    )
    labels, texts = zip(*made)
    tokenizer = AutoTokenizer.from_pretrained(pretrained)
    input_ids = tokenizer(list(texts), truncation=True, max_length=max_length)["input_ids"]
    return [
        {"input_ids": ids, "labels": label} for ids, label in zip(input_ids, labels, strict=True)
    ]


def train(
    trainer: Trainer, reviews: list[dict[str, Any]], optimizer: torch.optim.Optimizer
) -> None:
    """Train the Trainer's model for one epoch; in fp32 where it computes in fp16.

    Its steps see as many reviews as the Trainer's; each of several processes does all of them by
    itself, so that the weights do not depend on how many there are. The random numbers then begin
    anew.

    Raises:
        UserError: if the model's labels are not five.
    """
    model, args = trainer.model, trainer.args
    assert isinstance(model, PreTrainedModel)
    if model.config.num_labels != len(builtin.LABEL_NAMES):
        raise UserError(
            f"train.intermediate_reviews is {len(reviews)}, but these have "
            f"{len(builtin.LABEL_NAMES)} labels and yours are {model.config.num_labels}; "
            f"set it to 0"
        )
    step_rows = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
    lengths = np.array([len(review["input_ids"]) for review in reviews])
    order = batching.length_grouped(lengths, step_rows, args.seed, 0)
    steps = math.ceil(len(reviews) / step_rows)
    schedule = get_linear_schedule_with_warmup(optimizer, steps // 10, steps)
    # fp16 would want its losses scaled.
    autocast = trainer.accelerator.autocast if args.bf16 else contextlib.nullcontext
    model.train()
    bar = tqdm(
        range(steps), "embedded reviews first", unit=" steps", disable=args.process_index > 0
    )
    for step in bar:
        places = order[step * step_rows : (step + 1) * step_rows]
        for start in range(0, len(places), args.train_batch_size):
            part = [reviews[place] for place in places[start : start + args.train_batch_size]]
            batch = batching.pad(part, model.config.pad_token_id)
            there = {name: tensor.to(model.device) for name, tensor in batch.items()}
            with autocast():
                loss = model(**there).loss
            (loss * len(part) / len(places)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), args.max_grad_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    set_seed(args.seed)
