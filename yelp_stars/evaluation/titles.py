"""Titles of the scores and of the baselines, wherever they are printed."""

SCORES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "mae": "mean error in stars",
    "within_one": "within one star",
    "quadratic_kappa": "quadratic kappa",
    "loss": "log loss",
    "calibration_error": "calibration error",
}
# From the strongest to the weakest, usually. Frozen: logistic regression on its embeddings.
BASELINES = {"frozen": "frozen checkpoint", "tfidf": "TF-IDF", "majority": "majority class"}
ORDERED = {"mae", "within_one", "quadratic_kappa"}  # not there if download.ordered is false
