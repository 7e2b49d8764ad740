"""Turn texts into token ids: the checkpoint's tokenizer, truncated to the model's length."""

import contextlib
import json
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tokenizers import Encoding, Tokenizer

from yelp_stars.modeling.padding import PAD_TO_MULTIPLE_OF
from yelp_stars.pipeline.errors import Damaged, UserError
from yelp_stars.pipeline.files import refusing
from yelp_stars.pipeline.text import quoted

Truncation = Literal["head", "tail", "head_tail"]
# What a checkpoint's tokenizer is made of, and its limits.
TOKENIZER_FILES = ("tokenizer.json", "config.json", "tokenizer_config.json")
# Beside a fine-tuned model: how its texts were cut, and how its training rows were read.
TRUNCATION, ORIGIN = "truncation.json", "origin.json"

UNLIMITED = 2**31 - 1
ANOTHER = "choose another checkpoint"
POSITIONS = "max_position_embeddings"  # of config.json
# Architectures whose positions begin after the padding index: 514 take 512 tokens.
AFTER_PADDING = {
    "camembert", "data2vec-text", "esm", "longformer", "luke", "roberta", "roberta-prelayernorm",
    "xlm-roberta", "xlm-roberta-xl", "xmod",
}  # fmt: skip


class Limit(NamedTuple):
    """Maximum number of tokens, and its reason."""

    tokens: int
    reason: str


def load_tokenizer(folder: Path) -> tuple[Tokenizer, int]:
    """Load a checkpoint's tokenizer; return it with the number of tokens that the model takes."""
    file = folder / "tokenizer.json"
    problem = f"{str(file)!r} is not a fast-tokenizer file"
    if "model" not in read_json(file):
        raise UserError(problem, advice=ANOTHER)
    with refusing(problem, ANOTHER):
        tokenizer = Tokenizer.from_file(str(file))
        # A file may bring its own truncation and padding (all-MiniLM: 128 and 128): drop both.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        special_tokens(tokenizer)
    return tokenizer, length_limit(folder).tokens


def length_limit(folder: Path) -> Limit:
    """Return the smaller limit of config.json and tokenizer_config.json."""
    config, tokenizer_config = folder / "config.json", folder / "tokenizer_config.json"
    limits = [Limit(UNLIMITED, "no limit is set")]
    declared = read_json(tokenizer_config).get("model_max_length")
    if declared is not None:
        declared = positive(tokenizer_config, "model_max_length", declared)
        limits.append(Limit(declared, f"{str(tokenizer_config)!r} has model_max_length {declared}"))
    values = read_json(config)
    is_deberta = values.get("model_type") in ("deberta", "deberta-v2")
    relative = is_deberta and values.get("position_biased_input") is False
    if values.get(POSITIONS) is not None and not relative:
        limits.append(position_limit(config, values))
    return min(limits)


def position_limit(config: Path, values: dict[str, Any]) -> Limit:
    """Return the number of tokens that a model's positions leave for a row and its padding."""
    positions, reserved = positive(config, POSITIONS, values[POSITIONS]), 0
    if values.get("model_type") in AFTER_PADDING:
        padding = values.get("pad_token_id", 1)
        reserved = (padding if isinstance(padding, int) else 1) + 1
    elif values.get("model_type") == "mpnet":
        reserved = 2  # its padding index is 1, whatever config.json says
    padded = positions // PAD_TO_MULTIPLE_OF * PAD_TO_MULTIPLE_OF
    tokens = min(positions - reserved, padded)
    reason = f"{str(config)!r} has {POSITIONS} {positions}"
    if tokens < 1:
        raise UserError(f"{reason}, which leaves no token", advice="correct it")
    return Limit(tokens, reason + (", some of them for padding" if tokens < positions else ""))


def positive(path: Path, key: str, value: Any) -> int:
    """Return a number of tokens from a JSON file; 1e30 means any number."""
    # The remainder of an infinite number is NaN.
    if type(value) not in (int, float) or value < 1 or value % 1 != 0:
        problem = f"{str(path)!r} has {key} {quoted(value)}"
        raise UserError(problem, advice="set it to the model's maximum number of tokens")
    return min(int(value), UNLIMITED)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of a checkpoint."""
    content: Any = None
    with contextlib.suppress(ValueError, RecursionError):
        content = json.loads(path.read_text("utf-8"))
    if not isinstance(content, dict):
        problem = f"the checkpoint's {path.name!r} is not a JSON object"
        raise Damaged(problem, advice="download it again")
    return content


def special_tokens(tokenizer: Tokenizer) -> tuple[int, int]:
    """Count the special tokens before and after every text: (1, 1) for BERT."""
    mask = tokenizer.encode("a").special_tokens_mask
    return mask.index(0), mask[::-1].index(0)


def head_tail_budget(room: int, truncation: Truncation) -> tuple[int, int]:
    """Divide the room for a text's own tokens to keep at its head and at its tail, `room` in total.

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
    """Return at most `max_length` token ids of each text, and the number of truncated texts.

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
