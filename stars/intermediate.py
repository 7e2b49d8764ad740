"""What stars are, learned from short embedded reviews before the real ones.

Intermediate training, Phang et al. 2018 (Sentence Encoders on STILTs).
"""

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
    sentences: Path, pretrained: Path, rows: int, seed: int, max_length: int
) -> list[dict[str, Any]]:
    """Embedded reviews of the bank's training half, as {"input_ids": (length,), "labels": int}."""
    bank = builtin.read_bank(sentences, "train")
    options: dict[str, Any] = {"label_noise": 0.0, "seed": seed, "split": "train"}
    labels, texts = zip(*builtin.reviews(bank, rows, median_words=MEDIAN_WORDS, **options))
    tokenizer = AutoTokenizer.from_pretrained(pretrained)
    ids = tokenizer(list(texts), truncation=True, max_length=max_length)["input_ids"]
    return [{"input_ids": of, "labels": label} for of, label in zip(ids, labels, strict=True)]


def train(trainer: Trainer, rows: list[dict[str, Any]], optimizer: torch.optim.Optimizer) -> None:
    """Train the Trainer's model for one epoch, in fp32.

    Every process of several does the same by itself. The random numbers then begin anew.

    Raises:
        UserError: if the model's labels are not five.
    """
    model, args = trainer.model, trainer.args
    assert isinstance(model, PreTrainedModel)
    if model.config.num_labels != len(builtin.LABEL_NAMES):
        raise UserError(
            f"train.intermediate_reviews is {len(rows)}, but these have {len(builtin.LABEL_NAMES)} "
            f"labels and yours are {model.config.num_labels}; set it to 0"
        )
    lengths = np.array([len(row["input_ids"]) for row in rows])
    order = batching.length_grouped(lengths, args.train_batch_size, args.seed, 0)
    steps = math.ceil(len(rows) / args.train_batch_size)
    schedule = get_linear_schedule_with_warmup(optimizer, steps // 10, steps)
    model.train()
    for step in tqdm(
        range(steps), "embedded reviews first", unit=" steps", disable=args.process_index > 0
    ):
        some = order[step * args.train_batch_size : (step + 1) * args.train_batch_size]
        batch = batching.pad([rows[row] for row in some], model.config.pad_token_id)
        model(**{name: tensor.to(args.device) for name, tensor in batch.items()}).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), args.max_grad_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    set_seed(args.seed)
