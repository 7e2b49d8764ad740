"""Risk and coverage: as counted by hand, better than chance only if probabilities say so."""

import numpy as np
import pytest

from yelp_stars.evaluation import selective


def test_points_of_a_case_worked_by_hand():
    # Of ten rows, the surest eight are right.
    probability = np.arange(1, 11) / 10
    points = selective.points(np.arange(10) >= 2, probability)
    assert [point["to_a_person"] for point in points] == [0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert [point["n"] for point in points] == [10, 9, 8, 7, 6, 5]
    assert [point["value"] for point in points] == [0.8, 0.9, 1, 1, 1, 1]
    assert [point["from"] for point in points] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]


def test_the_area_of_a_case_worked_by_hand():
    assert selective.mean_error(np.array([0, 1, 0, 1])) == (0 + 1 / 2 + 1 / 3 + 1 / 2) / 4


def test_a_model_that_knows_its_mistakes_gains_and_one_that_does_not_gains_nothing():
    rng = np.random.default_rng(0)
    probability = rng.random(20_000)
    knows = selective.points(rng.random(20_000) < probability, probability)
    guesses = selective.points(rng.random(20_000) < 0.5, probability)
    assert knows[-1]["value"] > knows[0]["value"] + 0.2
    assert guesses[-1]["value"] == pytest.approx(guesses[0]["value"], abs=0.02)
