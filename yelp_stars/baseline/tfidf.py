"""Fit the baselines to beat: the majority class, and TF-IDF with logistic regression."""

import numpy as np
from sklearn.base import clone
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from threadpoolctl import threadpool_limits

from yelp_stars.baseline.regression import NEVER, predict

# Chinese and Japanese have no spaces between words: each character counts as one.
CHARACTERS = "\u3005\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
WORD = rf"[{CHARACTERS}]|[^\W{CHARACTERS}]{{2,}}"


def majority(labels: np.ndarray, rows: int, n_classes: int) -> np.ndarray:
    """Predict the shares of the classes for every row: logits (rows, classes)."""
    counts = np.bincount(labels, minlength=n_classes)
    with np.errstate(divide="ignore"):
        shares = np.maximum(np.log(counts / len(labels)), NEVER)
    return np.tile(shares.astype(np.float32), (rows, 1))


def fit(texts: np.ndarray, labels: np.ndarray, max_features: int, c: float) -> Pipeline | None:
    """Fit logistic regression on the TF-IDF of the most frequent words and pairs of words.

    `c` is the inverse strength of its L2 penalty. None if there is nothing to fit: a single class,
    or no word that two texts share. The result does not depend on the number of cores.
    """
    if len(np.unique(labels)) < 2:
        return None
    counter = CountVectorizer(min_df=2, ngram_range=(1, 2), token_pattern=WORD)
    try:
        counts = counter.fit_transform(texts)
    except ValueError:
        return None
    # CountVectorizer(max_features=) sorts in a way that orders equal counts by the kind of CPU.
    frequency = np.asarray(counts.sum(axis=0)).ravel()
    frequent = np.sort(np.argsort(-frequency, kind="stable")[:max_features])
    counter = clone(counter).set_params(vocabulary=counter.get_feature_names_out()[frequent])
    weights = TfidfTransformer(sublinear_tf=True)
    regression = LogisticRegression(C=c, max_iter=200)
    with threadpool_limits(1):  # sums over several threads differ in their last digits
        regression.fit(weights.fit_transform(counts[:, frequent]), labels)
    return make_pipeline(counter, weights, regression)


def fit_predict(
    texts: np.ndarray,
    labels: np.ndarray,
    others: np.ndarray,
    *,
    n_classes: int,
    max_features: int,
    c: float,
) -> np.ndarray | None:
    """Fit the regression; predict the logits of other texts. None if there is nothing to fit."""
    model = fit(texts, labels, max_features, c)
    return None if model is None else predict(model, others, n_classes)
