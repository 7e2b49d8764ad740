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
    """Read predictions; another revision's may be anybody's."""
    with reading(path, pa.ArrowException):
        found = pq.read_metadata(path)
        if found.num_rows > path.stat().st_size:  # of which each hash takes 8 bytes
            raise ValueError("it would unpack to far more than it is")
        metadata = json.loads((found.metadata or {})[b"yelp_stars"])
        names, ordered = metadata["label_names"], metadata["ordered"]
        temperature = float(metadata.get("temperature", 1))  # of an earlier version: none
        columns = {"row": pa.int64(), "text_hash": pa.string(), "label": pa.string()}
        table = read_table(path, columns | {f"{LOGIT}{name}": pa.float32() for name in names})
        row, texts, label, *scores = table.columns
        numbers = {name: number for number, name in enumerate(names)}
        labels = np.array([numbers[name] for name in label.to_pylist()], np.int64)
        logits = np.stack(scores, axis=1)
        if not np.isfinite(logits).all():
            raise ValueError("a logit is not finite")
        rows, hashes = row.to_numpy(), texts.to_pylist()
        return Predictions(rows, hashes, labels, logits, names, bool(ordered), temperature)


def read_table(path: Path, columns: dict[str, pa.DataType]) -> pa.Table:
    """Read these columns of a Parquet file that a stage wrote; none has a missing value."""
    with reading(path, pa.ArrowException):
        table = pq.read_table(path, columns=[*columns], page_checksum_verification=True)
        table = table.select([*columns]).cast(pa.schema(columns))
        table.validate(full=True)
        if any(column.null_count for column in table.columns):
            raise pa.ArrowInvalid("a value is missing")
    return table
