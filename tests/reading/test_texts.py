"""Texts that any UTF-8 file can hold, and Yelp's escapes."""

import pytest

from yelp_stars.pipeline.errors import BadRow
from yelp_stars.reading.texts import unescape, valid_text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (3, "has 3 where a text is expected; fix or remove the row"),
        ("x\0y", "has a NUL byte in its text; remove it"),
        ("x\ud800", "has an unpaired surrogate in its text; fix it"),
    ],
)
def test_an_invalid_text_is_reported_with_its_location(text, message):
    with pytest.raises(BadRow) as caught:
        valid_text(text, "a.jsonl line 9")
    assert str(caught.value) == f"a.jsonl line 9 {message}"


@pytest.mark.parametrize("text", [None, float("nan"), "", "caf\u00e9 \U0001f32e\r\n\x1b"])
def test_a_valid_text_is_unchanged_and_a_missing_one_is_empty(text):
    assert valid_text(text, "a.csv line 1") == (text if isinstance(text, str) else "")


def test_yelps_escapes_are_undone():
    assert unescape(r"a\nb \"c\" " "d" "") == 'a\nb "c" d'
    assert unescape('say ""hi""') == 'say "hi"'
