"""Predict rows window by window: some thousand rows, sorted by length within.

Windows are the same whenever the input is, so that a resumed run computes what it lacks and
nothing else differs.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from yelp_stars.classifier.classify import Classifier
from yelp_stars.commands.predict.formats import Rows, valid
from yelp_stars.pipeline.text import are_stars
from yelp_stars.reading.labels import label_number
from yelp_stars.reading.layout import Row

WINDOW_ROWS = 2000  # what a kill loses at most: 40 seconds of a small transformer on two cores
WINDOW_CHARACTERS = 16_000_000
DIGITS = 6  # of a probability; the next ones differ between machines


class Tally(NamedTuple):
    """Counts over rows."""

    rows: int
    truncated: int
    to_a_person: int
    loss: float
    """Sum of the log losses of the rows with a label."""
    confusion: list[list[int]]
    """Rows with a label: by label, then by prediction."""

    @classmethod
    def total(cls, tallies: Iterable[Sequence[Any]]) -> Self:
        """Add up the tallies of windows."""
        return cls(*(np.sum(counts, axis=0).tolist() for counts in zip(*tallies, strict=True)))


def predicted_columns(
    label_names: list[str], ranges: bool, below: float | None, prefix: str
) -> pa.Schema:
    """Name and type the columns, in order: with ranges, and a mark of rows `below`, if wanted."""
    answer = "stars" if are_stars(label_names) else "predicted"
    fields = [(answer, pa.string()), ("probability", pa.float64())]
    fields += [(f"p_{valid(name)}", pa.float64()) for name in label_names]
    fields += [("range", pa.list_(pa.string()))] if ranges else []
    fields += [("truncated", pa.bool_())]
    fields += [("to_a_person", pa.bool_())] if below is not None else []
    return pa.schema([(valid(prefix) + name, type_) for name, type_ in fields])


def windows(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Divide rows into windows: by number, and earlier where the texts are long."""
    window: list[Row] = []
    characters = 0
    for row in rows:
        window.append(row)
        characters += len(row.text)
        if len(window) == WINDOW_ROWS or characters >= WINDOW_CHARACTERS:
            yield window
            window, characters = [], 0
    if window:
        yield window


class Predictor(NamedTuple):
    """A model and the columns for its scores."""

    classify: Classifier
    columns: pa.Schema
    below: float | None
    """Mark predictions below this probability for review."""
    numbers: Mapping[str, int] | None
    """Label of each value of the label column, if there is one."""

    def __call__(self, window: list[Row], bar: tqdm) -> tuple[Rows, Tally]:
        """Add the predicted columns to the rows of a window, and count."""
        scores = self.classify.scores([row.text for row in window], bar)
        labels = [valid(name) for name in self.classify.label_names]
        probabilities = scores.probabilities.round(DIGITS)
        best = probabilities.max(axis=1)
        values: list[list[Any]] = [[labels[label] for label in scores.probabilities.argmax(axis=1)]]
        values += [best.tolist(), *probabilities.T.tolist()]
        if scores.ranges is not None:
            values.append([[labels[i] for i in np.flatnonzero(row)] for row in scores.ranges])
        values.append(scores.truncated.tolist())
        below = best < (self.below or 0)
        if self.below is not None:
            values.append(below.tolist())
        joined: Rows = [
            {**(row.fields or {}), **dict(zip(self.columns.names, predicted, strict=True))}
            for row, predicted in zip(window, zip(*values, strict=True), strict=True)
        ]
        confusion, loss = self._score(window, scores.probabilities)
        counts = len(window), int(scores.truncated.sum()), int(below.sum())
        return joined, Tally(*counts, loss, confusion)

    def _score(self, window: list[Row], probabilities: np.ndarray) -> tuple[list[list[int]], float]:
        """Count rows by label and prediction, (labels, labels); add up their log losses."""
        classes = probabilities.shape[1]
        counts = np.zeros((classes, classes), np.int64)
        numbers = self.numbers
        known = [None if numbers is None else label_number(row, numbers) for row in window]
        rows = np.array([row for row, label in enumerate(known) if label is not None], np.int64)
        labels = np.array([label for label in known if label is not None], np.int64)
        np.add.at(counts, (labels, probabilities[rows].argmax(axis=1)), 1)
        smallest = np.finfo(np.float64).tiny
        loss = -np.log(probabilities[rows, labels].clip(smallest)).sum()
        return counts.tolist(), float(loss)
