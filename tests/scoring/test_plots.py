"""Pictures: the same bytes for the same numbers, no markup from names."""

import numpy as np
import pytest

from yelp_stars.scoring import plots


@pytest.mark.filterwarnings("error")
def test_names_in_letters_that_the_font_lacks_stay_text():
    svg = plots.draw_confusion_matrix(np.eye(2, dtype=int), ["好评", "差评"], "title")
    assert ">好评</text>" in svg.decode()
    svg = plots.draw_confusion_matrix(np.eye(2, dtype=int), ["gut", "süß"], "title")
    assert "<text" not in svg.decode()


def test_a_picture_of_many_classes_has_every_third_name_and_no_numbers(monkeypatch):
    monkeypatch.setattr(plots, "MAX_LABELLED", 6)
    texts = []
    for classes in (6, 18):
        names = [f"n{number}" for number in range(classes)]
        svg = plots.draw_confusion_matrix(np.eye(classes, dtype=int), names, "title")
        texts.append(svg.decode())
    assert ["<!-- 1 -->" in text for text in texts] == [True, False]
    assert [f"<!-- n{number} -->" in texts[1] for number in range(18)] == [
        number % 3 == 0 for number in range(18)
    ]


HOSTILE = "<script>alert(1)</script> $x^2$ & co"
SCORE = {"value": 0.6, "low": 0.5, "high": 0.7, "n": 5}
BIN = {"probability": 0.6, "accuracy": 0.5, "low": 0.2, "high": 0.9, "n": 5}
CURVES = {
    "train/loss": [(2, 1.5), (4, 1.2)],
    "validation/loss": [(4, 1.3)],
    "validation/accuracy": [(4, 0.4)],
}


@pytest.mark.parametrize(
    ("draw", "values"),
    [
        (plots.draw_training_curves, (CURVES,)),
        (plots.draw_training_curves, (dict.fromkeys(CURVES, ()),)),
        (plots.draw_confusion_matrix, (np.array([[3, 1], [0, 2]]), [HOSTILE, "b"], "title")),
        (plots.draw_scores, ([(HOSTILE, SCORE), ("b" * 40, SCORE)], SCORE, "accuracy")),
        (plots.draw_calibration, ({"before": [BIN], "after": [BIN, BIN]},)),
        (plots.draw_risk_coverage, ([{"to_a_person": 0.1 * n, **BIN} for n in range(3)],)),
    ],
)
def test_pictures_have_the_same_bytes_no_date_and_escape_names(draw, values):
    text = draw(*values).decode()
    assert text == draw(*values).decode()
    assert "<script" not in text
    assert "<dc:date>" not in text
