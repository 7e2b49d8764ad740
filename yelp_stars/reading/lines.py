"""The lines of a text file as strings: any encoding by name, UTF-16 by its byte order mark.

A line has a largest length, and a byte that does not fit the encoding is an error with its line
and with the encoding that the bytes look like.
"""

import codecs
import io
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import quoted
from yelp_stars.reading.layout import Layout, skip_or_raise

CHUNK = 2**16

# Python's names. Latin-1 is read as cp1252, as browsers do: files said to be Latin-1 have
# Windows' curly quotes in 0x80 to 0x9f, which Latin-1 itself would turn into control characters.
ENCODINGS = (
    "utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be",
    "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp437", "cp850", "mac-roman",
    "iso8859-2", "iso8859-5", "iso8859-15", "koi8-r",
    "gb18030", "big5", "shift_jis", "cp932", "euc_jp", "euc_kr", "cp949",
)  # fmt: skip
SAME = {
    "iso8859-1": "cp1252",
    "ascii": "utf-8",
    "utf-8-sig": "utf-8",
    "gb2312": "gb18030",
    "gbk": "gb18030",
}

KEPT = re.compile("[\udc80-\udcff]")  # Python's sign of a byte that could not be decoded
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    # UTF-32's little-endian mark begins with UTF-16's.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def known_encoding(name: str) -> str:
    """One of `ENCODINGS`, for any of its names.

    Raises:
        ValueError: if there is none.
    """
    try:
        canonical = codecs.lookup(name).name
    except (LookupError, ValueError):
        canonical = ""
    found = {codecs.lookup(known).name: known for known in ENCODINGS}
    canonical = SAME.get(canonical, canonical)
    if canonical not in found and canonical not in ENCODINGS:
        raise ValueError(f"should be one of {', '.join(ENCODINGS)}")
    return found.get(canonical, canonical)


def read_lines(
    stream: io.BufferedReader,
    path: str,
    encoding: str,
    longest: int,
    keep_bad: bool = False,
) -> Iterator[str]:
    """Yield each line with its line break, `longest` bytes of UTF-8 at most.

    On request, bytes that are not UTF-8 are kept, for `valid_bytes`: to leave out their line would
    join the rows around it, where it is a part of a quoted field.

    Raises:
        UserError: for a line that is longer, or not in `encoding`.
    """
    start = stream.peek(4)[:4]
    # Whatever `encoding` is: of two files, only one may be in it.
    marks = [name for mark, name in BYTE_ORDER_MARKS if start.startswith(mark)]
    encoding = marks[0] if marks else encoding
    if encoding != "utf-8":
        stream = io.BufferedReader(_AsUtf8(stream, path, encoding), 2**20)
    beyond_ascii = False
    for number in itertools.count(1):
        line = stream.readline(longest + 1)
        if not line:
            return
        if len(line) > longest:
            raise UserError(
                f"{path} line {number} is longer than {longest // 1_000_000} MB; "
                f"break it up, or raise download.longest_line_mb"
            )
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            remedy = "fix the line: those before it are UTF-8" if beyond_ascii else advice(line)
            if not keep_bad:
                raise UserError(
                    f"{path} line {number} is not UTF-8 (byte {byte:#04x}); {remedy}"
                ) from None
            text = line.decode("utf-8-sig" if number == 1 else "utf-8", "surrogateescape")
        if number == 1 and "\0" in text:
            order = "le" if text.index("\0") % 2 else "be"
            raise UserError(
                f"{path} line 1 has a NUL byte and looks like UTF-16 without a byte order mark; "
                f"set download.encoding to 'utf-16-{order}'"
            )
        beyond_ascii = beyond_ascii or not line.isascii()
        yield text


def valid_bytes(fields: Sequence[str], location: str, layout: Layout) -> bool:
    """Whether the fields of a row were UTF-8; otherwise the layout skips it.

    Without a layout that skips rows, reading has failed at the first that is not.
    """
    for field in fields if layout.skip is not None else ():
        bad = None if field.isascii() else KEPT.search(field)
        if bad:
            byte = ord(bad[0]) - 0xDC00
            skip_or_raise(layout, UserError(f"{location} is not UTF-8 (byte {byte:#04x})"))
            return False
    return True


def advice(line: bytes) -> str:
    """What to do about a line that is not UTF-8.

    In the languages of cp1252, letters and quotes beyond ASCII stand alone; in others, they come
    in runs.
    """
    runs = [len(run) for run in re.findall(rb"[\x80-\xff]+", line)]
    try:
        line.decode("cp1252")
    except UnicodeDecodeError:
        runs = []
    if runs and sum(length <= 2 for length in runs) > len(runs) / 2:
        # Those of Eastern Europe and Turkey are the same bytes, for other letters.
        return (
            f"as 'cp1252' (Western Europe) it has {quoted(_some_letters(line))}: set "
            f"download.encoding to 'cp1252' if that is right, else to 'cp1250' (Central Europe), "
            f"'cp1254' (Turkish) or 'cp1251' (Cyrillic)"
        )
    return "set download.encoding to the file's encoding, such as 'gb18030', 'shift_jis', 'cp1251'"


def _some_letters(line: bytes) -> str:
    """Some characters around the first one beyond ASCII, from the beginning of its word."""
    first = next(place for place, byte in enumerate(line) if byte > 127)
    begin = max(line.rfind(separator, 0, first) for separator in b' ,;\t"') + 1
    return line[max(begin, first - 20) : first + 20].decode("cp1252").strip()


class _AsUtf8(io.RawIOBase):
    """Another encoding's bytes as those of UTF-8: lines can be cut before they are decoded."""

    def __init__(self, stream: io.BufferedReader, path: str, encoding: str) -> None:
        self._stream, self._path, self._encoding = stream, path, encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._line = 1
        self._pending = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._pending:
            chunk = self._stream.read(CHUNK)
            try:
                text = self._decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                before = error.object[: error.start].decode(error.encoding, "ignore")
                line = self._line + before.count("\n")
                raise UserError(
                    f"{self._path} line {line} is not {self._encoding} "
                    f"(byte {error.object[error.start]:#04x}); set download.encoding to the "
                    f"file's encoding"
                ) from None
            except UnicodeError:  # of UTF-16 and UTF-32
                raise UserError(
                    f"{self._path} has no byte order mark; set download.encoding to "
                    f"'{self._encoding}-le' or '{self._encoding}-be'"
                ) from None
            if not chunk and not text:
                return 0
            self._line += text.count("\n")
            self._pending = text.encode()
        size = min(len(buffer), len(self._pending))
        buffer[:size], self._pending = self._pending[:size], self._pending[size:]
        return size
