"""Errors that a user can act on."""

from yelp_stars.pipeline.errors import hub_error, quoted


def test_an_error_of_the_hub_is_one_short_line_with_what_to_use_instead():
    reason = "404 Client Error\n\n" + "Not Found for url: https://example.org " * 50
    error = str(hub_error("owner/name", OSError(reason), "set source to 'files'"))
    assert error.startswith("the Hub did not deliver 'owner/name' (OSError: 404 Client Error Not F")
    assert error.endswith(
        "check the network, HF_ENDPOINT and HF_HUB_OFFLINE, or set source to 'files'"
    )
    assert "\n" not in error
    assert len(error) < 400


def test_a_quoted_value_is_cut_at_80_characters():
    assert quoted("it's\nshort") == '"it\'s\\nshort"'
    assert quoted([1, None]) == "[1, None]"
    assert quoted("x" * 78) == f"'{'x' * 78}'"
    assert quoted("x" * 500) == f"'{'x' * 79}…"
