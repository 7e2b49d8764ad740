"""Seeded orders of rows, of which a sample is a prefix."""

import numpy as np


def permutation(labels: np.ndarray, seed: int, stratify: bool) -> np.ndarray:
    """Draw the row numbers in seeded random order, of shape (rows,): a sample is a prefix of it.

    The order is that of `datasets.Dataset.shuffle(seed)`. With `stratify`, every prefix has the
    label proportions of all rows, to within a row or two for each label.
    """
    rng = np.random.default_rng(seed)
    if not stratify:
        order = np.arange(len(labels), dtype=np.uint32)
        rng.shuffle(order)
        return order
    of_label = [
        np.flatnonzero(labels == label).astype(np.uint32) for label in range(labels.max() + 1)
    ]
    for rows in of_label:
        rng.shuffle(rows)
    # The k-th of n rows of a label has the rank (k + 1/2) / n; equal ranks are ordered by label.
    ranks = np.concatenate([(np.arange(len(rows)) + 0.5) / len(rows) for rows in of_label])
    return np.concatenate(of_label)[ranks.argsort(kind="stable")]
