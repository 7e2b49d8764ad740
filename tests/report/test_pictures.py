"""Pictures of a report: SVG without a fixed colour, the same bytes for the same numbers."""

import re
import warnings
from xml.etree import ElementTree

import pytest

from yelp_stars.report import pictures

ROWS = [("short", {"value": 0.5, "low": 0.4, "high": 0.6, "n": 10})]
DRAWN = {
    "lines": lambda: pictures.lines("Loss", {"a": [(1, 2.0), (2, 1.0)], "b": [(1, 2.0)]}, "step"),
    "bars": lambda: pictures.bars("Labels", {"train": {"1": 3, "2": 4}, "test": {"1": 0, "2": 0}}),
    "dots": lambda: pictures.dots("Slices", ROWS, "accuracy", ROWS[0][1]),
    "reliability": lambda: pictures.reliability(
        "Before", [{"probability": 0.5, "accuracy": 0.4, "low": 0.1, "high": 0.7, "n": 3}]
    ),
    "risk_coverage": lambda: pictures.risk_coverage(
        "Risk", [{"to_a_person": 0.1, "value": 0.9, "low": 0.8, "high": 1.0}]
    ),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_has_the_colours_of_the_page_and_the_width_of_its_place(name):
    svg = DRAWN[name]()
    assert svg == DRAWN[name]()
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img"
    assert root.get("aria-label")
    assert root.get("viewBox")
    assert not {"width", "height"} & set(root.keys())
    used = set(re.findall(r"var\((--\w+)\)", svg))
    assert "--ink" in used
    assert used <= set(pictures.VARIABLES.values())
    # Black is what SVG draws without a colour: matplotlib leaves it out.
    assert not re.findall(r"(?:fill|stroke): #[0-9a-f]{6}", svg)
    assert not re.search(r'(?:href="|url\()(?!#)', svg)


def test_names_in_chinese_are_drawn_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "好评" in pictures.bars("Labels", {"train": {"好评": 3, "差评": 2}})


def test_a_curve_without_a_point_is_an_empty_picture():
    one = pictures.lines("Loss", {"training": [], "validation": [(1, 2.0)]}, "step")
    assert "o-" not in re.findall(r">([^<>]+)<", one)
    ElementTree.fromstring(pictures.lines("Learning rate", {"rate": []}, "step"))


def test_a_hostile_name_of_a_class_is_text():
    name = "<script>alert(1)</script>"
    for hostile in (name, "\u202eevil", "\x00\x1b[31m", "$\\frac{", "x" * 1000, "]]>"):
        svg = pictures.bars("Labels", {"train": {hostile: 1}})
        ElementTree.fromstring(svg)
        assert "<script" not in svg
        assert pictures.short(hostile).isprintable()
        assert len(pictures.short(hostile)) <= pictures.LONGEST_NAME
