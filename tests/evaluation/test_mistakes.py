"""The rows to look at: wrong ones only, worst first, with flags; damaged files are one line."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import FUZZ_EXAMPLES, result_or_line
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yelp_stars.baseline import label_errors
from yelp_stars.data.flags import KINDS
from yelp_stars.evaluation import mistakes
from yelp_stars.evaluation.predictions import Predictions
from yelp_stars.pipeline.errors import UserError

NAMES = ["bad", "fair", "good"]


def audit(path, train=40, test=30, seed=0):
    """Write flags at random for the rows of both splits; returns the table."""
    rng = np.random.default_rng(seed)
    n = train + test
    table = pa.table(
        {
            "split": ["train"] * train + ["test"] * test,
            "row": pa.array([*range(train), *range(test)], pa.int64()),
            **{flag: rng.random(n) < 0.3 for flag in KINDS},
        }
    )
    pq.write_table(table, path, write_page_checksum=True)
    return table


def suspects(path, rows):
    """Write suspects as the stage `baseline` does."""
    labels = np.zeros(40, np.int64)
    doubted = label_errors.Suspects(
        np.array(rows, np.int64),
        np.full(len(rows), 2),
        np.full(len(rows), 0.9),
        np.linspace(5, 1, len(rows)),
    )
    label_errors.write(doubted, np.arange(40), labels, NAMES, path)


def predicted(rows: int = 20) -> Predictions:
    rng = np.random.default_rng(1)
    return Predictions(
        rng.permutation(30)[:rows], [""] * rows, rng.integers(0, 3, rows),
        rng.normal(size=(rows, 3)).astype(np.float32), NAMES, True,
    )  # fmt: skip


@pytest.mark.parametrize("doubted", [[], [7, 3, 39]])
def test_mistakes_come_worst_first_then_the_suspects_as_they_are(tmp_path, doubted):
    flags = audit(tmp_path / "audit.parquet").to_pylist()
    suspects(tmp_path / "s.parquet", doubted)
    found, listed = predicted(), mistakes.read_suspects(tmp_path / "s.parquet")
    mistakes.write(
        found,
        listed,
        tmp_path / "errors.parquet",
        flags=mistakes.read_flags(tmp_path / "audit.parquet", "test", found.rows),
        suspects_flags=mistakes.read_flags(
            tmp_path / "audit.parquet", "train", listed["row"].to_numpy()
        ),
    )
    written = pq.read_table(tmp_path / "errors.parquet").to_pylist()
    tested = [row for row in written if row["split"] == "test"]
    assert written[len(tested) :] == [row for row in written if row["split"] == "train"]
    assert [row["row"] for row in written[len(tested) :]] == doubted
    losses = [row["loss"] for row in tested]
    assert losses == sorted(losses, reverse=True)
    best, by_row = found.logits.argmax(axis=1), dict(zip(found.rows, range(20), strict=True))
    assert {row["row"] for row in tested} == set(found.rows[best != found.labels])
    for row in tested:
        place = by_row[row["row"]]
        assert (row["label"], row["predicted"]) == (NAMES[found.labels[place]], NAMES[best[place]])
        exponents = np.exp(found.logits[place].astype(np.float64))
        shares = exponents / exponents.sum()
        assert row["probability"] == pytest.approx(shares.max(), rel=1e-5)
        assert row["loss"] == pytest.approx(-np.log(shares[found.labels[place]]), rel=1e-5)
    for row in written:
        audited = flags[row["row"] + (40 if row["split"] == "test" else 0)]
        assert row["flags"] == [flag for flag in KINDS if audited[flag]]


def test_the_same_rows_have_the_same_bytes(tmp_path):
    suspects(tmp_path / "s.parquet", [1])
    listed = mistakes.read_suspects(tmp_path / "s.parquet")
    for name in ("a", "b"):
        mistakes.write(predicted(), listed, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_missing_files_other_files_and_rows_that_the_audit_lacks_are_one_line(tmp_path):
    with pytest.raises(UserError, match="run `dvc repro` or `dvc pull`"):
        mistakes.read_suspects(tmp_path / "none.parquet")
    audit(tmp_path / "audit.parquet")
    with pytest.raises(UserError, match="is damaged, or of other data"):
        mistakes.read_suspects(tmp_path / "audit.parquet")
    with pytest.raises(UserError, match="is damaged, or of other data"):
        mistakes.read_flags(tmp_path / "audit.parquet", "test", np.array([30]))
    pq.write_table(pa.table({"split": pa.array([None], pa.string())}), tmp_path / "null.parquet")
    with pytest.raises(UserError, match="is damaged, or of other data"):
        mistakes.read_flags(tmp_path / "null.parquet", "test", np.array([], np.int64))


@settings(max_examples=FUZZ_EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10**6), byte=st.integers(1, 255), cut=st.booleans())
def test_a_damaged_file_is_one_line_or_reads_as_flags(tmp_path, place, byte, cut):
    audit(tmp_path / "a.parquet")
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    content[place % len(content)] ^= byte
    damaged = content[: place % len(content)] if cut else content
    (tmp_path / "a.parquet").write_bytes(bytes(damaged))
    found = result_or_line(
        lambda: mistakes.read_flags(tmp_path / "a.parquet", "test", np.arange(30))
    )
    if isinstance(found, dict):
        assert {len(values) for values in found.values()} == {30}
