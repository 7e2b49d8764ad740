"""Rows whose text has a match of a regular expression that a user wrote."""

import contextlib
import re
import signal
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import quoted

# For one pattern: a thousand times of what most take for 50,000 reviews. Some backtrack for years.
SECONDS = 60.0


def check_name(name: str) -> str:
    """Refuse a name that does not fit in a table."""
    if not name.isprintable() or name != name.strip():
        raise ValueError("should be printable and without spaces at its ends")
    return name


def check_pattern(pattern: str) -> str:
    """Refuse what is not a regular expression."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"should be a regular expression of Python ({error})") from None
    return pattern


Name = Annotated[str, Field(min_length=1, max_length=40), AfterValidator(check_name)]
Pattern = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(check_pattern)]
Patterns = Annotated[dict[Name, Pattern], Field(max_length=20)]


def matches(
    texts: list[str], patterns: Mapping[str, str], seconds: float = SECONDS
) -> dict[str, np.ndarray]:
    """Tell for each name which texts match its pattern, bool; refuse one that takes too long."""
    found = {}
    for name, pattern in patterns.items():
        search = re.compile(pattern).search
        try:
            with _limited(seconds):
                found[name] = np.array([search(text) is not None for text in texts], bool)
        except TimeoutError:
            raise UserError(
                f"evaluate.slices has {quoted(name)}: {quoted(pattern)}, which takes more than "
                f"{seconds:g} s for {len(texts):,} texts; write it without a repeat in a repeat"
            ) from None
    return found


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the block after some seconds: `re` looks for signals, too."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)
        signal.signal(signal.SIGALRM, before)
