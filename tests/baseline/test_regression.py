"""The penalty of a regression, by cross-validation."""

import numpy as np
import pytest

from yelp_stars.baseline.regression import choose_penalty


def test_the_penalty_is_as_strong_as_what_is_to_be_learned_allows():
    rare = np.arange(60) % 5 == 0  # a strong penalty predicts the frequent class alone
    assert choose_penalty(1.0 * rare[:, None], rare.astype(np.int64)) > 0.1
    noise = np.random.default_rng(0).normal(size=(60, 3))
    assert choose_penalty(noise, rare.astype(np.int64)) == 0.01


@pytest.mark.parametrize(
    "labels", [[0, 0, 1, 2], [0, 1, 2, 3], [0] * 30 + [1], [3, 3], [0] * 30 + [1] * 2]
)
@pytest.mark.filterwarnings("error")
def test_classes_of_one_row_are_no_error(labels):
    assert choose_penalty(np.eye(len(labels)), np.array(labels)) > 0
