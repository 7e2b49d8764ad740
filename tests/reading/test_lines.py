"""Lines of text files: any encoding, a limit, and a byte that does not fit it."""

import io
import re

import pytest

from yelp_stars.pipeline.errors import BadRow, UserError
from yelp_stars.reading.layout import Layout
from yelp_stars.reading.lines import check_bytes, known_encoding, read_lines

WESTERN = "It\u2019s caf\u00e9 \u2013 20\u20ac\n\u201cgood\u201d\n"
TEXTS = {
    **dict.fromkeys(["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"], WESTERN),
    **dict.fromkeys(["cp1252", "mac-roman"], WESTERN),
    **dict.fromkeys(["iso8859-15", "cp850"], "caf\u00e9\n"),
    **dict.fromkeys(["cp1250", "iso8859-2"], "obs\u0142uga by\u0142a \u015bwietna\n"),
    **dict.fromkeys(["cp1251", "koi8-r", "iso8859-5"], "\u0445\u043e\u0440\u043e\u0448\u043e\n"),
    **dict.fromkeys(["gb18030", "big5"], "\u5f88\u597d\u5403\n"),
    **dict.fromkeys(["shift_jis", "cp932", "euc_jp"], "\u304a\u3044\u3057\u3044\n"),
    **dict.fromkeys(["euc_kr", "cp949"], "\ub9db\uc788\uc5b4\uc694\n"),
}


def read(content: bytes, encoding: str = "utf-8", max_line: int = 1000) -> list[str]:
    layout = Layout("text", None, encoding, max_line=max_line)
    lines = list(read_lines(io.BufferedReader(io.BytesIO(content)), "a.csv", layout))
    for number, line in enumerate(lines, 1):
        check_bytes(line, f"a.csv line {number}", layout)
    return lines


def error(content: bytes, encoding: str = "utf-8", max_line: int = 1000) -> UserError:
    with pytest.raises(UserError) as caught:
        read(content, encoding, max_line)
    return caught.value


@pytest.mark.parametrize("encoding", TEXTS)
def test_every_encoding_is_read_by_name(encoding):
    assert known_encoding(encoding) == encoding
    assert "".join(read(TEXTS[encoding].encode(encoding), encoding)) == TEXTS[encoding]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("UTF8", "utf-8"), ("windows-1252", "cp1252"), ("latin1", "cp1252"), ("ascii", "utf-8"),
        ("gbk", "gb18030"), ("gb2312", "gb18030"), ("sjis", "shift_jis"), ("utf-8-sig", "utf-8"),
    ],
)  # fmt: skip
def test_an_encoding_has_several_names_and_the_largest_of_a_family_is_read(name, expected):
    assert known_encoding(name) == expected


@pytest.mark.parametrize("name", ["rot13", "hex", "", "a\0", "x"])
def test_an_encoding_that_is_not_one_of_a_text_is_refused(name):
    with pytest.raises(ValueError, match="should be an encoding such as utf-8"):
        known_encoding(name)


@pytest.mark.parametrize("written", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16"])
def test_a_byte_order_mark_counts_more_than_the_encoding_and_is_no_text(written, encoding):
    assert "".join(read(f"\ufeff{WESTERN}".encode(written), encoding)) == WESTERN


@pytest.mark.parametrize(
    ("encoding", "content", "line"),
    [
        ("utf-8", b"one\ncaf\xc3\xa9\ncaf\xe9\n", 3),
        ("cp1252", b"one\ntwo\n\x81", 3),
        ("shift_jis", b"one\ntwo\n\xff", 3),
        ("utf-16", "one\ntwo\n".encode("utf-16") + b"\x00\xdc", 3),
        ("utf-32", "one\ntwo\n".encode("utf-32") + b"\xff", 3),
    ],
)
def test_a_byte_that_does_not_fit_the_encoding_is_reported_with_its_line(encoding, content, line):
    problem = error(content, encoding)
    # What follows half a character of UTF-16 cannot be read: no row can be skipped.
    assert isinstance(problem, BadRow) == (encoding != "utf-16")
    assert problem.location == f"a.csv line {line}"
    assert problem.setting == "download.encoding"
    assert re.match(rf"is not {encoding.upper()}(-LE)? \(byte 0x", problem.problem)


@pytest.mark.parametrize("encoding", ["cp1252", "cp1250", "cp1251", "gb18030", "shift_jis"])
def test_the_advice_names_an_encoding_that_reads_the_file(encoding):
    content = TEXTS[encoding].encode(encoding)
    assert f"'{encoding}'" in error(content).advice
    assert "".join(read(content, encoding)) == TEXTS[encoding]


@pytest.mark.parametrize("order", ["le", "be"])
def test_utf_16_without_a_byte_order_mark_is_recognized_and_the_advice_reads_it(order):
    content = "label,text\n0,x\n".encode(f"utf-16-{order}")
    assert f"'utf-16-{order}'" in error(content).advice
    assert f"'utf-16-{order}'" in error(content, "utf-16").advice
    assert read(content, f"utf-16-{order}") == ["label,text\n", "0,x\n"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_a_line_has_a_largest_length(encoding):
    content = f"short\n{'x' * 97}\u00e9\n".encode(encoding)
    assert len(read(content, encoding, max_line=100)) == 2
    problem = error(content, encoding, max_line=99)
    assert (problem.location, problem.setting) == ("a.csv line 2", "download.longest_line_mb")
