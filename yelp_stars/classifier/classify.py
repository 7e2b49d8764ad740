"""A model as a function: texts in, stars with calibrated probabilities out."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import softmax
from tqdm import tqdm

from yelp_stars.checkpoint.tokenizer import TOKENIZER_FILES, TRUNCATION
from yelp_stars.classifier.transformer import Transformer
from yelp_stars.pipeline.files import sha256_of
from yelp_stars.pipeline.params import Precision
from yelp_stars.reading.labels import valid_text
from yelp_stars.scoring import calibration, conformal

FILES = (*TOKENIZER_FILES, "model.safetensors", calibration.FILE, TRUNCATION)
SHARDS = (".safetensors", ".index.json", ".bin")  # of a large model


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


class Classifier:
    """A model with its calibration; call it with texts. Load one with `load_classifier`."""

    def __init__(
        self, folder: Path, precision: Precision, batch_size: int | None, threads: int | None
    ) -> None:
        self.model = Transformer(folder, precision, batch_size, threads)
        self.label_names = self.model.label_names
        is_calibrated = (folder / calibration.FILE).is_file()
        self.fitted = calibration.read(folder) if is_calibrated else None

    def __call__(self, texts: Sequence[str]) -> list[Prediction]:
        """Predict each text of a list."""
        if isinstance(texts, str):
            raise TypeError("give a list of texts, not one text")
        return self.predictions(self.scores(validated(texts)))

    def scores(self, texts: Sequence[str], bar: tqdm | None = None) -> Scores:
        """Score each text; they must be valid."""
        logits, truncated = self.model.logits(texts, tqdm(disable=True) if bar is None else bar)
        plain = softmax(logits, axis=1)
        if self.fitted is None:
            return Scores(plain, None, truncated)
        # The threshold holds for the plain probabilities.
        ranges = conformal.sets(plain, self.fitted.ordered, self.fitted.conformal_threshold)
        return Scores(softmax(logits / self.fitted.temperature, axis=1), ranges, truncated)

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


def fingerprint(folder: Path) -> str:
    """Hash what decides the predictions of a model: weights, tokenizer, calibration."""
    digest = hashlib.sha256()
    shards = {path.name for end in SHARDS for path in folder.glob(f"*{end}")}
    for name in [*FILES, *sorted(shards - set(FILES))]:
        path = folder / name
        digest.update(f"{name} {sha256_of(path) if path.is_file() else '-'}\n".encode())
    return digest.hexdigest()


def validated(texts: Sequence[str]) -> list[str]:
    """Check each text; one that is not valid is a `BadRow` with its index."""
    return [valid_text(text, f"text {number}") for number, text in enumerate(texts)]
