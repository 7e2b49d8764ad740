"""Read the lines of a text file: any encoding by name, Unicode by its byte order mark.

A line has a largest length. A byte that does not fit the encoding is kept as a surrogate, and is
an error of its row: to leave out its line would join the rows around it, inside a quoted field.
"""

import codecs
import io
import itertools
from collections.abc import Iterator

from yelp_stars.pipeline.errors import BadRow, UserError
from yelp_stars.reading.layout import Layout

# Latin-1 is read as cp1252, as browsers do: files said to be Latin-1 have Windows' curly quotes in
# 0x80 to 0x9f, which Latin-1 itself would turn into control characters.
SUPERSETS = {
    "iso8859-1": "cp1252",
    "ascii": "utf-8",
    "utf-8-sig": "utf-8",
    "gb2312": "gb18030",
    "gbk": "gb18030",
}
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    # UTF-32's little-endian mark begins with UTF-16's.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def known_encoding(name: str) -> str:
    """Return Python's name of an encoding.

    Raises:
        ValueError: if there is none, or if it is not one of texts.
    """
    try:
        "x".encode(name)
        canonical = codecs.lookup(name).name
    except (LookupError, ValueError):
        raise ValueError(
            "should be an encoding such as utf-8, utf-16, cp1252, gb18030 or shift_jis"
        ) from None
    return SUPERSETS.get(canonical, canonical)


def skip_mark(stream: io.BufferedReader, encoding: str) -> str:
    """Skip a byte order mark; return the encoding that it states, `encoding` without one."""
    start = stream.peek(4)
    for mark, stated in BYTE_ORDER_MARKS:
        if start.startswith(mark):
            stream.read(len(mark))
            return stated
    return encoding


def read_lines(stream: io.BufferedReader, name: str, layout: Layout) -> Iterator[str]:
    """Yield each line with its line feed, or carriage return where a file has no line feed."""
    # Whatever the layout says: of two files, only one may be in its encoding.
    encoding = skip_mark(stream, layout.encoding)
    start = stream.peek(4)
    # In UTF-16, every second byte of a Western text is NUL.
    nuls = [2 * start[place::2].count(0) > len(start[place::2]) for place in range(2)]
    if nuls[0] != nuls[1] and not encoding.endswith(("-le", "-be")):
        bits = 32 if start.count(0) > 0.7 * len(start) else 16
        raise UserError(
            f"looks like UTF-{bits} without a byte order mark",
            location=name,
            setting="download.encoding",
            advice=f"set {{setting}} to 'utf-{bits}-{'le' if nuls[1] else 'be'}'",
        )
    head = start.decode(encoding, "ignore")
    newline = None if "\r" in head and "\n" not in head else "\n"
    text = io.TextIOWrapper(stream, encoding, "surrogateescape", newline=newline)
    number = 1
    try:
        for number in itertools.count(1):
            line = text.readline(layout.max_line + 1)
            if not line:
                return
            # A character has at most four bytes.
            long = 4 * len(line) > layout.max_line
            if long and len(line.encode("utf-8", "surrogateescape")) > layout.max_line:
                raise UserError(
                    f"is longer than {layout.max_line // 1_000_000} MB",
                    location=f"{name} line {number}",
                    setting="download.longest_line_mb",
                    advice="break it up, or raise {setting}",
                )
            yield line
    except UnicodeDecodeError as error:  # of UTF-16 and UTF-32, beyond the line that is read
        before = error.object[: error.start].decode(error.encoding, "ignore")
        number += before.count("\n")
        byte, location = error.object[error.start], f"{name} line {number}"
        raise _undecoded(byte, location, encoding, UserError) from None
    except UnicodeError:
        raise UserError(
            "has no byte order mark",
            location=name,
            setting="download.encoding",
            advice=f"set {{setting}} to 'utf-8', or to '{encoding}-le' or '{encoding}-be'",
        ) from None
    finally:
        if not stream.closed:
            text.detach()  # or it closes the stream


def check_bytes(text: str, location: str, layout: Layout, kind: type[UserError] = BadRow) -> None:
    """Check that no byte of a line or field was kept as a surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        byte = ord(text[error.start]) & 0xFF
        raise _undecoded(byte, location, layout.encoding, kind) from None


def _undecoded(byte: int, location: str, encoding: str, kind: type[UserError]) -> UserError:
    return kind(
        f"is not {encoding.upper()} (byte {byte:#04x})",
        location=location,
        setting="download.encoding",
        advice="fix it, or set {setting} to the file's encoding, such as 'cp1252' (Western "
        "Europe), 'cp1250' (Central Europe), 'cp1251' (Cyrillic), 'gb18030' or 'shift_jis'",
    )
