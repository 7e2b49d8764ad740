"""Which token ids a text has: the checkpoint's tokenizer, and truncation to the model's length."""

import json
from pathlib import Path
from typing import Literal

from tokenizers import Encoding, Tokenizer

from yelp_stars.pipeline.errors import UserError

Truncation = Literal["head", "tail", "head_tail"]


def load_tokenizer(tokenizer: Path, config: Path, tokenizer_config: Path) -> tuple[Tokenizer, int]:
    """The checkpoint's tokenizer, and the largest number of tokens that the model takes.

    Raises:
        UserError: if tokenizer.json is not a fast-tokenizer file.
    """
    try:
        readable = "model" in json.loads(tokenizer.read_text("utf-8"))
    except ValueError:
        readable = False
    if not readable:
        raise UserError(
            f"{str(tokenizer)!r} is not a fast-tokenizer file; choose another checkpoint"
        )
    loaded = Tokenizer.from_file(str(tokenizer))
    # A file may bring its own truncation and padding (all-MiniLM: 128 and 128): drop both.
    loaded.no_truncation()
    loaded.no_padding()
    limits = [
        json.loads(config.read_text("utf-8")).get("max_position_embeddings"),
        json.loads(tokenizer_config.read_text("utf-8")).get("model_max_length"),
    ]
    return loaded, int(min((limit for limit in limits if limit), default=2**31 - 1))


def special_tokens(tokenizer: Tokenizer) -> tuple[int, int]:
    """The numbers of special tokens before and after every text: (1, 1) for BERT."""
    mask = tokenizer.encode("a").special_tokens_mask
    return mask.index(0), mask[::-1].index(0)


def head_tail_budget(room: int, truncation: Truncation) -> tuple[int, int]:
    """The numbers of a text's own tokens to keep at its head and at its tail, `room` in total.

    `head_tail` keeps a quarter at the head: 128 and 382 of 510, Sun et al. 2019
    (How to Fine-Tune BERT for Text Classification?, section 5.3.1).
    """
    if truncation == "head":
        return room, 0
    if truncation == "tail":
        return 0, room
    head = (room + 2) // 4
    return head, room - head


def truncate(
    encodings: list[Encoding],
    specials: tuple[int, int],
    max_length: int,
    truncation: Truncation,
) -> tuple[list[list[int]], int]:
    """The token ids of each text, at most `max_length`, and the number of truncated texts.

    `specials` are the numbers of special tokens before and after every text: all are kept.
    """
    before, after = specials
    rows = [encoding.ids for encoding in encodings]
    n_truncated = 0
    for number, ids in enumerate(rows):
        if len(ids) > max_length:
            head, tail = head_tail_budget(max_length - before - after, truncation)
            rows[number] = ids[: before + head] + ids[len(ids) - tail - after :]
            n_truncated += 1
    return rows, n_truncated
