"""Successive halving: how many trials have how many rows, and which of them stay."""

from yelp_stars.commands.search import halving


def test_a_third_of_the_trials_has_three_times_the_rows():
    assert halving.plan(12, 2, 2000) == [(222, 4), (666, 2)]
    assert halving.plan(27, 1, 27000) == [(1000, 9), (3000, 3), (9000, 1)]
    assert halving.plan(12, 2, 200) == [(halving.FEWEST, 4), (66, 2)]
    assert halving.plan(12, 2, 9) == [(9, 4), (9, 2)]
    assert halving.plan(2, 2, 2000) == []


def test_of_equal_trials_the_first_stays():
    assert halving.best({0: 0.5, 1: 0.6, 2: 0.6, 3: 0.7}, 2) == [3, 1]
    assert halving.best({4: 0.5, 2: 0.5}, 9) == [2, 4]
