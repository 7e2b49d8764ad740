"""A fine-tuned transformer and its tokenizer: texts in, logits out.

It cuts texts as they were cut in training, and computes them as the stage `evaluate` does: the
longest first, each core with batches of its own.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import torch
from tqdm import tqdm

from yelp_stars.checkpoint.tokenizer import (
    TOKENIZER_FILES,
    TRUNCATION,
    Truncation,
    load_tokenizer,
    special_tokens,
    truncate,
)
from yelp_stars.modeling import compute, inference
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.files import damaged_as
from yelp_stars.pipeline.params import Precision
from yelp_stars.pipeline.text import quoted

CPU_ROWS, ACCELERATOR_ROWS = 8, 64  # in a batch
ENCODE_ROWS = 1000  # texts tokenized at a time


@dataclass(frozen=True)
class Tokens:
    """Token ids of several texts, as `inference.predict_logits` reads them."""

    ids: list[list[int]]
    lengths: np.ndarray
    """(texts,), int64."""
    truncated: np.ndarray
    """(texts,), bool."""

    def __getitem__(self, row: int) -> dict[str, Any]:
        return {"input_ids": self.ids[row], "labels": 0}


class Cut(NamedTuple):
    """Truncation of texts to the model's limit."""

    max_length: int
    truncation: Truncation
    known: bool
    """Whether the folder says so; otherwise keep the first tokens."""


class Transformer:
    """A fine-tuned model and its tokenizer, of a folder that `from_pretrained` loads."""

    def __init__(
        self, folder: Path, precision: Precision, batch_size: int | None, threads: int | None
    ) -> None:
        advice = "run `dvc repro` or `dvc pull`, or choose another folder"
        missing = [name for name in TOKENIZER_FILES if not (folder / name).is_file()]
        if missing:
            raise UserError(f"{quoted(str(folder))} has no {missing[0]!r}; {advice}")
        if threads is not None:
            torch.set_num_threads(threads)
        self.resolved = compute.resolve(precision, "precision")
        self._tokenizer, max_length = load_tokenizer(folder)
        self._specials = special_tokens(self._tokenizer)
        self._model = inference.load_finetuned(folder, self.resolved, advice)
        names = self._model.config.id2label
        self.label_names = [str(names[number]) for number in range(len(names))]
        rows = CPU_ROWS if compute.device().type == "cpu" else ACCELERATOR_ROWS
        self.batch_size = rows if batch_size is None else batch_size
        self.cut = read_cut(folder, max_length)

    def logits(self, texts: Sequence[str], bar: tqdm) -> tuple[np.ndarray, np.ndarray]:
        """Compute the logits (texts, labels), float64, and which texts were cut (texts,), bool."""
        tokens = self.encode(texts)
        # A few texts are divided among the cores.
        rows = min(self.batch_size, max(1, math.ceil(len(texts) / torch.get_num_threads())))
        with compute.enough_memory(f"choose a --batch-size below {self.batch_size}"):
            logits = inference.predict_logits(self._model, tokens, rows, self.resolved, bar)
        return logits.astype(np.float64), tokens.truncated

    def encode(self, texts: Sequence[str]) -> Tokens:
        """Tokenize each text, cut as in training."""
        ids: list[list[int]] = []
        truncated: list[bool] = []
        for start in range(0, len(texts), ENCODE_ROWS):
            encodings = self._tokenizer.encode_batch_fast(list(texts[start : start + ENCODE_ROWS]))
            truncated += [len(encoding) > self.cut.max_length for encoding in encodings]
            rows, _ = truncate(encodings, self._specials, self.cut.max_length, self.cut.truncation)
            ids += rows
        lengths = np.fromiter(map(len, ids), np.int64, len(ids))
        return Tokens(ids, lengths, np.array(truncated, bool))

    @property
    def reads(self) -> str:
        """Describe the part of a text that the model reads."""
        ends = {"head": "first", "tail": "last", "head_tail": "first and last"}
        unknown = " (its folder does not say how texts were cut in training)"
        how = f"the {ends[self.cut.truncation]} {self.cut.max_length} tokens of a text"
        return how + ("" if self.cut.known else unknown)

    @property
    def identity(self) -> dict[str, Any]:
        """Return the conditions that determine the logits, besides the model's files."""
        return {
            "precision": self.resolved.precision,
            "batch size": self.batch_size,
            "number of threads": torch.get_num_threads(),
            "version of torch": str(torch.__version__),
        }


def read_cut(folder: Path, max_length: int) -> Cut:
    """Read how the texts of a model were cut; the first tokens where the folder does not say."""
    path = folder / TRUNCATION
    if not path.is_file():
        return Cut(max_length, "head", known=False)
    with damaged_as(path, advice="copy it again"):
        cut = json.loads(path.read_text(encoding="utf-8"))
        length, truncation = cut["max_length"], cut["truncation"]
        if type(length) is not int or length < 1 or truncation not in get_args(Truncation):
            raise ValueError
    if length > max_length:
        raise UserError(f"{str(path)!r} allows more than {max_length} tokens; copy it again")
    return Cut(length, truncation, known=True)
