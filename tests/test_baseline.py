"""What a model must beat: exact shares, a fit that needs no luck, and cases with nothing to fit."""

import json

import numpy as np
import pytest
from helpers import ROOT, run
from scipy.special import softmax
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from yelp_stars.analysis.baseline import fit, majority, predict
from yelp_stars.data import synthetic

BANK = synthetic.read_bank(ROOT / "data" / "synthetic" / "sentences.tsv", "train")


def reviews(rows: int, seed: int = 0) -> tuple[list[str], np.ndarray]:
    made = synthetic.reviews(BANK, rows, median_words=20, label_noise=0.0, seed=seed, split="train")
    labels, texts = zip(*made, strict=True)
    return list(texts), np.array(labels)


def test_the_majority_class_is_predicted_with_the_shares_of_the_classes():
    logits = majority(np.array([2, 2, 0, 2]), 3, 4)
    assert logits.shape == (3, 4)
    assert np.allclose(softmax(logits, axis=1), [[0.25, 0, 0.75, 0]] * 3)
    assert np.isfinite(logits).all()


def test_tf_idf_with_logistic_regression_is_scikit_learns():
    texts, labels = reviews(400)
    others, _ = reviews(50, seed=1)
    found = predict(fit(texts, labels, 5000, 3.0), labels, others, 5)
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, max_features=5000)
    oracle = LogisticRegression(C=3.0, max_iter=200).fit(vectorizer.fit_transform(texts), labels)
    expected = oracle.predict_proba(vectorizer.transform(others))
    assert np.allclose(softmax(found, axis=1), expected, atol=1e-6)
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).all()


def test_a_class_that_no_training_row_has_is_never_predicted():
    texts, labels = reviews(300)
    kept = labels != 3
    chosen = [text for text, keep in zip(texts, kept, strict=True) if keep]
    logits = predict(fit(chosen, labels[kept], 5000, 3.0), labels[kept], texts, 6)
    assert logits.shape == (300, 6)
    assert not set(logits.argmax(axis=1)) & {3, 5}
    assert np.allclose(softmax(logits, axis=1).sum(axis=1), 1)
    assert softmax(logits, axis=1)[:, [3, 5]].max() < 1e-9


@pytest.mark.parametrize(
    ("texts", "labels"),
    [
        (["", " ", ""], [0, 1, 0]),
        (["one", "two", "three"], [0, 1, 1]),  # no word twice
        (["good food", "good food"], [1, 1]),
        (["the", "the", "a"], [0, 1, 2]),
        (["\U0001f32e", "\U0001f32e"], [0, 1]),
    ],
    ids=["empty", "nothing shared", "one class", "one word", "no word"],
)
def test_where_nothing_can_be_fitted_the_majority_class_is_predicted(texts, labels):
    labels = np.array(labels)
    logits = predict(fit(texts, labels, 100, 1.0), labels, ["good", ""], 3)
    assert logits.shape == (2, 3)
    assert np.isfinite(logits).all()


def test_no_texts_have_no_logits():
    texts, labels = reviews(100)
    assert predict(fit(texts, labels, 100, 1.0), labels, [], 5).shape == (0, 5)


CHILD = """
import hashlib, sys
sys.path[:0] = ["tests", "."]
from test_baseline import fit, predict, reviews
texts, labels = reviews(400)
logits = predict(fit(texts, labels, 5000, 3.0), labels, texts, 5)
print(hashlib.sha256(logits.tobytes()).hexdigest())
"""


@pytest.mark.slow
def test_the_logits_do_not_depend_on_the_number_of_threads():
    found = {
        run("python", "-c", CHILD, cwd=ROOT, OMP_NUM_THREADS=n, OPENBLAS_NUM_THREADS=n)
        for n in ("1", "2")
    }
    assert len(found) == 1


def test_the_committed_scores_have_the_format_of_the_models():
    scores = json.loads((ROOT / "metrics" / "baseline.json").read_text())
    model = json.loads((ROOT / "metrics" / "test.json").read_text())
    assert [*scores] == ["majority", "tfidf"]
    for found in scores.values():
        assert [*found] == [*model]
