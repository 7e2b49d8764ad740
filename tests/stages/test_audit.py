"""The stage `audit`: flags of all rows, a summary, and advice that `sample` can follow."""

import pyarrow.parquet as pq
import pytest
from helpers import edit

from stages.audit import main
from yelp_stars.data.sources import write_reviews
from yelp_stars.pipeline.entrypoint import call

PATHS = ("data/raw", "data/audit.parquet", "metrics/audit.json")
LONG = (
    "We waited for an hour, and the soup was cold when it came; nobody said a word about it at all"
)


@pytest.fixture
def raw_project(data_project):
    """A project with a few reviews: the working folder."""
    (data_project / "data" / "raw").mkdir()
    train = [(0, LONG), (1, LONG.upper()), (0, f"{LONG}, at all"), (1, "Fine."), (0, "x y z")]
    test = [(0, f"{LONG}!"), (1, "Nothing to say, really")]
    write_reviews(data_project / "data" / "raw" / "train.arrow", train, ["bad", "good"])
    write_reviews(data_project / "data" / "raw" / "test.arrow", test, ["bad", "good"])
    return data_project


def audit(project) -> list[dict]:
    call(main, *(project / path for path in PATHS))
    return pq.read_table(project / PATHS[1]).to_pylist()


def flagged(rows: list[dict], split: str, flag: str) -> list[int]:
    return [row["row"] for row in rows if row["split"] == split and row[flag]]


def test_rows_are_flagged_counted_and_described(raw_project, capsys):
    rows = audit(raw_project)
    assert flagged(rows, "train", "leak") == [0, 1, 2]
    assert flagged(rows, "test", "leak") == [0]
    assert flagged(rows, "train", "duplicate") == [1]
    assert flagged(rows, "train", "near_duplicate") == [2]
    assert flagged(rows, "train", "conflict") == [0, 1]
    assert flagged(rows, "train", "short") == [3]
    output = capsys.readouterr().out.splitlines()
    assert output[-2] == "1 test rows leak: they inflate the test scores"
    assert "set sample.exclude to [leaks, duplicates, conflicts, short]" in output[-1]


@pytest.mark.parametrize(
    ("values", "flag", "rows"),
    [
        ({"near_duplicates": False}, "leak", [0, 1]),
        ({"similarity": 1.0}, "near_duplicate", []),
        ({"min_words": 4}, "short", [3, 4]),
    ],
)
def test_a_parameter_changes_what_is_found(raw_project, values, flag, rows):
    edit(raw_project, "audit", **values)
    assert flagged(audit(raw_project), "train", flag) == rows
