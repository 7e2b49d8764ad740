"""Pictures of a report: the same bytes for the same numbers, names are text."""

import warnings
from xml.etree import ElementTree

import pytest

from yelp_stars.report import pictures

SCORE = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 10}
START = 1_795_634_609_975  # milliseconds
LOAD = [(START, 0, 88.0), (START + 90_000, 5, 93.5), (START + 90_100, 5, 4.0)]


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join("\t".join(map(str, row)) for row in [("timestamp",), *rows]) + "\n")


@pytest.fixture
def draw(tmp_path):
    """Pictures as texts, of a run with these files."""

    def draw(labels=("bad", "good"), rates=((1, 2.0), (2, 1.0)), load=LOAD) -> dict[str, str]:
        write(tmp_path / "train_learning_rate.tsv", rates)
        for _, _, files in pictures.LOADS.values():
            for file in files.values():
                write(tmp_path / pictures.SYSTEM / file, load)
        split = {"labels": dict.fromkeys(labels, 3)}
        undefined = {"value": None, "low": None, "high": None, "n": 0}
        evaluation = {
            "per_class": [
                {"label": labels[0], "f1": SCORE, "recall": SCORE},
                {"label": "without rows", "f1": undefined, "recall": undefined},
            ],
            "scores": {"macro_f1": SCORE},
        }
        svgs = pictures.draw({"train": split, "test": split}, evaluation, tmp_path, tmp_path)
        return {name: svg.decode() for name, svg in svgs.items()}

    return draw


def test_the_same_numbers_give_the_same_pictures(draw):
    svgs = draw()
    assert draw() == svgs
    assert set(svgs) == {"labels", "classes", "learning_rate", "busy", "memory"}
    assert "without rows" not in svgs["classes"]
    for svg in svgs.values():
        ElementTree.fromstring(svg)
        assert "<dc:date>" not in svg


def test_a_machine_that_was_not_watched_has_no_picture(draw):
    assert set(draw(load=[])) == {"labels", "classes", "learning_rate"}


def test_a_curve_without_a_point_is_an_empty_picture(draw):
    ElementTree.fromstring(draw(rates=[])["learning_rate"])


def test_a_load_is_over_minutes_without_the_last_interval_and_thinned(tmp_path):
    assert pictures.read_load(tmp_path / "none.tsv") == []
    write(tmp_path / "a.tsv", LOAD)
    assert pictures.read_load(tmp_path / "a.tsv") == [(0.0, 88.0), (1.5, 93.5)]
    write(tmp_path / "a.tsv", [(at * 1000, at, 1.0) for at in range(9000)])
    assert pictures.POINTS <= len(pictures.read_load(tmp_path / "a.tsv")) < 2 * pictures.POINTS


def test_names_in_chinese_are_drawn_without_a_warning(draw):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "好评" in draw(("好评", "差评"))["labels"]


@pytest.mark.parametrize(
    "name",
    ["<script>alert(1)</script>", "\u202eevil", "\x00\x1b[31m", "$\\frac{", "x" * 1000, "]]>"],
)
def test_a_hostile_name_of_a_class_is_short_text(draw, name):
    for svg in draw((name,)).values():
        ElementTree.fromstring(svg)
        assert "<script" not in svg
        assert "\u202e" not in svg
        assert "x" * (pictures.LONGEST_NAME + 1) not in svg
