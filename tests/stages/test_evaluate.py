"""The stage `evaluate`: from a fine-tuned model to predictions, scores and plots."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from helpers import EVALUATE, edit, fails_here, read_reviews, train

from stages import evaluate
from yelp_stars.data import arrow
from yelp_stars.evaluation import predictions, slices
from yelp_stars.evaluation.titles import ORDERED
from yelp_stars.pipeline.entrypoint import call
from yelp_stars.scoring import calibration

pytestmark = pytest.mark.slow


OUTS = ("p.parquet", "e.parquet", "details.json", "s.json", "plots/test/slices.svg")


def test_predictions_lead_back_to_their_rows_and_are_the_same_bytes_again(train_project, capsys):
    train(train_project)
    call(evaluate.main, *map(Path, EVALUATE[3:]))
    assert "30 rows in fp32 (as requested) on cpu" in capsys.readouterr().out
    first = [(train_project / name).read_bytes() for name in OUTS]
    call(evaluate.main, *map(Path, EVALUATE[3:]))
    assert [(train_project / name).read_bytes() for name in OUTS] == first
    predicted = predictions.read(train_project / "p.parquet")
    tested = arrow.read(train_project / "data" / "sample" / "test.arrow")
    assert predicted.rows.tolist() == tested["row"].to_pylist()
    assert predicted.labels.tolist() == tested["label"].to_pylist()
    texts = read_reviews(train_project / "data" / "raw" / "test.arrow")
    expected = [predictions.text_hash(texts[row][1]) for row in predicted.rows]
    assert predicted.texts == expected
    scores = json.loads((train_project / "s.json").read_text())
    correct = predicted.right
    assert (scores["n"], scores["accuracy"]) == (30, round(correct.mean(), 2))
    assert scores["accuracy_low"] <= scores["accuracy"] <= scores["accuracy_high"]
    confusion = (train_project / "plots" / "test" / "confusion.csv").read_text().splitlines()
    assert confusion[0] == "actual,predicted"
    assert len(confusion) == 31
    details = json.loads((train_project / "details.json").read_text())
    assert details["scores"]["accuracy"] == {
        "value": scores["accuracy"], "low": scores["accuracy_low"],
        "high": scores["accuracy_high"], "n": 30,
    }  # fmt: skip
    fitted = calibration.read(train_project / "ft")
    assert (fitted.n, fitted.coverage) == (20, 0.9)
    assert details["calibration"]["temperature"] == fitted.temperature
    expected = ["leak", "near_duplicate", "negation", "price"]
    assert [part["name"] for part in details["slices"][5:]] == expected
    # Quarters as `stars compare` has them, which knows no tokens.
    quarters = slices.by_length([texts[row][1] for row in predicted.rows])
    assert [part["meaning"] for part in details["slices"][:4]] == [
        part.meaning for part in quarters
    ]
    mistakes = pq.read_table("e.parquet")["row"].to_pylist()
    assert set(mistakes) == set(predicted.rows[~correct])


def test_the_slices_of_the_params_are_scored(train_project):
    train(train_project)
    edit(train_project, "evaluate", slices={"food": "(?i)food", "none": "xyzzy"})
    call(evaluate.main, *map(Path, EVALUATE[3:]))
    found = json.loads((train_project / "details.json").read_text())["slices"][7:]
    tested = arrow.read(train_project / "data" / "sample" / "test.arrow")["row"].to_pylist()
    reviews = read_reviews(train_project / "data" / "raw" / "test.arrow")
    n = sum("food" in reviews[row][1].lower() for row in tested)
    assert [(part["name"], part["accuracy"]["n"]) for part in found] == [("food", n), ("none", 0)]
    # A model without its temperature is not evaluated.
    (train_project / "ft" / "calibration.json").unlink()
    message = fails_here(evaluate.main, *EVALUATE[3:])
    assert "no file 'ft/calibration.json'; run `dvc repro`" in message


def test_mistakes_in_the_params_are_one_line_before_anything_is_computed(train_project):
    edit(train_project, "evaluate", slices={"bad": "("})
    message = fails_here(evaluate.main, *EVALUATE[3:])
    assert "evaluate.slices.bad is '(': should be a regular expression (" in message
    edit(train_project, "evaluate", slices={}, precision="fp16")
    message = fails_here(evaluate.main, *EVALUATE[3:])
    assert "evaluate.precision is 'fp16', but this machine has no hardware for it" in message


def test_classes_without_an_order_are_scored_without_distances(train_project, capsys):
    for path in (train_project / "data" / "sample").iterdir():
        table = arrow.read(path)
        nominal = table.replace_schema_metadata({**table.schema.metadata, b"ordered": b"false"})
        arrow.write(train_project / "written", nominal.schema, nominal.to_batches())
        (train_project / "written").replace(path)
    train(train_project)
    capsys.readouterr()
    call(evaluate.main, *map(Path, EVALUATE[3:]))
    output = capsys.readouterr().out
    tested = json.loads((train_project / "s.json").read_text()).keys()
    validation = json.loads((train_project / "validation.json").read_text()).keys()
    assert {"n", "accuracy", "loss"} <= tested <= validation
    assert not validation & ORDERED
    assert "kappa" not in output
    details = json.loads((train_project / "details.json").read_text())
    assert not details["ranges"]["contiguous"]
    assert "kappa" not in (train_project / "plots" / "training" / "state.json").read_text()
