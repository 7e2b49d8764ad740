"""The stage `evaluate`: from a fine-tuned model to predictions, scores and plots."""

import json

import numpy as np
import pytest
import torch
from helpers import EVALUATE, TRAIN, TRAIN_OUTS, edit, fails, read_reviews, run, train
from transformers import AutoModelForSequenceClassification

from stages import evaluate
from yelp_stars import cli
from yelp_stars.analysis import predictions
from yelp_stars.data import arrow

pytestmark = pytest.mark.slow


def test_predictions_lead_back_to_their_rows(train_project):
    train(train_project)
    evaluate.main(
        train_project / "data" / "raw",
        train_project / "data" / "sample",
        train_project / "ft",
        train_project / "p.parquet",
        train_project / "test.json",
        train_project / "plots" / "test",
    )
    predicted = predictions.read(train_project / "p.parquet")
    tested = arrow.read(train_project / "data" / "sample" / "test.arrow")
    assert predicted.rows.tolist() == tested["row"].to_pylist()
    assert predicted.labels.tolist() == tested["label"].to_pylist()
    texts = read_reviews(train_project / "data" / "raw" / "test.arrow")
    expected = [predictions.text_hash(texts[row][1]) for row in predicted.rows]
    assert predicted.texts == expected
    # One row alone gives the logits that it got in its batch.
    model = AutoModelForSequenceClassification.from_pretrained(train_project / "ft").eval()
    for row in (0, 7, 29):
        ids = torch.tensor([tested["input_ids"][row].as_py()])
        alone = model(ids).logits[0].detach().numpy()
        assert np.allclose(alone, predicted.logits[row], atol=1e-5)
    scores = json.loads((train_project / "test.json").read_text())
    correct = predicted.logits.argmax(axis=1) == predicted.labels
    assert (scores["n"], scores["accuracy"]) == (30, round(correct.mean(), 2))
    assert scores["accuracy_low"] <= scores["accuracy"] <= scores["accuracy_high"]
    confusion = (train_project / "plots" / "test" / "confusion.csv").read_text().splitlines()
    assert confusion[0] == "actual,predicted"
    assert len(confusion) == 31


def test_classes_without_an_order_are_scored_without_distances(train_project):
    for path in (train_project / "data" / "sample").iterdir():
        table = arrow.read(path)
        nominal = table.replace_schema_metadata({**table.schema.metadata, b"ordered": b"false"})
        arrow.write(train_project / "written", nominal.schema, nominal.to_batches())
        (train_project / "written").replace(path)
    edit(train_project, "train", intermediate_size=20)
    message = fails(*TRAIN, *TRAIN_OUTS, cwd=train_project)
    assert "synthetic reviews have stars and your labels have no order; set it to 0" in message
    edit(train_project, "train", intermediate_size=0)
    run(*TRAIN, *TRAIN_OUTS, cwd=train_project)
    output = run(*EVALUATE, cwd=train_project)
    expected = {"n", "accuracy", "accuracy_low", "accuracy_high", "macro_f1", "loss"}
    assert set(json.loads((train_project / "s.json").read_text())) == expected
    validation = json.loads((train_project / "validation.json").read_text()).keys()
    assert expected <= validation
    assert not validation & cli.ORDERED
    assert "kappa" not in output
    assert "kappa" not in (train_project / "plots" / "training" / "state.json").read_text()


def test_evaluation_computes_in_the_precision_of_the_params(train_project):
    train(train_project)
    output = run(*EVALUATE, cwd=train_project)
    assert "30 rows in fp32 (as requested) on cpu" in output
    edit(train_project, "evaluate", precision="fp16")
    message = fails(*EVALUATE, cwd=train_project)
    assert "evaluate.precision is 'fp16', but this machine has no hardware for it" in message
