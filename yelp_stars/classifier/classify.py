"""A model as a function: texts in, stars with calibrated probabilities out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from scipy.special import softmax
from tqdm import tqdm

from yelp_stars.classifier.transformer import Transformer
from yelp_stars.pipeline.params import Precision
from yelp_stars.reading.texts import valid_text
from yelp_stars.scoring import calibration, conformal
from yelp_stars.scoring.calibration import Calibration


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
    """A model with its calibration; call it with texts."""

    def __init__(self, model: Transformer, fitted: Calibration | None) -> None:
        self.model, self.fitted = model, fitted
        self.label_names = model.label_names

    @classmethod
    def load(
        cls, folder: Path, precision: Precision, batch_size: int | None, threads: int | None
    ) -> Self:
        """Load the folder of a model, see `load_classifier`."""
        model = Transformer.load(folder, precision, batch_size, threads)
        fitted = calibration.read(folder) if (folder / calibration.FILE).is_file() else None
        return cls(model, fitted)

    def __call__(self, texts: Sequence[str]) -> list[Prediction]:
        """Predict each text.

        Raises:
            TypeError: for a single text instead of a list.
        """
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

    def __repr__(self) -> str:
        return f"Classifier({len(self.label_names)} labels, {self.model.resolved.precision})"


def validated(texts: Sequence[str]) -> list[str]:
    """Check each text; one that is not valid is a `BadRow` with its index."""
    return [valid_text(text, f"text {number}") for number, text in enumerate(texts)]
