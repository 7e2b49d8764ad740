"""Predictions as Parquet: ids, labels by name and logits, for any tool that reads it."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import log_softmax

from yelp_stars.data import arrow
from yelp_stars.pipeline.files import reading

LOGIT = "logit_"  # before the name of a class


class Predictions(NamedTuple):
    """Predictions of a model for the rows of a split, in any order."""

    rows: np.ndarray
    """Row numbers in data/raw, (rows,)."""
    texts: list[str]
    """Hash of each text, see `text_hash`, to compare two revisions row by row."""
    labels: np.ndarray
    """Labels, 0 to k - 1."""
    logits: np.ndarray
    """Logits, (rows, k), float32; their softmax gives the probabilities, before calibration."""
    names: list[str]
    """Names of the classes."""
    ordered: bool
    """Whether the classes have an order."""
    temperature: float = 1.0
    """Of the model's calibration: its probabilities are those of logits / temperature."""

    @property
    def predicted(self) -> np.ndarray:
        """The predicted classes, of shape (rows,)."""
        return self.logits.argmax(axis=1)

    @property
    def right(self) -> np.ndarray:
        """Which rows are predicted rightly, of shape (rows,), bool."""
        return self.predicted == self.labels

    @property
    def probability(self) -> np.ndarray:
        """The calibrated probability of each row's prediction, of shape (rows,), float64."""
        scaled = self.logits.astype(np.float64) / self.temperature
        log_probabilities = log_softmax(scaled, axis=1)
        return np.exp(log_probabilities.max(axis=1))


def text_hash(text: str) -> str:
    """Identify a text by 16 hexadecimal digits."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def read_texts(raw: Path, rows: np.ndarray) -> list[str]:
    """Read the texts of some rows of a split in data/raw."""
    return arrow.read(raw)["text"].take(pa.array(rows)).to_pylist()


def labelled(predictions: Predictions) -> dict[str, pa.Array]:
    """Return the columns row, label, predicted and probability, with the names of the classes."""
    names = pa.array(predictions.names, pa.string())
    return {
        "row": pa.array(predictions.rows, pa.int64()),
        "label": names.take(pa.array(predictions.labels)),
        "predicted": names.take(pa.array(predictions.predicted)),
        "probability": pa.array(predictions.probability, pa.float32()),
    }


def write(predictions: Predictions, path: Path) -> None:
    """Write row, text_hash, label, predicted, probability and the logit of each class."""
    row, *others = labelled(predictions).items()
    columns = dict([row, ("text_hash", pa.array(predictions.texts, pa.string())), *others])
    for number, name in enumerate(predictions.names):
        columns[f"{LOGIT}{name}"] = pa.array(predictions.logits[:, number], pa.float32())
    metadata = {
        "label_names": predictions.names,
        "ordered": predictions.ordered,
        "temperature": predictions.temperature,
    }
    table = pa.table(columns).replace_schema_metadata({"yelp_stars": json.dumps(metadata)})
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)


def read(path: Path) -> Predictions:
    """Read predictions."""
    with reading(path, pa.ArrowException), path.open("rb") as file:
        table = pq.read_table(file, page_checksum_verification=True)
        metadata = json.loads((table.schema.metadata or {})[b"yelp_stars"])
        names, ordered = metadata["label_names"], metadata["ordered"]
        temperature = float(metadata.get("temperature", 1))  # of an earlier version: none
        logits = [table[f"{LOGIT}{name}"].to_numpy() for name in names]
        numbers = {name: number for number, name in enumerate(names)}
        labels = [numbers[name] for name in table["label"].to_pylist()]
        return Predictions(
            table["row"].to_numpy(),
            table["text_hash"].to_pylist(),
            np.array(labels, np.int64),
            np.stack(logits, axis=1).astype(np.float32),
            names,
            bool(ordered),
            temperature,
        )
