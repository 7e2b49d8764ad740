"""A fine-tuned model as a function: texts in, stars with calibrated probabilities out.

It cuts texts as they were cut in training, and computes them as the stage `evaluate` does: the
longest first, each core with batches of its own.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self, get_args

import numpy as np
import torch
from scipy.special import softmax
from tqdm import tqdm
from transformers import PreTrainedModel

from yelp_stars import inference
from yelp_stars.analysis import calibration, conformal
from yelp_stars.analysis.calibration import Calibration
from yelp_stars.data.labels import valid_text
from yelp_stars.data.tokenizer import (
    TRUNCATION,
    Truncation,
    load_tokenizer,
    special_tokens,
    truncate,
)
from yelp_stars.modeling import compute
from yelp_stars.modeling.compute import Compute
from yelp_stars.pipeline.errors import UserError, quoted
from yelp_stars.pipeline.files import sha256_of
from yelp_stars.pipeline.params import Precision

TOKENIZER_FILES = ("tokenizer.json", "config.json", "tokenizer_config.json")
# What decides a prediction, beside the options.
FILES = (*TOKENIZER_FILES, "model.safetensors", calibration.FILE, TRUNCATION)
ROWS_IN_A_BATCH = {"cpu": 8, "accelerator": 64}
ENCODE_ROWS = 1000  # texts tokenized at a time


@dataclass(frozen=True)
class Prediction:
    """What the model says about one text."""

    stars: str
    """The most likely label."""
    probability: float
    """Its probability, with the temperature of calibration.json."""
    probabilities: dict[str, float]
    """The probability of each label, in the order of the labels."""
    range: tuple[str, ...]
    """Labels that hold the right one in 90 % of the texts; none if that was not calibrated."""
    truncated: bool
    """Whether the text was longer than the model reads."""


class Scores(NamedTuple):
    """The same for many texts, as arrays."""

    probabilities: np.ndarray
    """Of shape (texts, labels), calibrated, float64."""
    ranges: np.ndarray | None
    """Of shape (texts, labels), bool; None if they were not calibrated."""
    truncated: np.ndarray
    """Of shape (texts,), bool."""


class Tokens(NamedTuple):
    """Token ids of several texts, as `inference.predict_logits` reads them."""

    ids: list[list[int]]
    lengths: np.ndarray
    truncated: np.ndarray

    def __getitem__(self, index: Any) -> Any:
        return {"input_ids": self.ids[index], "labels": 0}


class Cut(NamedTuple):
    """How texts are cut."""

    max_length: int
    truncation: Truncation
    known: bool
    """Whether the folder says so; else the first tokens are kept."""


class Classifier:
    """A model and its tokenizer; call it with texts."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: Any,
        cut: Cut,
        fitted: Calibration | None,
        resolved: Compute,
        batch_size: int,
    ) -> None:
        self.cut, self.fitted, self.resolved, self.batch_size = cut, fitted, resolved, batch_size
        names = model.config.id2label
        self.label_names: list[str] = [str(names[number]) for number in range(len(names))]
        self._model, self._tokenizer = model, tokenizer
        self._specials = special_tokens(tokenizer)

    @classmethod
    def load(
        cls, folder: Path, precision: Precision, batch_size: int | None, threads: int | None
    ) -> Self:
        """Load a folder that `from_pretrained` loads, see `load_classifier`."""
        advice = "run `dvc repro` or `dvc pull`, or choose another folder"
        missing = [name for name in TOKENIZER_FILES if not (folder / name).is_file()]
        if missing:
            raise UserError(f"{quoted(str(folder))} has no {missing[0]!r}; {advice}")
        if threads is not None:
            torch.set_num_threads(threads)
        resolved = compute.resolve(precision, "")
        tokenizer, most = load_tokenizer(*(folder / name for name in TOKENIZER_FILES))
        model = inference.load_finetuned(folder, resolved, advice)
        fitted = calibration.read(folder) if (folder / calibration.FILE).is_file() else None
        kind = "cpu" if compute.device().type == "cpu" else "accelerator"
        rows = ROWS_IN_A_BATCH[kind] if batch_size is None else batch_size
        return cls(model, tokenizer, read_cut(folder, most), fitted, resolved, rows)

    def __call__(self, texts: Sequence[str]) -> list[Prediction]:
        """Predict each text.

        Raises:
            TypeError: for a single text instead of several.
            UserError: for a text that is not valid, with its index.
        """
        if isinstance(texts, str):
            raise TypeError("give a list of texts, not one text")
        return self.predictions(self.scores(texts))

    def scores(self, texts: Sequence[str], bar: tqdm | None = None) -> Scores:
        """Probabilities, ranges, and which texts were cut.

        Raises:
            UserError: for a text that is not valid, with its index.
        """
        tokens = self.encode([valid_text(text, f"text {n}") for n, text in enumerate(texts)])
        quiet = tqdm(disable=True) if bar is None else bar
        # A few texts are divided among the cores.
        rows = min(self.batch_size, max(1, math.ceil(len(texts) / torch.get_num_threads())))
        logits = inference.predict_logits(self._model, tokens, rows, self.resolved, quiet).astype(
            np.float64
        )
        if self.fitted is None:
            return Scores(softmax(logits, axis=1), None, tokens.truncated)
        # The threshold holds for the plain probabilities.
        plain = softmax(logits, axis=1)
        ranges = conformal.sets(plain, self.fitted.ordered, self.fitted.conformal_threshold)
        scaled = softmax(logits / self.fitted.temperature, axis=1)
        return Scores(scaled, ranges, tokens.truncated)

    def encode(self, texts: Sequence[str]) -> Tokens:
        """The token ids of each text, cut as in training."""
        ids: list[list[int]] = []
        truncated: list[bool] = []
        for start in range(0, len(texts), ENCODE_ROWS):
            encodings = self._tokenizer.encode_batch_fast(list(texts[start : start + ENCODE_ROWS]))
            truncated += [len(encoding) > self.cut.max_length for encoding in encodings]
            rows, _ = truncate(encodings, self._specials, self.cut.max_length, self.cut.truncation)
            ids += rows
        lengths = np.fromiter(map(len, ids), np.int64, len(ids))
        return Tokens(ids, lengths, np.array(truncated, bool))

    def predictions(self, scores: Scores) -> list[Prediction]:
        """The scores of each text by the names of the labels."""
        names = self.label_names
        best = scores.probabilities.argmax(axis=1).tolist()
        found = []
        for row, values in enumerate(scores.probabilities.tolist()):
            inside = [] if scores.ranges is None else np.flatnonzero(scores.ranges[row]).tolist()
            found.append(
                Prediction(
                    stars=names[best[row]],
                    probability=values[best[row]],
                    probabilities=dict(zip(names, values)),
                    range=tuple(names[label] for label in inside),
                    truncated=bool(scores.truncated[row]),
                )
            )
        return found

    def __repr__(self) -> str:
        return f"Classifier({len(self.label_names)} labels, {self.resolved.precision})"


def read_cut(folder: Path, most: int) -> Cut:
    """How the texts of a model were cut; the first tokens, where the folder does not say.

    Raises:
        UserError: if its file is damaged.
    """
    path = folder / TRUNCATION
    if not path.is_file():
        return Cut(most, "head", known=False)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        length, kept = found["max_length"], found["truncation"]
        valid = type(length) is int and 0 < length <= most and kept in get_args(Truncation)
    except (ValueError, KeyError, TypeError, RecursionError):
        valid = False
    if not valid:
        raise UserError(
            f"{str(path)!r} is damaged, or allows more than {most} tokens; copy it anew"
        )
    return Cut(length, kept, known=True)


def fingerprint(folder: Path) -> str:
    """A hash of what decides the predictions of a model: weights, tokenizer, calibration."""
    found = hashlib.sha256()
    for name in FILES:
        path = folder / name
        found.update(f"{name} {sha256_of(path) if path.is_file() else '-'}\n".encode())
    return found.hexdigest()
