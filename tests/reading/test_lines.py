"""Lines of text files: any encoding, a limit, the encoding that wrong bytes look like."""

import io

import pytest
from helpers import FUZZ_EXAMPLES
from hypothesis import given, settings
from hypothesis import strategies as st

from yelp_stars.pipeline.errors import UserError
from yelp_stars.reading.layout import Layout
from yelp_stars.reading.lines import ENCODINGS, known_encoding, read_lines, valid_bytes

WESTERN = "It\u2019s caf\u00e9 \u2013 20\u20ac\n\u201cgood\u201d\n"
TEXTS = {
    "cp1252": WESTERN,
    "utf-16": WESTERN,
    "utf-16-le": WESTERN,
    "utf-16-be": WESTERN,
    "utf-32": WESTERN,
    "utf-8": WESTERN,
    "mac-roman": WESTERN,
    "iso8859-15": "caf\u00e9 20\u20ac\n",
    "cp1251": "\u0445\u043e\u0440\u043e\u0448\u043e\n\u043f\u043b\u043e\u0445\u043e\n",
    "koi8-r": "\u0445\u043e\u0440\u043e\u0448\u043e\n",
    "gb18030": "\u5f88\u597d\u5403\n\u4e0d\u597d\n",
    "big5": "\u5f88\u597d\u5403\n",
    "shift_jis": "\u304a\u3044\u3057\u3044\n",
    "euc_kr": "\ub9db\uc788\uc5b4\uc694\n",
}


def read(content: bytes, encoding: str = "utf-8", longest: int = 1000) -> list[str]:
    return list(read_lines(io.BufferedReader(io.BytesIO(content)), "a.csv", encoding, longest))


def error(content: bytes, encoding: str = "utf-8", longest: int = 1000) -> str:
    with pytest.raises(UserError) as caught:
        read(content, encoding, longest)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("encoding", TEXTS)
def test_every_encoding_is_read_by_name(encoding):
    text = TEXTS[encoding]
    assert "".join(read(text.encode(encoding), encoding)) == text


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_that_is_listed_is_known(encoding):
    assert known_encoding(encoding) == encoding
    assert read("plain\ntext".encode(encoding), encoding) == ["plain\n", "text"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("UTF8", "utf-8"), ("windows-1252", "cp1252"), ("latin1", "cp1252"), ("ascii", "utf-8"),
        ("ISO-8859-1", "cp1252"), ("gbk", "gb18030"), ("gb2312", "gb18030"), ("sjis", "shift_jis"),
        ("utf_16", "utf-16"), ("utf-8-sig", "utf-8"),
    ],
)  # fmt: skip
def test_an_encoding_has_several_names(name, expected):
    assert known_encoding(name) == expected


@pytest.mark.parametrize(
    "name", ["rot13", "hex", "idna", "utf-7", "unicode_escape", "", "a\0", "x"]
)
def test_an_encoding_that_is_not_one_of_a_text_is_refused(name):
    with pytest.raises(ValueError, match="should be one of utf-8, utf-16"):
        known_encoding(name)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_a_byte_order_mark_names_the_encoding(encoding):
    assert "".join(read(f"\ufeff{WESTERN}".encode(encoding))) == WESTERN


def test_the_byte_order_mark_of_utf_8_is_no_text():
    assert read(b"\xef\xbb\xbflabel\n") == ["label\n"]


@pytest.mark.parametrize(
    "text", [WESTERN, "plain\ncaf\u00e9\n", "don\u2019t\n", "na\u00efve \u00fc\n"]
)
def test_windows_text_is_recognized_and_the_advice_reads_it(text):
    content = text.encode("cp1252")
    message = error(content)
    line = 1 + [line.isascii() for line in text.splitlines()].index(False)
    assert message.startswith(f"a.csv line {line} is not UTF-8 (byte 0x")
    assert "set download.encoding to 'cp1252' if that is right, else to 'cp1250' (Cen" in message
    assert "".join(read(content, "cp1252")) == text


@pytest.mark.parametrize(
    ("encoding", "text", "shown"),
    [
        ("cp1252", "1,on a adoré le café\n", "adoré le café"),
        ("cp1250", "1,obsługa była świetna\n", "obs³uga by³a œwietna"),
        ("cp1254", "1,şef harika\n", "þef harika"),
    ],
)
def test_the_advice_shows_the_letters_and_names_an_encoding_that_reads_them(encoding, text, shown):
    message = error(text.encode(encoding))
    assert f"as 'cp1252' (Western Europe) it has '{shown}" in message
    assert f"'{encoding}'" in message
    assert read(text.encode(encoding), encoding) == [text]


@pytest.mark.parametrize("written", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "shift_jis", "utf-16"])
def test_a_byte_order_mark_counts_more_than_the_encoding(written, encoding):
    assert read("label,text\n1,café\n".encode(written), encoding) == ["label,text\n", "1,café\n"]


@pytest.mark.parametrize("encoding", ["gb18030", "cp1251", "shift_jis", "euc_kr", "big5", "koi8-r"])
def test_other_languages_are_not_taken_for_windows_text(encoding):
    message = error(TEXTS[encoding].encode(encoding))
    assert "set download.encoding to the file's encoding, such as" in message
    assert "1252" not in message


@pytest.mark.parametrize("order", ["le", "be"])
def test_utf_16_without_a_byte_order_mark_is_recognized_and_the_advice_reads_it(order):
    content = "label,text\n0,x\n".encode(f"utf-16-{order}")
    assert error(content).endswith(f"set download.encoding to 'utf-16-{order}'")
    assert read(content, f"utf-16-{order}") == ["label,text\n", "0,x\n"]


def test_one_wrong_line_among_others_in_utf_8_does_not_change_the_encoding():
    message = error("caf\u00e9\n".encode() + b"caf\xe9\n")
    assert (
        message == "a.csv line 2 is not UTF-8 (byte 0xe9); fix the line: those before it are UTF-8"
    )


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "shift_jis", "utf-32"])
def test_a_byte_that_does_not_fit_another_encoding_is_reported_with_its_line(encoding):
    content = "one\ntwo\n".encode(encoding) + (b"\x81" if encoding == "cp1252" else b"\xff")
    message = error(content, encoding)
    assert message.startswith(f"a.csv line 3 is not {encoding} (byte 0x")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_a_line_has_a_largest_length(encoding):
    content = f"short\n{'x' * 99}\n".encode(encoding)
    assert read(content, encoding, longest=100) == ["short\n", "x" * 99 + "\n"]
    assert error(content, encoding, longest=99).startswith("a.csv line 2 is longer than")


@settings(max_examples=FUZZ_EXAMPLES)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff")))
def test_lines_are_cut_at_line_feeds_only(text):
    lines = read(text.encode(), longest=10**6)
    assert "".join(lines) == text
    assert [line.removesuffix("\n") for line in lines] == text.removesuffix("\n").split("\n")[
        : len(lines)
    ]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_missing_byte_order_mark_is_reported_and_the_advice_reads_the_file(encoding):
    content = "plain\n".encode(f"{encoding}-le")
    assert error(content, encoding).endswith(
        f"set download.encoding to '{encoding}-le' or '{encoding}-be'"
    )
    assert read(content, f"{encoding}-le") == ["plain\n"]


@settings(max_examples=FUZZ_EXAMPLES)
@given(lines=st.lists(st.binary(max_size=8).filter(lambda line: b"\n" not in line), max_size=6))
def test_lines_that_are_kept_are_as_many_and_the_bad_ones_are_known(lines):
    content = b"first\n" + b"".join(line + b"\n" for line in lines)
    stream = io.BufferedReader(io.BytesIO(content))
    _, *kept = read_lines(stream, "a.csv", "utf-8", 1000, keep_bad=True)
    assert [line.encode("utf-8", "surrogateescape")[:-1] for line in kept] == lines
    errors: list[UserError] = []
    layout = Layout("text", None, skip=errors.append)
    valid = [valid_bytes([line], "a.csv line 2", layout) for line in kept]
    assert valid == [line.decode("utf-8", "replace").encode() == line for line in lines]
    assert len(errors) == valid.count(False)
