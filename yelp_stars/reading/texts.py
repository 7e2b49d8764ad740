"""Texts of reviews: valid ones, and Yelp's escapes."""

import math
from typing import Any

from yelp_stars.pipeline.errors import BadRow
from yelp_stars.pipeline.text import quoted


def valid_text(text: Any, location: str) -> str:
    """Return `text` if any UTF-8 file can hold it, without NUL; a missing text is an empty one."""
    if text is None or (isinstance(text, float) and math.isnan(text)):
        return ""
    if not isinstance(text, str):
        raise BadRow(
            f"has {quoted(text)} where a text is expected",
            location=location,
            advice="fix or remove the row",
        )
    if "\0" in text:
        raise BadRow("has a NUL byte in its text", location=location, advice="remove it")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise BadRow(
                "has an unpaired surrogate in its text", location=location, advice="fix it"
            ) from None
    return text


def unescape(text: str) -> str:
    r"""Undo Yelp's escapes: a literal \n becomes a newline, \" and "" a quote."""
    return text.replace("\\n", "\n").replace('\\"', '"').replace('""', '"')
