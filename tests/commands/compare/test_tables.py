"""A comparison on paper: names and texts are anybody's, and stay text."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yelp_stars.commands.compare import tables
from yelp_stars.pipeline.text import markdown_cell

HOSTILE = [
    "\x1b[31mred\x1b[0m", "[bold]x[/bold]", "\u202egnp.exe", "a|b", "<script>alert(1)</script>",
    "![i](http://x)", "@somebody", "#12", "`code`", "&lt;b&gt;", "~~a~~", ":smile:", "x" * 50_000,
    "a\nb\r\nc\x00\x85\u2028", "\\|", "www.example.org", "*_[", "\ud800",
]  # fmt: skip


def pair(text: str = "x", texts: bool = True):
    score = {"first": 0.5, "second": 0.6, "difference": 0.1, "low": 0.05, "high": 0.15}
    none = {"first": None, "second": 0.6, "difference": None, "low": None, "high": None}
    part = {"kind": "class", "name": text, "n": 1234, "harmful": 1, "beneficial": 2, "p": 0.01}
    row = {"row": 7, "label": text, "first": text, "second": text, "probability": 0.9, "text": text}
    return {
        "first": text,
        "second": "b",
        "verdict": f"{text} is better than b",
        "n": 1234,
        "scores": {"accuracy": score, "quadratic_kappa": none},
        "baselines": {text: 0.4},
        "flips": {"harmful": 1, "beneficial": 2, "both_wrong": 3},
        "slices": [{**part, **score}],
        "params": {text: [text, None]},
        "code": [text],
        **({"texts": {"harmful": [row], "beneficial": [], "both_wrong": []}} if texts else {}),
    }


def ranked(text: str = "x"):
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


PRINT = {"pair": (tables.print_pair, pair), "ranking": (tables.print_ranking, ranked)}
MARKDOWN = {"pair": (tables.pair_markdown, pair), "ranking": (tables.ranking_markdown, ranked)}


def cells(line: str) -> list[str]:
    return re.split(r"(?<!\\)(?:\\\\)*\|", line.strip()[1:-1])


@pytest.mark.parametrize("kind", PRINT)
@pytest.mark.parametrize("text", HOSTILE)
def test_the_terminal_shows_text_as_text(capsys, kind, text):
    show, described = PRINT[kind]
    show(described(text))
    lines = capsys.readouterr().out.splitlines()
    assert all(line.isprintable() for line in lines)
    assert max(map(len, lines)) <= 700
    assert len(lines) < 60
    if text in ("[bold]x[/bold]", ":smile:"):
        assert text in "".join(lines)


@pytest.mark.parametrize("kind", MARKDOWN)
@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_means_nothing_by_a_text(kind, text):
    make, described = MARKDOWN[kind]
    found = make(described(text))
    assert "<" not in found.replace("<details><summary>Slices</summary>", "").replace(
        "</details>", ""
    )
    assert all(line.isprintable() for line in found.splitlines())
    assert "@" not in found
    assert "://" not in found
    assert "www." not in found
    assert not re.search(r"(?<!\\)[`*_\[\]~]", found)
    tables_of = re.findall(r"(?m)(?:^\|.*\n?)+", found)
    for table in tables_of:
        assert len({len(cells(line)) for line in table.splitlines()}) == 1


@settings(max_examples=100)
@given(st.text(max_size=100))
def test_a_cell_of_any_text_is_one_cell(text):
    found = markdown_cell(text)
    assert len(cells(f"| {found} | b |")) == 2
    assert found.isprintable()


def test_what_is_undefined_says_so(capsys):
    tables.print_pair(pair())
    output = capsys.readouterr().out
    assert re.search(r"quadratic kappa +undefined +0\.600 *\n", output)
    assert "Of 1,234 rows, 1 became wrong, 2 became right, 3 are wrong in another way" in output
    assert "x: 'x' -> none" in output
    assert "Code that differs: x" in output
    assert "Accuracy of the baseline of x: 0.400" in output


def test_a_baseline_of_both_is_shown_once(capsys):
    tables.print_pair({**pair(), "baselines": {"x": 0.48, "b": 0.48}})
    assert capsys.readouterr().out.count("0.480") == 1


def test_without_a_difference_of_parameters_it_says_so(capsys):
    tables.print_pair({**pair(texts=False), "params": {}, "code": []})
    assert "No parameter differs." in capsys.readouterr().out


def test_many_slices_are_cut_and_the_line_says_where_the_others_are(capsys):
    found = pair(texts=False)
    found["slices"] = [{**found["slices"][0], "name": f"label {i}"} for i in range(100)]
    tables.print_pair(found)
    output = capsys.readouterr().out
    assert "p: adjusted for 100 slices; 76 more with --json" in output
    assert "label 23" in output
    assert "label 24" not in output


def test_the_tables_fit_a_terminal_of_80_columns(capsys):
    tables.print_pair(pair("0123456789 01234"))
    tables.print_ranking(ranked("0123456789 01234"))
    lines = capsys.readouterr().out.splitlines()
    header = next(line for line in lines if line.startswith("slice"))
    assert header.endswith("p")
    assert len(header) <= 80
