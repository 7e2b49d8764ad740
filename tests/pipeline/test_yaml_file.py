"""YAML files: the values that DVC reads, and one line for every fault."""

import re
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import loads_yaml
from helpers import FUZZ_EXAMPLES, ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml.error import YAMLError

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import quoted
from yelp_stars.pipeline.yaml_file import dump_yaml, read_yaml

# What YAML 1.1, YAML 1.2 and Python read differently, or nearly so.
SPECIAL = """
2e-5 1e-05 2E-5 1e5 1.e5 .5e+3 .5e3 .5 5. . ._ +._ 1_0.5 1._5 1e1_0 1e999 -0.0 - + 010 -010 08 0o10
-0o10 0o8 0o 0o_ 0x10 0xfF 0x 0x_ 0X10 0b1 +0b11 0b2 0b 0B1 0O7 1_000 _ _1 +_ -_ +_1 0_ 0_8 1__0 00
1:30 1:30:00 190:20:30.15 on off yes no y n On NO True tRUE FALSE ~ null Null NULL nUll None .inf
-.inf +.Inf .INF .iNF .nan .NaN .NAN -.nan inf nan = << <<x == 2001-01-01 2001-1-1 2001-99-99
2001-02-30 0000-01-01 2001-01-01T10:00:00Z 2001-01-01t1:00:00.123456-08
2001-01-01T10:00:00+99:00 2001-01-01T10:00:00z 2001-01-01T1:1:1 2001-01-01T25:00:00
1e 1e+ e1 0e0 1.2.3
""".split()  # noqa: SIM905
PLAIN = (
    st.sampled_from(["", *SPECIAL, "2001-01-01 10:00:00", "2001-01-01  1:00:00.5 +1", "1 2"])
    | st.from_regex(r"[-+]?[0-9_]{1,6}(\.[0-9_]{0,4})?([eE][-+]?[0-9_]{1,3})?", fullmatch=True)
    | st.from_regex(r"[-+]?0[bBoOxX][0-9a-fA-F_]{0,6}", fullmatch=True)
    | st.text("0123456789+-._eExXoObB:~nulltrefasyN =<", max_size=8)
    # A mapping, not a scalar; another test is about these colons.
    .filter(lambda text: not re.search(r"(^| ):|:( |$)", text))
)
SCALARS = PLAIN | PLAIN.map(lambda text: f"'{text}'") | PLAIN.map(lambda text: f'"{text}"')
LAYOUTS = ["key: {}\n", "- {}\n", "key: [{0}, {{a: {0}, b: x}}]\n", "{}: x\n"]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("yaml") / "params.yaml"


def ours(path: Path, text: str) -> Any:
    """What we read, with types; None if we refuse."""
    path.write_text(text, encoding="utf-8", newline="")
    try:
        return typed(read_yaml(path))
    except UserError:
        return None


def dvcs(text: str) -> Any:
    """What DVC reads, with types; None if it refuses."""
    try:
        return typed(loads_yaml(text))
    except (YAMLError, ValueError, OverflowError):
        return None


def typed(value: Any) -> Any:
    """A value and the types in it; nan equals nan, 1 does not equal 1.0 or True."""
    if isinstance(value, dict):
        return [(typed(key), typed(item)) for key, item in value.items()]
    if isinstance(value, list):
        return [typed(item) for item in value]
    return type(value), str(value)


def fault(path: Path, content: str | bytes) -> str:
    """The message about a file, without its path."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as caught:
        read_yaml(path)
    message = str(caught.value)
    assert message.startswith(f"{path} is ")
    assert "\n" not in message
    return message.removeprefix(f"{path} is ").removeprefix("not valid YAML: ")


@settings(max_examples=FUZZ_EXAMPLES // 5)
@given(scalar=SCALARS)
def test_every_scalar_has_the_value_and_the_type_that_dvc_reads(path, scalar):
    for layout in LAYOUTS:
        text = layout.format(scalar)
        if not text.lstrip(" -?").startswith(":"):  # we refuse a mapping without a key
            assert ours(path, text) == dvcs(text), text


def test_every_special_scalar_has_the_value_and_the_type_that_dvc_reads(path):
    for scalar in SPECIAL:
        for layout in LAYOUTS:
            text = layout.format(scalar)
            assert ours(path, text) == dvcs(text), text


@pytest.mark.parametrize(
    "file", ["params.yaml", "dvc.yaml", "dvc.lock", *sorted(ROOT.glob("presets/*.yaml"))], ids=str
)
def test_the_files_of_the_project_are_read_as_dvc_reads_them(file):
    assert typed(read_yaml(ROOT / file)) == dvcs((ROOT / file).read_text("utf-8"))


@pytest.mark.parametrize(
    "text",
    [
        "a: &x [1, 2]\nb: *x\nc: {d: *x}\n",
        "a: &k b\n*k : 2\n",
        "a: &x {p: 1, q: 2}\nb:\n  r: 0\n  <<: *x\n  q: 3\n",
        "a: &x {p: 1}\nb: &y {p: 2, q: 2}\nc: {<<: [*x, *y], r: 3}\nd: {<<: *y, p: 4}\n",
        "a: &x {p: 1}\nb: &y {<<: *x, q: 2}\nc: {<<: *y, p: 3}\nd: *y\n",
        "a: |\n  1e-5\n  x\nb: >-\n  1\n\n  2\nc: 1\n  2\nd: 'x\n\n  y'\ne: \"\\u2028\\\n  y\"\n",
        "\ufeff# comment\na: 1 # comment\nb: x#y\n...\n",
        "--- # start\na: {b: [c: d, e], f: , g: x:y, h: a :b}\n",
        "? a\n: b\n? c\n",
        "'<<': 1\n=: 2\n",
    ],
)
def test_aliases_merge_keys_and_layouts_are_read_as_dvc_reads_them(path, text):
    assert ours(path, text) == dvcs(text) is not None
    text = text.replace("\n", "\r\n")
    assert ours(path, text) == dvcs(text.replace("\r\n", "\n"))


def test_a_colon_in_a_flow_collection_that_dvc_may_read_as_text_is_an_error(path):
    for text in ("[a:]", "{a:}", "[a:, b]", '["a" :b]', "[&x :]", '{"a":1}'):
        assert fault(path, text) == "line 1: ':' needs a space after it"


@pytest.mark.parametrize("content", ["", "\n", "# a comment\n", "---\n"])
def test_an_empty_file_is_none(path, content):
    path.write_text(content)
    assert read_yaml(path) is None


SCALAR_VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | PLAIN | st.dates()
)


@settings(max_examples=FUZZ_EXAMPLES // 5)
@given(
    tree=st.recursive(
        SCALAR_VALUES,
        lambda trees: st.lists(trees, max_size=4) | st.dictionaries(st.text(), trees, max_size=4),
        max_leaves=12,
    )
)
def test_what_is_dumped_is_read_back_unchanged_by_us_and_by_dvc(path, tree):
    text = dump_yaml({"a": tree, "b": tree})
    assert ours(path, text) == dvcs(text) == typed({"a": tree, "b": tree})


def test_numbers_are_dumped_plain_and_strings_that_look_like_numbers_in_quotes():
    assert dump_yaml([1e-05, 10, "1e-5", "010", "null"]) == (
        "- 1.0e-05\n- 10\n- '1e-5'\n- '010'\n- 'null'\n"
    )


def test_a_missing_file_is_reported(tmp_path):
    with pytest.raises(UserError, match=r"no file '.*/x' here"):
        read_yaml(tmp_path / "x")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\nb: \xff", "not UTF-8 text: line 2: invalid start byte"),
        ("a: 1\nb: [", "line 2: while parsing a flow node, expected the node content, but found"),
        ('\na: "\\U00110000"', "line 2: an escape sequence is out of range"),
        ("a: 1\nb: \a", "line 2: the character U+0007 is not allowed"),
        ("a: 1\nb: 2\na: 3", "line 3: duplicate key 'a'"),
        ("a: &x {p: 1}\nb:\n  <<: *x\n  q: 1\n  q: 2", "line 5: duplicate key 'q'"),
        ("a: 1\n[b]: 2", "line 2: a list or a mapping is not allowed as a key"),
        (
            "a: !!python/object:os.system {}",
            "line 1: could not determine a constructor for the tag",
        ),
        ("a: *b", "line 1: found undefined alias 'b'"),
        ("a: &a 1\nb: &a 2", "line 2: found duplicate anchor 'a'; first occurrence, second"),
        ("a: 2001-99-99", "line 1: '2001-99-99' is not a valid number or date; quote it if it is"),
        ("a: =", "line 1: could not determine a constructor for the tag"),
    ],
)
def test_a_fault_is_one_line_with_its_line_number(path, content, message):
    assert fault(path, content).startswith(message)


def test_a_number_too_long_or_a_file_too_deep_is_reported(path):
    for number in ("1" * 5000, "0x" + "f" * 5000):
        assert fault(path, f"a: {number}").startswith(f"line 1: {quoted(number)} is not a valid")
    for opening in ("[", "? "):
        assert fault(path, opening * 10_000) == "line 1: nested too deep"
