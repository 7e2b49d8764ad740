"""Predictions as Parquet: exact, the same bytes every time, readable by other tools."""

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import FUZZ_EXAMPLES, result_or_line
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yelp_stars.data.sources import write_reviews
from yelp_stars.evaluation import predictions
from yelp_stars.evaluation.predictions import Predictions
from yelp_stars.pipeline.errors import Damaged, Missing

NAMES = ["1 star", "caf\u00e9", "a,b"]


def made(rows: int = 50, ordered: bool = True) -> Predictions:
    rng = np.random.default_rng(0)
    return Predictions(
        rng.permutation(1000)[:rows],
        [predictions.text_hash(f"review {row}") for row in range(rows)],
        rng.integers(0, 3, rows),
        rng.normal(size=(rows, 3)).astype(np.float32),
        NAMES,
        ordered,
    )


@pytest.mark.parametrize(("rows", "ordered"), [(0, True), (1, False), (50, True)])
def test_predictions_are_read_back_exactly(tmp_path, rows, ordered):
    written = made(rows, ordered)
    predictions.write(written, tmp_path / "a.parquet")
    found = predictions.read(tmp_path / "a.parquet")
    assert found.rows.tolist() == written.rows.tolist()
    assert found.labels.tolist() == written.labels.tolist()
    assert found.logits.tobytes() == written.logits.tobytes()
    assert (found.texts, found.names, found.ordered) == (written.texts, NAMES, ordered)


def test_other_tools_read_ids_labels_by_name_and_probabilities(tmp_path):
    written = made()
    predictions.write(written, tmp_path / "a.parquet")
    table = pd.read_parquet(tmp_path / "a.parquet")
    assert list(table) == [
        "row", "text_hash", "label", "predicted", "probability",
        "logit_1 star", "logit_caf\u00e9", "logit_a,b",
    ]  # fmt: skip
    assert table["label"].tolist() == [NAMES[label] for label in written.labels]
    best = written.logits.argmax(axis=1)
    assert table["predicted"].tolist() == [NAMES[label] for label in best]
    exponents = np.exp(written.logits.astype(np.float64))
    expected = exponents.max(axis=1) / exponents.sum(axis=1)
    assert np.allclose(table["probability"], expected)


def test_the_texts_of_rows_are_read_and_told_apart_by_their_hashes(tmp_path):
    texts = ["", "x", "caf\u00e9 \U0001f32e", "x"]
    write_reviews(tmp_path / "a.arrow", [(0, text) for text in texts], ["a", "b"])
    assert predictions.read_texts(tmp_path / "a.arrow", np.array([3, 0, 2])) == ["x", "", texts[2]]
    assert len({predictions.text_hash(text) for text in texts}) == 3


def test_a_file_without_predictions_is_damaged_and_a_missing_one_is_not(tmp_path):
    with pytest.raises(Missing):
        predictions.read(tmp_path / "none.parquet")
    path = tmp_path / "other.parquet"
    pd.DataFrame({"row": [1]}).to_parquet(path)
    with pytest.raises(Damaged) as caught:
        predictions.read(path)
    assert caught.value.advice == f"run `chmod u+w {path}`, then `dvc repro`"


ROWS = 400_000  # zeros, in a file of a few kilobytes


@pytest.mark.parametrize(
    "change",
    [
        {f"logit_{NAMES[0]}": pa.array([math.nan] * 50, pa.float32())},
        {f"logit_{NAMES[1]}": pa.array([math.inf] * 50, pa.float32())},
        {f"logit_{NAMES[2]}": pa.array([-math.inf] * 50, pa.float32())},
        {f"logit_{NAMES[0]}": pa.array([None] * 50, pa.float32())},
        {f"logit_{NAMES[0]}": pa.array(["x"] * 50)},
        {"row": pa.array([None] * 50, pa.int64())},
        {"row": pa.array(["x"] * 50)},
        {"text_hash": pa.array([None] * 50, pa.string())},
        {"label": pa.array([None] * 50, pa.string())},
        {"label": pa.array(["d"] * 50)},
    ],
    ids=lambda change: next(f"{name} {column[0]}" for name, column in change.items()),
)
def test_values_that_no_model_has_are_damaged(tmp_path, change):
    path = tmp_path / "a.parquet"
    predictions.write(made(), path)
    table = pq.read_table(path)
    columns = {**dict(zip(table.column_names, table.columns)), **change}
    pq.write_table(pa.table(columns).replace_schema_metadata(table.schema.metadata), path)
    with pytest.raises(Damaged):
        predictions.read(path)


def test_a_small_file_of_many_rows_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "a.parquet"
    predictions.write(made(), path)
    table = pq.read_table(path)
    same = pa.concat_tables([table.slice(0, 1)] * 10).combine_chunks()
    many = same.take(pa.array(np.zeros(ROWS, np.int64)))
    pq.write_table(many, path, compression="zstd")
    assert path.stat().st_size < ROWS / 10
    with pytest.raises(Damaged):
        predictions.read(path)


@settings(max_examples=FUZZ_EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10**6), byte=st.integers(1, 255), cut=st.booleans())
def test_a_damaged_file_is_one_line_or_reads_as_the_same(tmp_path, place, byte, cut):
    predictions.write(made(), tmp_path / "a.parquet")
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    content[place % len(content)] ^= byte
    damaged = content[: place % len(content)] if cut else content
    (tmp_path / "a.parquet").write_bytes(bytes(damaged))
    found = result_or_line(lambda: predictions.read(tmp_path / "a.parquet"))
    if isinstance(found, Predictions):
        assert found.logits.shape == (50, 3)
