"""Windows hold every row once, and counts add up whatever the windows are."""

from hypothesis import given
from hypothesis import strategies as st

from yelp_stars.commands.predict import windows
from yelp_stars.commands.predict.windows import Columns, Tally
from yelp_stars.reading.layout import Row


@given(lengths=st.lists(st.integers(1, 100), max_size=30), times=st.integers(1, 400))
def test_windows_hold_every_row_once_in_order_and_are_bounded(lengths, times):
    rows = [Row(f"row {number}", None, "x" * length) for number, length in enumerate(lengths)]
    found = list(windows.windows(rows * times))
    assert [row for window in found for row in window] == rows * times
    assert all(len(window) == windows.WINDOW_ROWS for window in found[:-1])


def test_long_texts_make_smaller_windows():
    rows = [Row(f"row {number}", None, "x" * 9_000_000) for number in range(5)]
    assert [len(window) for window in windows.windows(rows)] == [2, 2, 1]


NUMBER = st.integers(0, 1000)
TALLY = st.builds(
    Tally, NUMBER, NUMBER, NUMBER, NUMBER, st.lists(st.lists(NUMBER, min_size=2, max_size=2),
    min_size=2, max_size=2),
)  # fmt: skip


@given(first=TALLY, second=TALLY, third=TALLY)
def test_tallies_add_up_in_any_order(first, second, third):
    assert first.plus(second).plus(third) == first.plus(third.plus(second))
    assert first.plus(Tally.none(2)) == first


def test_the_columns_are_named_by_the_labels_and_by_what_is_known():
    columns = Columns(["bad", "good\ud800"], ranges=True, below=0.5, prefix="a_")
    assert columns.schema().names == [
        "a_stars", "a_probability", "a_p_bad", "a_p_good\\ud800", "a_range", "a_truncated",
        "a_to_a_person",
    ]  # fmt: skip
    few = Columns(["bad", "good"], ranges=False, below=None, prefix="")
    assert few.schema().names == ["stars", "probability", "p_bad", "p_good", "truncated"]
