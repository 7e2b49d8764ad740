"""Rows whose text has a match of a regular expression that a user wrote."""

import time
from collections.abc import Mapping
from typing import Annotated

import numpy as np
import regex
from pydantic import AfterValidator, Field

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import quoted

# For one pattern: a thousand times of what most take for 50,000 reviews. Some backtrack for years.
SECONDS = 60.0
MOST = 20  # patterns of a run


def check_name(name: str) -> str:
    """Refuse a name that does not fit in a table."""
    if not name.isprintable() or name != name.strip():
        raise ValueError("should be printable and without spaces at its ends")
    return name


def check_pattern(pattern: str) -> str:
    """Refuse what is not a regular expression."""
    try:
        regex.compile(pattern)
    except (regex.error, OverflowError, RecursionError) as error:
        raise ValueError(f"should be a regular expression ({error})") from None
    return pattern


Name = Annotated[str, Field(min_length=1, max_length=40), AfterValidator(check_name)]
Pattern = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(check_pattern)]
Patterns = Annotated[dict[Name, Pattern], Field(max_length=MOST)]


def matches(
    texts: list[str], patterns: Mapping[str, str], seconds: float = SECONDS
) -> dict[str, np.ndarray]:
    """Tell for each name which texts match its pattern, bool; refuse one that takes too long."""
    matched = {}
    for name, pattern in patterns.items():
        search, end = regex.compile(pattern).search, time.monotonic() + seconds
        try:
            results = [search(text, timeout=max(0, end - time.monotonic())) for text in texts]
            matched[name] = np.array([match is not None for match in results], bool)
        except TimeoutError:
            raise UserError(
                f"evaluate.slices has {quoted(name)}: {quoted(pattern)}, which takes more than "
                f"{seconds:g} s for {len(texts):,} texts; write it without a repeat in a repeat"
            ) from None
    return matched
