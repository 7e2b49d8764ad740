"""What a model must beat: the majority class, and TF-IDF with logistic regression."""

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from threadpoolctl import threadpool_limits

# Without a word in common, or with a single class, there is nothing to fit.
NO_VOCABULARY = "empty vocabulary"
# The natural logarithm of the probability of a class that no training row has.
NEVER = -30.0


def majority(labels: np.ndarray, rows: int, n_classes: int) -> np.ndarray:
    """Logits (rows, classes) of the same prediction for every row: the shares of the classes."""
    counts = np.bincount(labels, minlength=n_classes)
    with np.errstate(divide="ignore"):
        shares = np.maximum(np.log(counts / len(labels)), NEVER)
    return np.tile(shares.astype(np.float32), (rows, 1))


def fit(texts: list[str], labels: np.ndarray, max_features: int, c: float) -> Pipeline | None:
    """Fit logistic regression on the TF-IDF of words and pairs of words.

    `c` is the inverse strength of its L2 penalty. None if there is nothing to fit: a single class,
    or no word that two texts share. The result does not depend on the number of cores.
    """
    if len(np.unique(labels)) < 2:
        return None
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, max_features=max_features),
        LogisticRegression(C=c, max_iter=200),
    )
    try:
        with threadpool_limits(1):  # sums over several threads differ in their last digits
            return model.fit(texts, labels)
    except ValueError as error:
        if NO_VOCABULARY in str(error) or "no terms remain" in str(error).lower():
            return None
        raise


def predict(
    model: Pipeline | None, train_labels: np.ndarray, texts: list[str], n_classes: int
) -> np.ndarray:
    """Logits (rows, classes), float32: the logarithms of the probabilities.

    Without a model, those of the majority class.
    """
    if model is None or not texts:
        return majority(train_labels, len(texts), n_classes)
    logits = np.full((len(texts), n_classes), NEVER, np.float32)
    with threadpool_limits(1):
        logits[:, model.classes_] = np.maximum(model.predict_log_proba(texts), NEVER)
    return logits
