"""A head that starts as logistic regression on the frozen checkpoint's features."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from yelp_stars.baseline.regression import choose_penalty
from yelp_stars.data import arrow
from yelp_stars.modeling.batching import ReviewDataset, pad
from yelp_stars.training.classifier import load_pretrained
from yelp_stars.training.head import fit_head


def rows_of(labels: list[int], names: list[str]) -> ReviewDataset:
    columns = {"input_ids": pa.list_(pa.uint16()), "label": pa.int64(), "row": pa.int64()}
    schema = arrow.make_schema(
        columns, names, max_length=16, truncation="head", source="files", origin={},
        ordered=False,
    )  # fmt: skip
    drawn = np.random.default_rng(0)
    ids = [[2, *drawn.integers(5, 40, 6 + label).tolist(), 3] for label in labels]
    return ReviewDataset(pa.table([pa.array(ids), labels, range(len(ids))], schema=schema))


@pytest.mark.parametrize("names", [["a", "b"], ["a", "b", "c"]])
def test_the_head_predicts_what_logistic_regression_does(tiny_checkpoint, names):
    rows = rows_of([index % len(names) for index in range(24)], names)
    model = load_pretrained(
        tiny_checkpoint, names, seed=0, attention_dropout=0.0, attention=None, mean_pooling=True
    )
    fit_head(model, rows, balanced=False)
    examples = [rows[row] for row in range(len(rows))]
    batch = pad(examples, 0)
    labels = batch.pop("labels").numpy()
    model.eval()
    with torch.no_grad():
        features = model.bert(**batch).pooler_output.double().numpy()
        probabilities = model(**batch).logits.softmax(-1).numpy()
    penalty = choose_penalty(features, labels)
    expected = LogisticRegression(C=penalty, max_iter=1000).fit(features, labels)
    expected = expected.predict_proba(features)
    assert np.allclose(probabilities, expected, atol=1e-3)


def test_a_class_without_rows_is_the_least_likely_and_one_class_changes_nothing(tiny_checkpoint):
    options = {"seed": 0, "attention_dropout": 0.0, "attention": None}
    names = ["a", "b", "c"]
    model = load_pretrained(tiny_checkpoint, names, **options)
    fit_head(model, rows_of([0, 2] * 8, names), balanced=True)
    batch = pad([rows_of([0], names)[0]], 0)
    assert model(**batch).logits.argmin() == 1
    model = load_pretrained(tiny_checkpoint, names, **options)
    before = model.classifier.weight.clone()
    fit_head(model, rows_of([1] * 4, names), balanced=False)
    assert torch.equal(model.classifier.weight, before)
