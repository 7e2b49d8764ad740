"""The rows to look at: wrong ones only, worst first, with flags; damaged files are one line."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from yelp_stars.baseline import label_errors
from yelp_stars.data.flags import KINDS
from yelp_stars.evaluation import mistakes, predictions
from yelp_stars.evaluation.predictions import Predictions
from yelp_stars.pipeline.errors import Damaged, Missing, UserError

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


def test_rows_with_nearly_the_same_text_have_one_number(tmp_path):
    # Rows 0, 3 and 4 are alike (4 by way of 3), 1 and the first test row, 5 and 6.
    first = [0, 1, 2, 0, 3, 5, 5, 1, 8, 2]
    table = pa.table({"split": ["train"] * 7 + ["test"] * 3, "first": pa.array(first, pa.int64())})
    pq.write_table(table, tmp_path / "audit.parquet")
    alike = mistakes.read_alike(tmp_path / "audit.parquet")
    assert alike["train"].tolist() == [0, 1, 2, 0, 0, 5, 5]
    assert alike["test"].tolist() == [1, 8, 2]


def predicted(rows: int = 20) -> Predictions:
    rng = np.random.default_rng(1)
    return Predictions(
        rng.permutation(30)[:rows], [""] * rows, rng.integers(0, 3, rows),
        rng.normal(size=(rows, 3)).astype(np.float32), NAMES, True,
    )  # fmt: skip


def test_mistakes_come_worst_first_with_their_flags(tmp_path):
    audited = audit(tmp_path / "audit.parquet").to_pylist()[40:]
    tested = predicted()
    flags = mistakes.read_flags(tmp_path / "audit.parquet", "test", tested.rows)
    mistakes.write(tested, flags, tmp_path / "errors.parquet")
    written = predictions.read_table(tmp_path / "errors.parquet", mistakes.MISTAKES).to_pylist()
    losses = [row["loss"] for row in written]
    assert losses == sorted(losses, reverse=True)
    best, index_of = tested.logits.argmax(axis=1), {row: i for i, row in enumerate(tested.rows)}
    assert {row["row"] for row in written} == set(tested.rows[best != tested.labels])
    for row in written:
        index = index_of[row["row"]]
        label = tested.labels[index]
        assert (row["label"], row["predicted"]) == (NAMES[label], NAMES[best[index]])
        exponents = np.exp(tested.logits[index].astype(np.float64))
        shares = exponents / exponents.sum()
        assert row["probability"] == pytest.approx(shares.max(), rel=1e-5)
        assert row["loss"] == pytest.approx(-np.log(shares[label]), rel=1e-5)
        assert row["flags"] == [flag for flag in KINDS if audited[row["row"]][flag]]


@pytest.mark.parametrize("doubted", [[], [7, 3, 39]])
def test_suspects_keep_their_order_and_get_their_flags(tmp_path, doubted):
    audited = audit(tmp_path / "audit.parquet").to_pylist()
    logits = np.full((len(doubted), 3), np.float32([-3, 0, 4]))
    labels = np.zeros(len(doubted), np.int64)
    suspects = Predictions(np.array(doubted, np.int64), [], labels, logits, NAMES, True)
    label_errors.write(suspects, tmp_path / "s.parquet")
    rows = predictions.read_table(tmp_path / "s.parquet", mistakes.SUSPECTS)
    flags = mistakes.read_flags(tmp_path / "audit.parquet", "train", rows["row"].to_numpy())
    flagged = mistakes.with_flags(rows, flags)
    assert flagged.column_names == [*mistakes.SUSPECTS, "flags"]
    assert flagged["row"].to_pylist() == doubted
    expected = [[flag for flag in KINDS if audited[row][flag]] for row in doubted]
    assert flagged["flags"].to_pylist() == expected


def test_missing_files_other_files_and_rows_that_the_audit_lacks_are_one_line(tmp_path):
    with pytest.raises(Missing):
        predictions.read_table(tmp_path / "none.parquet", mistakes.SUSPECTS)
    audit(tmp_path / "audit.parquet")
    with pytest.raises(Damaged):
        predictions.read_table(tmp_path / "audit.parquet", mistakes.SUSPECTS)
    with pytest.raises(UserError, match="does not match the sample"):
        mistakes.read_flags(tmp_path / "audit.parquet", "test", np.array([30]))
    pq.write_table(pa.table({"split": pa.array([None], pa.string())}), tmp_path / "null.parquet")
    with pytest.raises(Damaged):
        mistakes.read_flags(tmp_path / "null.parquet", "test", np.array([], np.int64))
