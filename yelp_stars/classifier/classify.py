"""A model as a function: texts in, stars with calibrated probabilities out."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from scipy.special import softmax
from tqdm import tqdm

from yelp_stars.checkpoint.tokenizer import TRUNCATION
from yelp_stars.pipeline.files import sha256_of
from yelp_stars.pipeline.params import Precision
from yelp_stars.reading.labels import valid_text
from yelp_stars.scoring import calibration, conformal
from yelp_stars.scoring.calibration import Calibration

CONFIG = "config.json"
VOCABULARY = "vocabulary.json"  # of a student
STUDENT = "yelp_stars_student"  # its model_type
# What decides a prediction, beside the options.
FILES = (
    "tokenizer.json",
    CONFIG,
    "tokenizer_config.json",
    "model.safetensors",
    calibration.FILE,
    TRUNCATION,
    VOCABULARY,
)
SHARDS = (".safetensors", ".index.json", ".bin")  # of a large model


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


class Model(Protocol):
    """What computes the logits: a `Transformer` or a `Student`."""

    label_names: list[str]

    def logits(self, texts: Sequence[str], bar: tqdm) -> tuple[np.ndarray, np.ndarray]:
        """The logits (texts, labels) as float64, and which texts were cut."""

    def too_long(self, texts: Sequence[str]) -> np.ndarray:
        """Whether each text is longer than what is read."""

    @property
    def precision(self) -> str:
        """What it computes in."""

    @property
    def reads(self) -> str:
        """What it reads of a text, for people."""

    @property
    def info(self) -> dict[str, Any]:
        """What a client of a server asks for: max_input_length and truncation."""

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the logits, beside the files of the model."""


class Classifier:
    """A model with its calibration; call it with texts."""

    def __init__(self, model: Model, fitted: Calibration | None) -> None:
        self.model, self.fitted = model, fitted
        self.label_names = model.label_names

    @classmethod
    def load(
        cls, folder: Path, precision: Precision, batch_size: int | None, threads: int | None
    ) -> Self:
        """Load the folder of a transformer or a student, see `load_classifier`."""
        model: Model
        # Late: torch takes seconds, and a student has no use for it.
        if is_student(folder):
            from yelp_stars.classifier.student import Student

            model = Student.load(folder, precision)
        else:
            from yelp_stars.classifier.transformer import Transformer

            model = Transformer.load(folder, precision, batch_size, threads)
        fitted = calibration.read(folder) if (folder / calibration.FILE).is_file() else None
        return cls(model, fitted)

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
        valid = [valid_text(text, f"text {n}") for n, text in enumerate(texts)]
        logits, truncated = self.model.logits(valid, tqdm(disable=True) if bar is None else bar)
        plain = softmax(logits, axis=1)
        if self.fitted is None:
            return Scores(plain, None, truncated)
        # The threshold holds for the plain probabilities.
        ranges = conformal.sets(plain, self.fitted.ordered, self.fitted.conformal_threshold)
        return Scores(softmax(logits / self.fitted.temperature, axis=1), ranges, truncated)

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
        return f"Classifier({len(self.label_names)} labels, {self.model.precision})"


def is_student(folder: Path) -> bool:
    """Whether a folder has a student; any other folder is for `Transformer`."""
    try:
        found = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("model_type") == STUDENT


def fingerprint(folder: Path) -> str:
    """A hash of what decides the predictions of a model: weights, tokenizer, calibration."""
    found = hashlib.sha256()
    shards = {path.name for end in SHARDS for path in folder.glob(f"*{end}")}
    for name in [*FILES, *sorted(shards - set(FILES))]:
        path = folder / name
        found.update(f"{name} {sha256_of(path) if path.is_file() else '-'}\n".encode())
    return found.hexdigest()
