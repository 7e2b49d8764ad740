"""A model as a function: texts in, stars with calibrated probabilities out.

It cuts texts as they were cut in training, and computes them as the stage `evaluate` does: the
longest first, each core with batches of its own. An exported model needs no PyTorch.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from pydantic import PositiveInt, TypeAdapter
from scipy.special import softmax
from tokenizers import Tokenizer
from tqdm import tqdm

from yelp_stars.checkpoint.copying import TEXT_FILES
from yelp_stars.checkpoint.tokenizer import (
    TRUNCATION,
    Truncation,
    length_limit,
    special_tokens,
    truncate,
)
from yelp_stars.classifier.foreign import ANOTHER, check_folder
from yelp_stars.classifier.origin import read_origin
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.files import damaged_as, refusing, sha256_of
from yelp_stars.pipeline.params import Precision
from yelp_stars.pipeline.text import quoted
from yelp_stars.reading.labels import valid_text
from yelp_stars.scoring import calibration, conformal

FILES = (*TEXT_FILES, "model.safetensors", calibration.FILE, TRUNCATION)
EXPORTED = "model.onnx"
OTHERS = (".safetensors", ".index.json", ".onnx")  # shards of a large model, an exported one
ENCODE_ROWS = 1000  # texts tokenized at a time


@dataclass(frozen=True)
class Prediction:
    """A prediction for one text."""

    stars: str
    """Most likely label."""
    probability: float
    """Its probability, with the temperature of calibration.json."""
    probabilities: dict[str, float]
    """Probability of each label, in the order of the labels."""
    range: tuple[str, ...]
    """Labels that hold the true one in 90 % of texts; empty if the model is not calibrated."""
    truncated: bool
    """Whether the text was truncated to the model's limit."""


class Scores(NamedTuple):
    """Predictions for many texts, as arrays."""

    probabilities: np.ndarray
    """(texts, labels), float64, calibrated."""
    ranges: np.ndarray | None
    """(texts, labels), bool; None if the model is not calibrated."""
    truncated: np.ndarray
    """(texts,), bool."""
    logits: np.ndarray
    """(texts, labels), float64, of the model."""


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


class Engine(Protocol):
    """Computes the logits of a model: by PyTorch, or by ONNX Runtime."""

    packages: tuple[str, ...]
    """Those that compute, for their versions; the first one decides the logits."""
    precision: str
    tokenizer: Tokenizer
    side: str
    """End of a text to cut, "right" or "left", where truncation.json does not say."""
    label_names: list[str]
    batch_size: int
    """Texts per batch, if nobody chooses."""

    @property
    def cores(self) -> int:
        """Number of threads."""

    def logits(self, tokens: Tokens, batch_size: int, bar: tqdm) -> np.ndarray:
        """Compute the logits (texts, labels), float32."""


class Cut(NamedTuple):
    """Truncation of texts to the model's limit."""

    max_length: PositiveInt
    truncation: Truncation
    known: bool = False
    """Whether the folder says so; otherwise keep the first tokens."""


class Classifier:
    """A model with its calibration; call it with texts. Load one with `load_classifier`."""

    def __init__(
        self, folder: Path, precision: Precision, batch_size: int | None, threads: int | None
    ) -> None:
        self.engine = load_engine(folder, precision, threads)
        self._specials = special_tokens(self.engine.tokenizer)
        self.label_names = self.engine.label_names
        self.batch_size = self.engine.batch_size if batch_size is None else batch_size
        self.cut = read_cut(folder, self.engine.side)
        self.origin = read_origin(folder)
        self.noun = self.origin.noun
        self.fitted = calibration.read(folder) if (folder / calibration.FILE).is_file() else None
        with refusing(f"{quoted(str(folder))} cannot compute a text", ANOTHER):
            self.scores(["a"])

    def __call__(self, texts: Sequence[str]) -> list[Prediction]:
        """Predict each text of a list."""
        if isinstance(texts, str):
            raise TypeError("give a list of texts, not one text")
        return self.predictions(self.scores(validated(texts)))

    def scores(self, texts: Sequence[str], bar: tqdm | None = None) -> Scores:
        """Score each text; they must be valid."""
        tokens = self.encode(texts)
        bar = tqdm(disable=True) if bar is None else bar
        # A few texts are divided among the cores.
        rows = min(self.batch_size, max(1, math.ceil(len(texts) / self.engine.cores)))
        logits = self.engine.logits(tokens, rows, bar).astype(np.float64)
        plain = softmax(logits, axis=1)
        if self.fitted is None:
            return Scores(plain, None, tokens.truncated, logits)
        # The threshold holds for the plain probabilities.
        ranges = conformal.sets(plain, self.fitted.ordered, self.fitted.conformal_threshold)
        probabilities = softmax(logits / self.fitted.temperature, axis=1)
        return Scores(probabilities, ranges, tokens.truncated, logits)

    def look(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return the margin of each valid text and its features, which the head's last layer reads.

        A margin is the difference of the two largest probabilities; (texts,), (texts, size). An
        exported model has no features.
        """
        from yelp_stars.classifier.transformer import Transformer  # late, as in load_engine

        assert isinstance(self.engine, Transformer)
        return self.engine.look(self.encode(texts), self.batch_size)

    def encode(self, texts: Sequence[str]) -> Tokens:
        """Tokenize each text, cut as in training."""
        ids: list[list[int]] = []
        truncated: list[bool] = []
        for start in range(0, len(texts), ENCODE_ROWS):
            batch = list(texts[start : start + ENCODE_ROWS])
            encodings = self.engine.tokenizer.encode_batch_fast(batch)
            truncated += [len(encoding) > self.cut.max_length for encoding in encodings]
            rows, _ = truncate(encodings, self._specials, self.cut.max_length, self.cut.truncation)
            ids += rows
        lengths = np.fromiter(map(len, ids), np.int64, len(ids))
        return Tokens(ids, lengths, np.array(truncated, bool))

    def predictions(self, scores: Scores) -> list[Prediction]:
        """Name the scores of each text by the labels."""
        names = self.label_names
        best = scores.probabilities.argmax(axis=1).tolist()
        predictions = []
        for row, values in enumerate(scores.probabilities.tolist()):
            inside = [] if scores.ranges is None else np.flatnonzero(scores.ranges[row]).tolist()
            predictions.append(
                Prediction(
                    stars=names[best[row]],
                    probability=values[best[row]],
                    probabilities=dict(zip(names, values)),
                    range=tuple(names[label] for label in inside),
                    truncated=bool(scores.truncated[row]),
                )
            )
        return predictions

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
            "precision": self.engine.precision,
            "batch size": self.batch_size,
            "number of threads": self.engine.cores,
            f"version of {self.engine.packages[0]}": version(self.engine.packages[0]),
        }


def load_engine(folder: Path, precision: Precision, threads: int | None) -> Engine:
    """Load what computes the logits of a model."""
    check_folder(folder)
    # Late: an exported model needs no PyTorch, whose import takes seconds; others no ONNX Runtime.
    if not (folder / EXPORTED).is_file() or any(folder.glob("*.safetensors")):
        try:
            from yelp_stars.classifier.transformer import Transformer
        except ModuleNotFoundError:
            problem = f"{quoted(str(folder))} needs PyTorch, which is not installed"
            advice = "install torch and transformers, or choose a folder that `stars export` wrote"
            raise UserError(problem, advice=advice) from None
        return Transformer(folder, precision, threads)
    try:
        from yelp_stars.classifier.exported import Exported
    except ImportError:
        problem = f"{quoted(str(folder))} needs ONNX Runtime, which is not installed"
        raise UserError(problem, advice="run `pip install onnxruntime`") from None
    return Exported(folder, precision, threads)


def fingerprint(folder: Path) -> str:
    """Hash what decides the predictions of a model: weights, tokenizer, calibration."""
    digest = hashlib.sha256()
    others = {path.name for end in OTHERS for path in folder.glob(f"*{end}")}
    for name in [*FILES, *sorted(others - set(FILES))]:
        path = folder / name
        digest.update(f"{name} {sha256_of(path) if path.is_file() else '-'}\n".encode())
    return digest.hexdigest()


def validated(texts: Sequence[str]) -> list[str]:
    """Check each text; one that is not valid is a `BadRow` with its index."""
    return [valid_text(text, f"text {number}") for number, text in enumerate(texts)]


def read_cut(folder: Path, side: str = "right") -> Cut:
    """Read how the texts of a model were cut; without truncation.json as transformers does."""
    path, max_length = folder / TRUNCATION, length_limit(folder).tokens
    if not path.is_file():
        return Cut(max_length, "tail" if side == "left" else "head")
    with damaged_as(path, advice="copy it again"):
        cut = TypeAdapter(Cut).validate_json(path.read_bytes(), strict=True)
    if cut.max_length > max_length:
        raise UserError(f"{str(path)!r} allows more than {max_length} tokens; copy it again")
    return cut._replace(known=True)
