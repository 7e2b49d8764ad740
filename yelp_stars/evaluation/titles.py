"""Titles of the scores and of the baselines, wherever they are printed."""

from collections.abc import Mapping

from yelp_stars.pipeline.text import are_stars

UNEQUAL = 2  # times the rows of the rarest class
SCORES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "mae": "mean error in stars",
    "within_one": "within one star",
    "quadratic_kappa": "quadratic kappa",
    "loss": "log loss",
    "calibration_error": "calibration error",
}


def score_titles(rows: Mapping[str, int]) -> dict[str, str]:
    """Title the scores, in the order to show them, for classes with so many rows each.

    An error counts stars where all classes are stars, and else classes. Macro-F1 comes first where
    the classes are unequal: there, a high accuracy can mean the largest class. It is the mean over
    the classes that have rows, and its title says so where some have none.
    """
    titles, present = dict(SCORES), sum(map(bool, rows.values()))
    if present < len(rows):
        titles["macro_f1"] += f" of {present} of {len(rows)} classes"
    if not are_stars(rows):
        titles |= {"mae": "mean error in classes", "within_one": "within one class"}
    if rows and max(rows.values()) > UNEQUAL * min(rows.values()):
        return {"macro_f1": titles.pop("macro_f1"), **titles}
    return titles


# From the strongest to the weakest, usually. Frozen: logistic regression on its embeddings.
BASELINES = {"frozen": "frozen checkpoint", "tfidf": "TF-IDF", "majority": "majority class"}
ORDERED = {"mae", "within_one", "quadratic_kappa"}  # not there if download.ordered is false
