"""Errors that a user can act on."""

import pytest

from yelp_stars.pipeline.errors import UserError, hub_error
from yelp_stars.pipeline.text import MAX_LINE, one_line, quoted


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
