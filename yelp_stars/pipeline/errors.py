"""Errors that a user can act on: short lines without control characters."""

import re
import reprlib
from collections.abc import Sequence
from typing import Any

MAX_LINE = 500  # characters
MAX_PROBLEMS = 20


class UserError(Exception):
    """A mistake its user can fix: the message says what is wrong and which command to run next.

    A message is one line. `problems` are further lines, for a file that has several.
    """

    def __init__(self, message: str, *problems: str) -> None:
        shown = list(problems[:MAX_PROBLEMS])
        if len(problems) > MAX_PROBLEMS:
            shown.append(f"and {len(problems) - MAX_PROBLEMS:,} more")
        lines = (f"  - {one_line(problem)}" for problem in shown)
        super().__init__("\n".join([one_line(message), *lines]))


def one_line(text: str) -> str:
    """`text` as one printable line of at most `MAX_LINE` characters, cut in its middle."""
    if len(text) > 20 * MAX_LINE:
        text = f"{text[: 10 * MAX_LINE]} {text[-10 * MAX_LINE :]}"
    text = re.sub(r"\s*[\r\n]\s*", " ", text.strip())
    # A library's message, a path or a key may hold escape sequences of a terminal.
    text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    # The end says what to do.
    return text if len(text) <= MAX_LINE else f"{text[:240]} … {text[-240:]}"


def hub_error(repo: str, error: Exception, alternative: str) -> UserError:
    """The error for a repository that the Hugging Face Hub did not deliver."""
    reason = " ".join(str(error).split())[:160]
    return UserError(
        f"the Hub did not deliver {repo!r} ({type(error).__name__}: {reason}); check the network, "
        f"HF_ENDPOINT and HF_HUB_OFFLINE, or {alternative}"
    )


def quoted(value: Any, most: int = 80) -> str:
    """A value as Python writes it, cut at `most` characters."""
    text = _SHORT.repr(value)
    return text if len(text) <= most else f"{text[:most]}…"


def listed(names: Sequence[Any], most: int = 5) -> str:
    """The first of several names as Python writes them, cut at 40 characters, and how many more."""
    shown = [quoted(name, 40) for name in names[:most]]
    more = len(names) - len(shown)
    return (", ".join(shown) or "nothing") + (f" and {more:,} more" if more else "")


class _Short(reprlib.Repr):
    """`repr`, but never of more than some 80 characters and some items of each level."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = 30
        self.maxother = 200

    def repr_str(self, x: str, level: int) -> str:
        return repr(x[:81])

    def repr_bytes(self, x: bytes, level: int) -> str:
        return repr(x[:81])

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write a number of thousands of digits.
        return repr(x) if x.bit_length() < 1000 else f"a number of {x.bit_length():,} bits"


_SHORT = _Short()
