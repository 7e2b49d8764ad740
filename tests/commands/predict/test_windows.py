"""Windows hold every row once, and counts add up whatever the windows are."""

from yelp_stars.commands.predict import windows
from yelp_stars.commands.predict.windows import Tally, predicted_columns
from yelp_stars.reading.layout import Row


def test_windows_hold_every_row_once_in_order_and_are_bounded():
    rows = [Row(f"row {number}", None, "x") for number in range(2 * windows.WINDOW_ROWS + 1)]
    divided = list(windows.windows(rows))
    assert [row for window in divided for row in window] == rows
    assert [len(window) for window in divided] == [windows.WINDOW_ROWS] * 2 + [1]
    long = [Row(f"row {number}", None, "x" * 9_000_000) for number in range(5)]
    assert [len(window) for window in windows.windows(long)] == [2, 2, 1]


def test_tallies_add_up():
    first = Tally(3, 1, 0, 0.5, [[1, 0], [1, 1]])
    second = Tally(2, 0, 1, 0.25, [[0, 1], [0, 0]])
    assert Tally.total([first, second]) == Tally(5, 1, 1, 0.75, [[1, 1], [1, 1]])
    assert Tally.total([first]) == first


def test_the_columns_are_named_by_the_labels_and_by_what_is_known():
    names = ["bad", "good\ud800"]
    assert predicted_columns(names, ranges=True, below=0.5, prefix="a_").names == [
        "a_predicted", "a_probability", "a_p_bad", "a_p_good\\ud800", "a_range", "a_truncated",
        "a_to_a_person",
    ]  # fmt: skip
    few = predicted_columns(["1 star", "2 stars"], ranges=False, below=None, prefix="")
    assert few.names == ["stars", "probability", "p_1 star", "p_2 stars", "truncated"]


def test_a_prefix_may_hold_what_utf_8_cannot():
    names = predicted_columns(["a", "b"], ranges=False, below=None, prefix="caf\udce9_").names
    assert names[0] == "caf\\udce9_predicted"
