"""Risk and coverage: as counted by hand."""

import numpy as np

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
