"""The rows to look at: what the model got wrong in test, and training labels in doubt."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from yelp_stars.data.flags import KINDS
from yelp_stars.evaluation.predictions import Predictions
from yelp_stars.pipeline.errors import UserError

AUDIT = {"split": pa.string(), "row": pa.int64(), **dict.fromkeys(KINDS, pa.bool_())}
SUSPECTS = {
    "row": pa.int64(),
    "label": pa.string(),
    "predicted": pa.string(),
    "probability": pa.float32(),
    "loss": pa.float32(),
}

ERRORS = {**SUSPECTS, "split": pa.string(), "flags": pa.list_(pa.string())}


def read_flags(audit: Path, split: str, rows: np.ndarray) -> dict[str, np.ndarray]:
    """The audit's flags of some rows of a split, bool.

    Raises:
        UserError: if the audit is missing or damaged, or lacks a row.
    """
    table = _read(audit, AUDIT)
    table = table.filter(pa.compute.equal(table["split"], split))
    found = pa.compute.index_in(pa.array(rows, pa.int64()), table["row"].combine_chunks())
    if found.null_count:
        raise _damaged(audit)
    return {flag: table[flag].take(found).to_numpy() for flag in KINDS}


def read_suspects(path: Path) -> pa.Table:
    """The training rows in doubt, worst first.

    Raises:
        UserError: if the file is missing or damaged.
    """
    return _read(path, SUSPECTS)


def read(path: Path) -> pa.Table:
    """The rows that `write` has written.

    Raises:
        UserError: if the file is missing or damaged.
    """
    return _read(path, ERRORS)


def write(
    predicted: Predictions,
    suspects: pa.Table,
    path: Path,
    *,
    flags: Mapping[str, np.ndarray] = MappingProxyType({}),
    suspects_flags: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> None:
    """Write row, split, label, predicted, probability, loss and flags as Parquet.

    First the test rows that are predicted wrongly, by their loss, then the suspects as they come.
    """
    each = np.arange(len(predicted.labels))
    best = predicted.logits.argmax(axis=1)
    log_probabilities = predicted.log_probabilities
    loss = -log_probabilities[each, predicted.labels]
    wrong = np.argsort(-loss, kind="stable")
    wrong = wrong[best[wrong] != predicted.labels[wrong]]
    names = pa.array(predicted.names, pa.string())
    tested = {
        "row": predicted.rows[wrong],
        "label": names.take(pa.array(predicted.labels[wrong])),
        "predicted": names.take(pa.array(best[wrong])),
        "probability": np.exp(log_probabilities[wrong, best[wrong]]),
        "loss": loss[wrong],
    }
    parts = [
        _part("test", tested, {flag: values[wrong] for flag, values in flags.items()}),
        _part("train", {name: suspects[name] for name in SUSPECTS}, suspects_flags),
    ]
    table = pa.concat_tables(parts).combine_chunks()
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)


def _part(split: str, columns: Mapping[str, Any], flags: Mapping[str, np.ndarray]) -> pa.Table:
    cast = {name: _as_array(columns[name], dtype) for name, dtype in SUSPECTS.items()}
    n = len(cast["row"])
    names = [[flag for flag in flags if flags[flag][place]] for place in range(n)]
    return pa.table(
        {
            "row": cast.pop("row"),
            "split": pa.array([split] * n, pa.string()),
            **cast,
            "flags": pa.array(names, pa.list_(pa.string())),
        }
    )


def _as_array(values: Any, dtype: pa.DataType) -> pa.Array:
    return values.cast(dtype) if hasattr(values, "cast") else pa.array(values, dtype)


def _read(path: Path, columns: dict[str, pa.DataType]) -> pa.Table:
    try:
        table = pq.read_table(path, columns=[*columns], page_checksum_verification=True)
        table = table.select([*columns]).cast(pa.schema(columns))
        table.validate(full=True)
    except FileNotFoundError:
        raise UserError(f"no file {str(path)!r}; run `dvc repro` or `dvc pull`") from None
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise _damaged(path) from None
    if any(column.null_count for column in table.columns):
        raise _damaged(path)
    return table


def _damaged(path: Path) -> UserError:
    # An out is a hard link into DVC's cache: see yelp_stars/data/arrow.py.
    return UserError(
        f"{str(path)!r} is damaged, or of other data; run `chmod u+w {shlex.quote(str(path))}`, "
        f"then `dvc repro`"
    )
