"""Successive halving: how many trials have how many rows, and which of them stay."""

from hypothesis import given
from hypothesis import strategies as st

from yelp_stars.commands.search import halving


def test_a_third_of_the_trials_has_three_times_the_rows():
    assert halving.plan(12, 2, 2000) == [(222, 4), (666, 2)]
    assert halving.plan(27, 1, 27000) == [(1000, 9), (3000, 3), (9000, 1)]
    assert halving.plan(2, 2, 2000) == []


@given(trials=st.integers(2, 1000), finalists=st.integers(1, 20), rows=st.integers(1, 10**6))
def test_every_rung_has_fewer_trials_and_no_fewer_rows(trials, finalists, rows):
    rungs = halving.plan(trials, finalists, rows)
    keeps = [trials, *(rung.keep for rung in rungs)]
    assert keeps == sorted(keeps, reverse=True)
    assert len(set(keeps)) == len(keeps)
    assert keeps[-1] == min(trials, finalists)
    sizes = [rung.rows for rung in rungs]
    assert sizes == sorted(sizes)
    assert all(min(rows, halving.FEWEST) <= size <= rows for size in sizes)


def test_of_equal_trials_the_first_stays():
    assert halving.best({0: 0.5, 1: 0.6, 2: 0.6, 3: 0.7}, 2) == [3, 1]
    assert halving.best({4: 0.5, 2: 0.5}, 9) == [2, 4]
