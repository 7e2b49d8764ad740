"""Write the test mistakes of the model as Parquet; read them, and the training labels in doubt."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from yelp_stars.data.flags import KINDS
from yelp_stars.evaluation.predictions import Predictions, labelled, read_table
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import quoted
from yelp_stars.scoring.metrics import losses

AUDIT = {"split": pa.string(), "row": pa.int64(), **dict.fromkeys(KINDS, pa.bool_())}
SUSPECTS = {
    "row": pa.int64(),
    "label": pa.string(),
    "predicted": pa.string(),
    "probability": pa.float32(),
    "loss": pa.float32(),
}
FLAGS = pa.list_(pa.string())
MISTAKES = {**SUSPECTS, "flags": FLAGS}


def read_flags(audit: Path, split: str, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return the audit's flags of some rows of a split: bool, of shape (rows,)."""
    table = read_table(audit, AUDIT)
    table = table.filter(pa.compute.equal(table["split"], split))
    indices = pa.compute.index_in(pa.array(rows, pa.int64()), table["row"].combine_chunks())
    if indices.null_count:
        problem = f"{quoted(str(audit))} does not match the sample"
        raise UserError(problem, advice="run `dvc repro`")
    return {flag: table[flag].take(indices).to_numpy() for flag in KINDS}


def read_alike(audit: Path) -> dict[str, np.ndarray]:
    """Return a number for each row of a split, the same for texts that are nearly the same."""
    table = read_table(audit, {"split": pa.string(), "first": pa.int64()})
    first, train = table["first"].to_numpy(), pa.compute.equal(table["split"], "train").to_numpy()
    while not np.array_equal(first, first[first]):  # the first row of all that are alike
        first = first[first]
    return {"train": first[train], "test": first[~train]}


def write(predicted: Predictions, flags: Mapping[str, np.ndarray], path: Path) -> None:
    """Write the rows that are predicted wrongly, by their loss, with their flags, as Parquet."""
    loss = losses(predicted.logits, predicted.labels)
    wrong = np.argsort(-loss, kind="stable")
    wrong = wrong[~predicted.right[wrong]]
    table = pa.table({**labelled(predicted), "loss": pa.array(loss, pa.float32())}).take(wrong)
    table = with_flags(table, {flag: values[wrong] for flag, values in flags.items()})
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)


def with_flags(rows: pa.Table, flags: Mapping[str, np.ndarray]) -> pa.Table:
    """Add the names of each row's flags, as a column `flags`."""
    names = [[flag for flag in flags if flags[flag][index]] for index in range(len(rows))]
    return rows.append_column("flags", pa.array(names, FLAGS))
