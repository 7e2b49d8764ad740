"""A comparison on paper: names and texts are anybody's, and stay text."""

import re

import pytest
from helpers import markdown_tokens, own_markdown
from hypothesis import given
from hypothesis import strategies as st

from yelp_stars.commands.compare.tables import Table, pair, ranking, render
from yelp_stars.pipeline.text import markdown_cell, printable

HOSTILE = [
    "\x1b[31mred\x1b[0m", "\u202egnp.exe", "a|b", "<script>alert(1)</script>", "![i](http://x)",
    "@somebody", "#12", "`code`", "&lt;b&gt;", "~~a~~", "x" * 50_000, "a\nb\r\nc\x00\x85\u2028",
    "\\|", "www.example.org", "*_[", "\ud800", "@octocat GH-1 octo/repo#1", "a32b112 a32b1120",
    "mail user@evil.example", "&#64;octocat &commat;octocat", ":tada: $x$ $`y`$", "1. a", "- a",
    "+ a", "===", "---", "# a", "> a", "`` a ` b", "\\|@octocat", "GHSA-jfh8-c2jp-5v3q",
    "<!-- a", "user&#64;evil.example", "JIRA-12: CVE-2024-1", "https://evil.example/?a=1",
]  # fmt: skip


def a_pair(text: str = "x"):
    score = {"first": 0.5, "second": 0.6, "difference": 0.1, "low": 0.05, "high": 0.15}
    none = {"first": None, "second": 0.6, "difference": None, "low": None, "high": None}
    part = {"kind": "class", "name": text, "n": 1234, "harmful": 1, "beneficial": 2, "p": 0.01}
    row = {"row": 7, "label": text, "first": text, "second": text, "probability": 0.9, "text": text}
    return {
        "first": text,
        "second": "b",
        "verdict": f"{text} is better than b",
        "n": 1234,
        "labels": {"1 star": 617, "2 stars": 617},
        "scores": {"accuracy": score, "quadratic_kappa": none},
        "baselines": {text: 0.4},
        "flips": {"harmful": 1, "beneficial": 2, "both_wrong": 3},
        "slices": [{**part, **score}],
        "params": {text: [text, None]},
        "code": [text],
        "texts": {"harmful": [row], "beneficial": [], "both_wrong": []},
    }


def a_ranking(text: str = "x"):
    first = {"name": text, "runs": [text, "c"], "accuracy": 0.6, "standard_deviation": 0.01}
    first |= dict.fromkeys(("difference", "low", "high", "p"))
    second = {"name": "b", "runs": ["b"], "accuracy": 0.5, "standard_deviation": None}
    second |= {"difference": -0.1, "low": -0.2, "high": -0.05, "p": 0.01}
    return {
        "verdict": f"{text} is the best of 2",
        "n": 1234,
        "ranking": [first, second],
        "params": {"train.seed": [text, [1, text]], text: [1, None]},
        "code": [text],
    }


def test_a_pair_in_the_terminal():
    assert render(pair(a_pair("好评 x")), markdown=False) == (
        "好评 x is better than b\n\n"
        "                    好评 x      b  difference     95 % interval\n"
        "---------------  ---------  -----  ----------  ----------------\n"
        "accuracy             0.500  0.600      +0.100  +0.050 to +0.150\n"
        "quadratic kappa  undefined  0.600\n\n"
        "Accuracy of the baseline of 好评 x: 0.400\n\n"
        "Of 1,234 rows, 1 became wrong, 2 became right, 3 are wrong in another way\n\n"
        "slice    rows  wrong  right  difference     95 % interval     p\n"
        "------  -----  -----  -----  ----------  ----------------  ----\n"
        "好评 x  1,234      1      2      +0.100  +0.050 to +0.150  0.01\n\n"
        "wrong, right: rows that became so; p: adjusted for 1 slice\n\n"
        "parameter    好评 x     b\n"
        "---------  --------  ----\n"
        "好评 x     '好评 x'  none\n\n"
        "Changed code: 好评 x\n\n"
        "Became wrong\n\n"
        "- row 7, 好评 x: 好评 x -> 好评 x (0.90)\n"
        "  好评 x"
    )


def test_a_ranking_in_markdown():
    assert render(ranking(a_ranking("a|b")), markdown=True) == (
        "`a`&#124;`b` is the best of 2\n\n"
        "|              | runs | accuracy |    sd | to the best |    95 % interval |    p |\n"
        "|:-------------|-----:|---------:|------:|------------:|-----------------:|-----:|\n"
        "| `a`&#124;`b` |    2 |    0.600 | 0.010 |             |                  |      |\n"
        "| b            |    1 |    0.500 |       |      -0.100 | -0.200 to -0.050 | 0.01 |\n\n"
        "p: of the difference to the best, adjusted for the number of all pairs\n\n"
        "| parameter    |   `a`&#124;`b` |                     b |\n"
        "|:-------------|---------------:|----------------------:|\n"
        "| train.seed   | `'a`&#124;`b'` | `[1,` `'a`&#124;`b']` |\n"
        "| `a`&#124;`b` |              1 |                  none |\n\n"
        "Changed code: `a`&#124;`b`"
    )  # fmt: skip


@pytest.mark.parametrize(("lay_out", "described"), [(pair, a_pair), (ranking, a_ranking)])
@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_means_nothing_to_a_terminal_or_to_markdown(lay_out, described, text):
    blocks = lay_out(described(text))
    lines = render(blocks, markdown=False).splitlines()
    assert all(line.isprintable() for line in lines)
    assert max(map(len, lines)) <= 700
    assert len(lines) < 80
    found = render(blocks, markdown=True)
    assert all(line.isprintable() for line in found.splitlines())
    html = ["<details><summary>Slices</summary>", "</details>"] if lay_out is pair else []
    assert own_markdown(found, "paragraph", "bullet_list", "list_item", "softbreak") == html
    for table in re.findall(r"(?m)(?:^\|.*\n?)+", found):
        assert len({line.count("|") for line in table.splitlines()}) == 1


@given(st.text())
def test_any_text_is_one_cell_of_words_and_code(text):
    table = f"| a | b |\n|---|---|\n| {markdown_cell(text)} | x |\n"
    assert own_markdown(table) == []
    *_, cell, last = (token for token in markdown_tokens(table) if token.type == "inline")
    assert last.content == "x"
    shown = "".join(token.content for token in cell.children)
    assert shown == printable(text).strip()


def test_a_baseline_of_both_is_shown_once_and_that_no_parameter_differs():
    found = {**a_pair(), "baselines": {"x": 0.48, "b": 0.48}, "params": {}}
    for markdown in (True, False):
        text = render(pair(found), markdown=markdown)
        assert "Accuracy of the baseline of both: 0.480\n" in text
        assert "No parameters differ." in text


def test_a_long_table_is_cut_in_the_terminal_and_folded_in_markdown():
    rows = [[f"label {i}", "1"] for i in range(100)]
    table = Table(["slice", "rows"], rows, folded="Slices")
    shown = render([table], markdown=False)
    assert shown.endswith("label 23     1\n(76 more with --json)")
    assert "| label 99 |" in render([table], markdown=True)


def test_slices_fit_a_terminal_of_80_columns_and_long_names_are_wrapped():
    lines = render(pair(a_pair("0123456789 01234")), markdown=False).splitlines()
    assert max(map(len, lines)) <= 80
    lines = render([Table(["", "0123 " * 9], [["a", "0" * 50]])], markdown=False).splitlines()
    assert max(map(len, lines)) == 1 + 2 + 20
