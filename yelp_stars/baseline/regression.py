"""Logistic regression on a frozen checkpoint's features: the start of a head, and a baseline."""

import warnings

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

PENALTIES = (0.01, 0.1, 1.0, 10.0)  # inverse strengths of the L2 penalty
DEFAULT = 1.0  # scikit-learn's
FOLDS = 5
NEVER = -30.0  # the logarithm of the probability of a class that no training row has


def regression(c: float, balanced: bool = False) -> LogisticRegression:
    """Make an unfitted regression; `balanced` weights the classes equally."""
    return LogisticRegression(C=c, max_iter=1000, class_weight="balanced" if balanced else None)


def predict(model: LogisticRegression | Pipeline, rows: np.ndarray, n_classes: int) -> np.ndarray:
    """Predict the logarithms of the probabilities: (rows, classes), float32."""
    logits = np.full((len(rows), n_classes), NEVER, np.float32)
    with threadpool_limits(1):  # sums over several threads differ in their last digits
        logits[:, model.classes_] = np.maximum(model.predict_log_proba(rows), NEVER)
    return logits


def choose_penalty(features: np.ndarray, labels: np.ndarray, balanced: bool = False) -> float:
    """Choose the penalty by cross-validation; of equal ones the strongest.

    By accuracy, or by macro-F1 if `balanced`. Many classes of a few rows each need a weaker penalty
    than two classes of a hundred.
    """
    # Every fold leaves two classes to train on; without two rows of each, nothing can be chosen.
    folds = min(FOLDS, np.sort(np.bincount(labels, minlength=2))[-2])
    if folds < 2:
        return DEFAULT
    splitter = StratifiedKFold(int(folds), shuffle=True, random_state=0)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer rows than folds
        scores = [
            cross_val_score(
                regression(c, balanced),
                features,
                labels,
                cv=splitter,
                scoring="f1_macro" if balanced else "accuracy",
            ).mean()
            for c in PENALTIES
        ]
    return PENALTIES[int(np.argmax(scores))]
