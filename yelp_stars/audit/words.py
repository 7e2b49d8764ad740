"""Split texts into words for the audit: without case, punctuation and spacing."""

import re
import unicodedata

import numpy as np

# Scripts that write no spaces between words: each character counts as one. Chinese and Japanese;
# Thai and Lao; Burmese; Khmer.
UNSPACED = (
    "\u3005\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
)
WORD = re.compile(rf"[{UNSPACED}]|[^ {UNSPACED}]+")
# Apostrophes inside words, and what chooses the look of an emoji.
DROPPED = frozenset("'\u2018\u2019\u02bc\ufe0e\ufe0f")
# Normalizing takes time in the square of the marks that follow a letter: at most these characters
# at a time, or 50,000 marks would take a second.
PIECE = re.compile(r"[^ ]{1,500}")


class _Characters(dict[int, int | str | None]):
    """Table for `str.translate`: separators become a space, invisible characters nothing."""

    def __missing__(self, code: int) -> int | str | None:
        category = unicodedata.category(chr(code))
        kept: int | str | None = code
        if category == "Cf" or chr(code) in DROPPED:
            kept = None
        elif category == "Cc" or category[0] in "PZ":
            kept = " "
        self[code] = kept
        return kept


_CHARACTERS = _Characters()
# The same for `bytes.translate`, which is five times as fast.
_ASCII = bytes(ord((chr(code).lower().translate(_CHARACTERS)) or " ") for code in range(128))
_ASCII += bytes(range(128, 256))


def normalize(text: str) -> bytes:
    """Return the words of a text in UTF-8, with spaces between them, casefolded, in NFKC.

    Punctuation and whitespace separate words and are dropped. So are apostrophes ("don't" is
    "dont") and invisible characters. Symbols and emoji stay: "$5" is not "5".
    """
    if text.isascii():
        return text.encode().translate(_ASCII, b"'")
    pieces = text.translate(_CHARACTERS)
    text = PIECE.sub(lambda piece: unicodedata.normalize("NFKC", piece[0]), pieces)
    return " ".join(WORD.findall(text.casefold().translate(_CHARACTERS))).encode()


def count_words(texts: list[bytes]) -> tuple[np.ndarray, list[bytes]]:
    """Return the number of words of normalized texts, (texts,), and the texts without spaces."""
    characters = np.frombuffer(b" ".join([b"", *texts, b""]), np.uint8)
    starts = np.cumsum([0, *(len(text) + 1 for text in texts[:-1])])
    kept = characters != ord(" ")
    words = np.add.reduceat(kept[1:] & ~kept[:-1], starts, dtype=np.int32)
    ends = np.cumsum(np.add.reduceat(kept[1:], starts, dtype=np.int64)).tolist()
    joined = characters[kept].tobytes()
    return words, [joined[start:end] for start, end in zip([0, *ends], ends)]
