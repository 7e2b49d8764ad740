"""Intermediate-task training on synthetic reviews (STILTs, Phang et al. 2018)."""

import contextlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm
from transformers import get_linear_schedule_with_warmup, set_seed

from yelp_stars.checkpoint.tokenizer import load_tokenizer, special_tokens, truncate
from yelp_stars.data import synthetic
from yelp_stars.modeling.batching import length_grouped, pad
from yelp_stars.pipeline.errors import UserError
from yelp_stars.training.trainer import ResumableTrainer

MEDIAN_WORDS = 20


def compose_examples(
    sentences: Path, pretrained: Path, size: int, seed: int, max_length: int
) -> list[dict[str, Any]]:
    """Compose tokenized synthetic reviews: {"input_ids": (length,), "labels": int}."""
    bank = synthetic.read_bank(sentences, "train")
    reviews = synthetic.reviews(
        bank, size, median_words=MEDIAN_WORDS, label_noise=0.0, seed=seed, split="train"
    )
    labels, texts = zip(*reviews)
    tokenizer, _ = load_tokenizer(pretrained)
    # Short reviews: how a long one is truncated does not matter.
    encodings = tokenizer.encode_batch_fast(list(texts))
    rows, _ = truncate(encodings, special_tokens(tokenizer), max_length, "head")
    return [{"input_ids": ids, "labels": label} for ids, label in zip(rows, labels, strict=True)]


def train(
    trainer: ResumableTrainer,
    optimizer: torch.optim.Optimizer,
    *,
    sentences: Path,
    pretrained: Path,
    size: int,
) -> None:
    """Train on `size` reviews for one epoch; in fp32 where the Trainer computes in fp16.

    A step has as many rows as the Trainer's; each of several processes computes all of them, so
    that the weights do not depend on the number of processes. Afterwards the random numbers are
    seeded again.
    """
    model, args, train_rows = trainer.model, trainer.args, trainer.train_dataset
    n_labels, n_stars = model.config.num_labels, len(synthetic.LABEL_NAMES)
    if n_labels != n_stars or not train_rows.ordered:
        raise UserError(
            f"train.intermediate_size is {size}, but synthetic reviews have {n_stars} labels in "
            f"order and yours have {n_labels}{'' if train_rows.ordered else ' without one'}",
            setting="train.intermediate_size",
            advice="set it to 0",
        )
    examples = compose_examples(sentences, pretrained, size, args.seed, train_rows.max_length)
    rows_per_step = trainer.rows_per_step
    lengths = np.array([len(example["input_ids"]) for example in examples])
    order = length_grouped(lengths, rows_per_step, args.seed, 0)
    steps = [order[start : start + rows_per_step] for start in range(0, len(order), rows_per_step)]
    schedule = get_linear_schedule_with_warmup(optimizer, len(steps) // 10, len(steps))
    # fp16 needs loss scaling, which this loop does not have.
    autocast = trainer.accelerator.autocast if args.bf16 else contextlib.nullcontext
    model.train()
    often = {"unit": "step", "miniters": 1, "mininterval": 0.1 if sys.stderr.isatty() else 60}
    for rows in tqdm(steps, "intermediate training", disable=args.process_index > 0, **often):
        for start in range(0, len(rows), args.train_batch_size):
            part = [examples[row] for row in rows[start : start + args.train_batch_size]]
            batch = pad(part, model.config.pad_token_id)
            on_device = {name: tensor.to(model.device) for name, tensor in batch.items()}
            with autocast():
                loss = model(**on_device).loss
            (loss * len(part) / len(rows)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), args.max_grad_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    set_seed(args.seed)
