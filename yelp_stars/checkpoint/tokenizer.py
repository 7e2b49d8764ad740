"""Which token ids a text has: the checkpoint's tokenizer, and truncation to the model's length."""

import contextlib
import json
import math
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tokenizers import Encoding, Tokenizer

from yelp_stars.checkpoint.refusing import Refusing
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import quoted

Truncation = Literal["head", "tail", "head_tail"]
TRUNCATION = "truncation.json"  # beside a fine-tuned model: how its texts were cut

# Of a JSON file. The vocabularies of 250,000 pieces have 10 to 35 MB.
MAX_BYTES = {"config.json": 1_000_000, "tokenizer.json": 64_000_000, "vocab.json": 64_000_000}
MAX_BYTES_OTHERS = 5_000_000
UNLIMITED = 2**31 - 1
PADDED_TO = 8  # batches are padded to a multiple of it
# Keys of config.json with the number of positions.
POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len")
# Architectures whose positions begin after the padding index: 514 take 512 tokens.
AFTER_PADDING = {
    "camembert",
    "data2vec-text",
    "esm",
    "ibert",
    "lilt",
    "longformer",
    "luke",
    "markuplm",
    "roberta",
    "roberta-prelayernorm",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xmod",
}
# With relative positions only, whatever their config.json says.
RELATIVE = {"longt5", "mt5", "t5", "umt5", "xlnet"}


class Limit(NamedTuple):
    """The largest number of tokens, and why."""

    tokens: int
    reason: str


def load_tokenizer(tokenizer: Path, config: Path, tokenizer_config: Path) -> tuple[Tokenizer, int]:
    """The checkpoint's tokenizer, and the largest number of tokens that the model takes.

    Raises:
        UserError: if a file is damaged, or tokenizer.json is not a fast-tokenizer file.
    """
    problem = f"{str(tokenizer)!r} is not a fast-tokenizer file"
    if "model" not in read_json(tokenizer):
        raise UserError(f"{problem}; choose another checkpoint")
    with Refusing(problem, "choose another checkpoint"):
        loaded = Tokenizer.from_file(str(tokenizer))
        # A file may bring its own truncation and padding (all-MiniLM: 128 and 128): drop both.
        loaded.no_truncation()
        loaded.no_padding()
        special_tokens(loaded)
    limits = length_limits(config, tokenizer_config)
    return loaded, min(limit.tokens for limit in limits)


def length_limits(config: Path, tokenizer_config: Path) -> tuple[Limit, Limit]:
    """The largest number of tokens by the model's own file, and by the tokenizer's.

    Raises:
        UserError: if a file is damaged, or its limit is not a positive number.
    """
    values = read_json(config)
    key = next((key for key in POSITIONS if values.get(key) is not None), None)
    architecture = values.get("model_type")
    relative = architecture in RELATIVE or (
        architecture in ("deberta", "deberta-v2") and values.get("position_biased_input") is False
    )
    if key is None or relative:
        model = Limit(UNLIMITED, f"{config.name!r} sets no limit")
    else:
        positions = positive(config, key, values[key])
        taken = 0
        if architecture in AFTER_PADDING:
            padding = values.get("pad_token_id", 1)
            taken = (padding if isinstance(padding, int) else 1) + 1
        elif architecture == "mpnet":
            taken = 2  # its padding index is 1, whatever config.json says
        tokens = min(positions - taken, positions // PADDED_TO * PADDED_TO)
        reason = f"{str(config)!r} has {key} {positions}"
        if tokens < 1:
            raise UserError(f"{reason}, which leaves no token; correct it")
        if taken and tokens == positions - taken:
            reason += f", of which {taken} come before the first token"
        elif tokens < positions:
            reason += f", and batches are padded to a multiple of {PADDED_TO}"
        model = Limit(tokens, reason)
    key = "model_max_length"
    declared = read_json(tokenizer_config).get(key)
    if declared is None:
        return model, Limit(UNLIMITED, f"{tokenizer_config.name!r} sets no limit")
    declared = positive(tokenizer_config, key, declared)
    return model, Limit(declared, f"{str(tokenizer_config)!r} has {key} {declared}")


def positive(path: Path, key: str, value: Any) -> int:
    """A number of tokens from a JSON file; 1e30 means any number."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not value >= 1 or math.isinf(value) or value != int(value):
        raise UserError(
            f"{str(path)!r} has {key} {quoted(value)}; set it to the number of tokens that the "
            f"model takes"
        )
    return min(int(value), UNLIMITED)


def read_json(path: Path) -> dict[str, Any]:
    """The content of a JSON file of a checkpoint.

    Raises:
        UserError: if it is not an object, or too large or too deep to be one of a checkpoint.
    """
    content: Any = None
    if path.stat().st_size <= MAX_BYTES.get(path.name, MAX_BYTES_OTHERS):
        with contextlib.suppress(ValueError, RecursionError):
            content = json.loads(path.read_text("utf-8"))
    if not isinstance(content, dict):
        raise UserError(
            f"the checkpoint's {path.name!r} is not a JSON object, or too large; download it again"
        )
    return content


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
