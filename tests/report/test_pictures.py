"""Pictures of a report: the same bytes for the same numbers, names are text."""

import warnings
from xml.etree import ElementTree

import pytest

from yelp_stars.report import pictures
from yelp_stars.report.machine_load import MachineLoad

SCORE = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 10}
CURVE = [(1.0, 2.0), (2.0, 1.0)]
BOTH = MachineLoad({"CPU": CURVE, "GPU 0": CURVE}, {"RAM": CURVE})


def drawn(labels=("bad", "good"), learning_rate=CURVE, load=BOTH) -> dict[str, str]:
    split = {"labels": dict.fromkeys(labels, 3)}
    undefined = {"value": None, "low": None, "high": None, "n": 0}
    evaluation = {
        "per_class": [
            {"label": labels[0], "f1": SCORE, "recall": SCORE},
            {"label": "without rows", "f1": undefined, "recall": undefined},
        ],
        "scores": {"macro_f1": SCORE},
    }
    svgs = pictures.draw({"train": split, "test": split}, evaluation, learning_rate, load)
    return {name: svg.decode() for name, svg in svgs.items()}


def test_the_same_numbers_give_the_same_pictures():
    svgs = drawn()
    assert drawn() == svgs
    assert set(svgs) == {"labels", "classes", "learning_rate", "busy", "memory"}
    assert "without rows" not in svgs["classes"]
    for svg in svgs.values():
        ElementTree.fromstring(svg)
        assert "<dc:date>" not in svg


def test_a_machine_that_was_not_watched_has_no_picture():
    assert set(drawn(load=MachineLoad({}, {}))) == {"labels", "classes", "learning_rate"}


def test_a_curve_without_a_point_is_an_empty_picture():
    ElementTree.fromstring(drawn(learning_rate=[])["learning_rate"])


def test_names_in_chinese_are_drawn_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "好评" in drawn(("好评", "差评"))["labels"]


@pytest.mark.parametrize(
    "name",
    ["<script>alert(1)</script>", "\u202eevil", "\x00\x1b[31m", "$\\frac{", "x" * 1000, "]]>"],
)
def test_a_hostile_name_of_a_class_is_short_text(name):
    for svg in drawn((name,)).values():
        ElementTree.fromstring(svg)
        assert "<script" not in svg
        assert "\u202e" not in svg
        assert "x" * (pictures.LONGEST_NAME + 1) not in svg
