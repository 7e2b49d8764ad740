"""Texts that any UTF-8 file can hold, and Yelp's escapes."""

import pytest
from helpers import FUZZ_EXAMPLES
from hypothesis import given, settings
from hypothesis import strategies as st

from yelp_stars.pipeline.errors import BadRow
from yelp_stars.reading.texts import unescape, valid_text


@settings(max_examples=FUZZ_EXAMPLES)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_a_valid_text_is_unchanged(text):
    assert valid_text(text, "a.csv line 1") == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (3, "has 3 where a text is expected; fix or remove the row"),
        (["x"], "has ['x'] where a text is expected; fix or remove the row"),
        ("x\0y", "has a NUL byte in its text; remove it"),
        ("x\ud800", "has an unpaired surrogate in its text; fix it"),
    ],
)
def test_an_invalid_text_is_reported_with_its_location(text, message):
    with pytest.raises(BadRow) as caught:
        valid_text(text, "a.jsonl line 9")
    assert str(caught.value) == f"a.jsonl line 9 {message}"


@pytest.mark.parametrize("text", [None, float("nan"), ""])
def test_a_missing_text_is_an_empty_one(text):
    assert valid_text(text, "a.csv line 1") == ""


def test_yelps_escapes_are_undone():
    assert unescape(r"a\nb \"c\" " "d" "") == 'a\nb "c" d'
    assert unescape('say ""hi""') == 'say "hi"'
