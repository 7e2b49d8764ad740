"""Errors that a user can act on, and text made safe to print."""

import pytest

from yelp_stars.pipeline.errors import UserError, hub_error
from yelp_stars.pipeline.text import MAX_LINE, are_stars, counted, one_line, quoted, visible


def test_an_error_of_the_hub_is_one_short_line_with_what_to_use_instead():
    reason = "404 Client Error\n\n" + "Not Found for url: https://example.org " * 50
    error = str(hub_error("owner/name", OSError(reason), "set source to 'files'"))
    assert error.startswith("the Hub did not deliver 'owner/name' (OSError: 404 Client Error Not F")
    assert error.endswith(
        "check the network, HF_ENDPOINT and HF_HUB_OFFLINE, or set source to 'files'"
    )
    assert "\n" not in error
    assert len(error) < 400


@pytest.mark.timeout(10)
def test_a_quoted_value_is_short_however_large_it_is():
    nested = ["x" * 100_000] * 9
    for _ in range(9):
        nested = [nested] * 9  # 9 to the power of 10 strings
    for value in (nested, {"a": nested}, ("x" * 10**7, nested), b"x" * 10**7):
        assert len(quoted(value)) <= 81
    assert quoted("x" * 500) == f"'{'x' * 79}…"
    assert quoted([1, "it's\nshort"]) == '[1, "it\'s\\nshort"]'


def test_an_error_is_one_printable_line_that_keeps_its_end():
    error = UserError(f"line 1\r\n line 2 \x1b[31mred\u202e{'x' * 9999}; run `dvc repro`")
    assert str(error).startswith(r"line 1 line 2 \x1b[31mred\u202ex")
    assert str(error).endswith("; run `dvc repro`")
    assert len(str(error)) <= MAX_LINE
    assert str(error).isprintable()
    assert str(UserError("caf\u00e9: it's short")) == "caf\u00e9: it's short"
    assert len(one_line("x" * 10**7)) <= MAX_LINE


def test_problems_are_lines_of_their_own_and_at_most_20():
    assert str(UserError("2 problems", "a\nb", "c")) == "2 problems\n  - a b\n  - c"
    lines = str(UserError("25 problems", *map(str, range(25)))).splitlines()
    assert lines[-2:] == ["  - 19", "  - and 5 more"]


def test_what_turns_text_around_is_shown_as_a_code():
    assert (
        visible("good \u202edoog\u202c\u0000\ufeff", 600) == "good \\u202edoog\\u202c\\u0000\\ufeff"
    )
    assert visible("line\nnext\tcell é 好 👩‍🍳", 600) == "line\nnext\tcell é 好 👩‍🍳"
    invisible = "\xad\u2028\u3164\U000e0041"
    assert visible(invisible, 600) == "\\u00ad\\u2028\\u3164\\ue0041"
    assert len(visible("\u202e" * 50_000, 600)) == 600
    assert visible("x" * 50_000, 600) == "x" * (599) + "…"


def test_a_count_agrees_with_its_noun():
    written = [counted(count, "row") for count in (0, 1, 2, 12_345)]
    assert written == ["0 rows", "1 row", "2 rows", "12,345 rows"]
    assert [counted(count, "class", "classes") for count in (1, 2)] == ["1 class", "2 classes"]


def test_stars_are_named_by_the_word():
    for names in (["1 star", "2 stars"], ["1-star", "2_stars"], ["ONE STAR", "5stars"]):
        assert are_stars(names)
    for names in (["not started", "started"], ["1 star", "good"], ["starred", "bastard"]):
        assert not are_stars(names)
