"""Intervals: of reproducible resamples, in the digits that n supports."""

import numpy as np
import pytest

from yelp_stars.evaluation import intervals


def test_resamples_draw_rows_with_replacement_and_repeat_for_a_seed_in_chunks_of_any_size():
    def draw(seed, **options):
        found = intervals.resample(
            lambda rows, odd: {"rows": rows, "odd": odd}, 50, 300, seed, odd=5, **options
        )
        return found["rows"], found["odd"]

    first, odd = draw(7)
    assert first.shape == odd.shape == (300, 50)
    for other, again in zip(draw(7, width=intervals.CHUNK // 7), (first, odd), strict=True):
        assert (other == again).all()
    assert (first != draw(8)[0]).any()
    # One row of a draw is odd, on average: Poisson, and of any kind.
    assert (odd >= 0).sum(axis=1).mean() == pytest.approx(1, abs=0.2)
    assert set(np.unique(odd)) == {-1, 0, 1, 2, 3, 4}
    assert ((first >= 0) & (first < 50)).all()
    distinct = np.mean([len(set(rows)) for rows in first])
    assert distinct == pytest.approx(50 * (1 - (1 - 1 / 50) ** 50), abs=0.5)


@pytest.mark.filterwarnings("error")
def test_resamples_in_which_a_number_is_undefined_do_not_count():
    resampled = np.array([[1.0, np.nan, np.nan], [2.0, 5.0, np.nan], [3.0, 7.0, np.nan]])
    low, high = intervals.percentiles(resampled)
    assert (low[0], high[0]) == pytest.approx((1.05, 2.95))
    assert (low[1], high[1]) == pytest.approx((5.05, 6.95))
    assert np.isnan([low[2], high[2]]).all()


def test_a_proportion_has_wilsons_interval_in_the_digits_of_its_rows():
    # Newcombe 1998, table I: 81 of 263, and 0 of 20.
    found = intervals.proportion(81, 263)
    assert found == {"value": 0.308, "low": 0.255, "high": 0.367, "n": 263}
    assert intervals.proportion(0, 20) == {"value": 0.0, "low": 0.0, "high": 0.17, "n": 20}
    assert intervals.proportion(0, 0) == {"value": None, "low": None, "high": None, "n": 0}
    found = intervals.estimate(np.nan, np.nan, 0.26, 10)
    assert found == {"value": None, "low": None, "high": 0.3, "n": 10}


def test_holms_correction_of_a_worked_example():
    # R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    assert intervals.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert intervals.holm([]) == []
