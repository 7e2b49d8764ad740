"""The penalty of a regression, by cross-validation."""

import numpy as np

from yelp_stars.baseline.regression import choose_penalty


def test_the_penalty_is_as_strong_as_what_is_to_be_learned_allows():
    rare = np.arange(60) % 5 == 0  # a strong penalty predicts the frequent class alone
    assert choose_penalty(1.0 * rare[:, None], rare.astype(np.int64)) > 0.1
    noise = np.random.default_rng(0).normal(size=(60, 3))
    assert choose_penalty(noise, rare.astype(np.int64)) == 0.01


def test_a_class_of_one_row_is_no_error():
    assert choose_penalty(np.eye(4), np.array([0, 0, 1, 2])) > 0
