"""Text of users and of libraries, made safe to print: bounded, every character visible."""

import re
import reprlib
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

MAX_LINE = 500  # characters

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 3, 200, 200
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 30

# What changes the direction of the text around it, or is not visible at all: controls, soft hyphen,
# fillers, separators, marks of direction, the tags that repeat ASCII. Not the joiners of emoji.
HIDDEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    r"\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
    r"\U000e0000-\U000e007f]"
)

# Words that mean nothing else: no mark, item of a list, address, :emoji:, name, GH-1 or hash.
PLAIN = re.compile(
    r"[&%]|->|(?<= )=|(?!^\d+[.)]$|.*(www\.|ghsa-|(?<![a-z0-9])[a-z]+-\d))"
    r"""(?!.*(?<![a-z0-9])[0-9a-f]{7,}(?![a-z0-9]))(?=.*[^\W_])"""
    r"""([a-z0-9.,;%+()/'"?!=-]|[^\x00-\x7f])+:?""",
    re.I,
)


def one_line(text: str) -> str:
    """Print `text` on one line of at most `MAX_LINE` characters, cut in its middle."""
    if len(text) > 20 * MAX_LINE:
        text = f"{text[: 10 * MAX_LINE]} {text[-10 * MAX_LINE :]}"
    text = _printable(re.sub(r"\s*[\r\n]\s*", " ", text.strip()))
    # The end says what to do.
    return text if len(text) <= MAX_LINE else f"{text[:240]} … {text[-240:]}"


def printable(value: Any, longest: int = 60) -> str:
    """Print a value on one line of at most `longest` characters, without escape sequences."""
    return _printable(cut(re.sub(r"\s+", " ", str(value)[: longest + 1]), longest))


def visible(text: str, longest: int) -> str:
    """Cut a text to `longest` characters; keep its lines, show hidden characters as codes."""
    shown = HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text[: longest + 1])
    return cut(shown, longest)


def markdown_cell(value: Any, longest: int = 60) -> str:
    """Write a value without meaning for Markdown, HTML or GitHub: other words become code.

    GitHub looks for names, issues, commits and addresses in the finished page, where an escaped
    character is itself again; it leaves code alone.
    """
    return re.sub(
        r"\S+",
        lambda word: word[0] if PLAIN.fullmatch(word.string, *word.span()) else _code(word[0]),
        printable(value, longest),
    )


def cut(text: str, longest: int) -> str:
    """Cut a text to `longest` characters; an ellipsis is the last one of a longer text."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def quoted(value: Any, longest: int = 80) -> str:
    """Write a value as Python does, cut at `longest` characters."""
    text = _SHORT.repr(value)
    return text if len(text) <= longest else f"{text[:longest]}…"


def shell_word(value: Any) -> str:
    """Quote a value as one word of a command in a message: not an option, and not half of it."""
    text = re.sub("^-", "./-", str(value))
    word = shlex.quote(text)
    return word if len(word) <= 150 else shlex.quote(cut(text, 30))


def listed(names: Sequence[Any], longest: int = 5) -> str:
    """Write the first `longest` names as Python does, each cut, and the number of others."""
    shown = [quoted(name, 40) for name in names[:longest]]
    more = len(names) - len(shown)
    return (", ".join(shown) or "nothing") + (f" and {more:,} more" if more else "")


def counted(count: int, noun: str, plural: str = "") -> str:
    """Write a count with its noun: "0 rows", "1 row", "2,000 rows"."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def are_stars(label_names: Iterable[str]) -> bool:
    """Say whether all classes are numbers of stars; "not started" is none."""
    return all(re.search(r"(?<![a-z])stars?(?![a-z])", name, re.IGNORECASE) for name in label_names)


def _code(word: str) -> str:
    # A | or a ` would end the cell or the code; beside it, its number is only text.
    parts = re.split("([|`]+)", word)
    return "".join(
        re.sub(".", lambda mark: f"&#{ord(mark[0])};", part) if number % 2 else f"`{part}`"
        for number, part in enumerate(parts)
        if part
    )


def _printable(text: str) -> str:
    # A library's message, a path or a key may hold escape sequences of a terminal.
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
