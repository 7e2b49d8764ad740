"""A label value has one form in every format; unknown and missing ones are errors."""

import datetime
from collections import Counter
from decimal import Decimal

import numpy as np
import pytest

from yelp_stars.pipeline.errors import BadRow, UserError
from yelp_stars.reading.labels import (
    canonical_label,
    canonical_labels,
    class_names,
    map_labels,
    unescape,
    valid_text,
)
from yelp_stars.reading.layout import Row
from yelp_stars.reading.problems import Problems

LABELS = {"good": "positive", "bad": "negative", "awful": "negative", "7": "positive"}


def mapped(*values, labels=LABELS, spare=None, dropped=None):
    rows = (Row(f"a.csv line {number}", value, "x") for number, value in enumerate(values, 1))
    dropped = Counter() if dropped is None else dropped
    found = map_labels(
        rows, labels, spare=spare, dropped=dropped, problems=(problems := Problems("a.csv"))
    )
    found = [label for label, _ in found]
    problems.report()
    return found


def test_labels_are_mapped_from_numbers_or_words_to_names():
    assert class_names(LABELS) == ["positive", "negative"]
    assert mapped("bad", "awful", "good", "7", 7, 7.0, "7.0", " 7 ") == [1, 1, 0, 0, 0, 0, 0, 0]


# One value, as JSON, Parquet or YAML give it, and as a CSV does.
FORMS = {
    "1": [1, 1.0, "1", "1.0", "1.00", " 1", "+1", Decimal("1.00"), np.float64(1), b"1"],
    "0": [0, 0.0, -0.0, "0", "-0", "0.0", "+0.0"],
    "-1": [-1, -1.0, "-1", "-1.0"],
    "0.5": [0.5, "0.5", Decimal("0.50"), np.float64(0.5)],
    "100": [100, 100.0, "100", "100.0", Decimal("1E+2")],
    "10000000000000000": [10**16, 1e16, np.float64(1e16)],
    "true": [True, "true", "True", "TRUE", " true"],
    "false": [False, "false", "False", "FALSE"],
    "007": ["007", " 007"],
    "good": ["good", "good ", "\tgood", b"good"],
    "2024-01-31": [datetime.date(2024, 1, 31), "2024-01-31"],
}


@pytest.mark.parametrize(
    ("canonical", "value"), [(key, value) for key, values in FORMS.items() for value in values]
)
def test_a_label_has_one_form_for_every_format(canonical, value):
    assert canonical_label(value) == canonical
    assert mapped(value, labels={canonical: "this", "other": "that"}) == [0]
    assert canonical_labels({value: "this"}) == {canonical: "this"}


@pytest.mark.parametrize("codes", [["1.1", "1.10"], ["50", "5E1", "5e1"], ["007", "07", "7"]])
def test_codes_that_would_be_one_number_are_different_labels(codes):
    assert [canonical_label(code) for code in codes] == codes


@pytest.mark.parametrize("value", ["ok", True, 7.5, 8, "07", float("inf"), "nan", "null"])
def test_a_value_that_is_not_a_label_is_reported_and_the_advice_maps_it(value):
    with pytest.raises(UserError) as caught:
        mapped("bad", value)
    key = canonical_label(value)
    assert caught.value.location == "a.csv line 2"
    assert caught.value.setting == "download.labels"
    assert caught.value.problem == (
        f"has the label {key!r}, which is none of 'good', 'bad', 'awful', '7'"
    )
    assert mapped(value, labels={**LABELS, **canonical_labels({key: "neutral"})}) == [2]


@pytest.mark.parametrize("value", [None, "", " ", float("nan"), np.float64("nan"), Decimal("nan")])
def test_a_row_without_a_label_is_reported_or_dropped(value):
    with pytest.raises(UserError) as caught:
        mapped("bad", value)
    assert caught.value.location == "a.csv line 2"
    assert caught.value.setting == "download.unlabelled"
    dropped: Counter[str] = Counter()
    spare: list[str] = []
    assert mapped("bad", value, "good", spare=spare.append, dropped=dropped) == [1, 0]
    assert spare == ["x"]
    assert dropped == {"unlabelled": 1}


@pytest.mark.parametrize("value", [[7], {"a": 7}, datetime.timedelta(1)])
def test_a_value_that_cannot_be_a_label_is_reported(value):
    with pytest.raises(UserError, match=r"line 2 has .* where a label is expected; fix or remove"):
        mapped("bad", value)


@pytest.mark.parametrize(
    ("keys", "message"),
    [([None], "is not a label"), ([""], "is not a label"), ([(1, 2)], "is not a label"),
     (["1", 1], "is given twice"), (["TRUE", True], "is given twice")],
)  # fmt: skip
def test_the_keys_of_a_label_map_are_different_labels(keys, message):
    with pytest.raises(ValueError, match=message):
        canonical_labels(dict.fromkeys(keys, "x"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (3, "has 3 where a text is expected; fix or remove the row"),
        ("x\0y", "has a NUL byte in its text; remove it"),
        ("x\ud800", "has an unpaired surrogate in its text; fix it"),
    ],
)
def test_an_invalid_text_is_reported_with_its_location(text, message):
    with pytest.raises(BadRow) as caught:
        valid_text(text, "a.jsonl line 9")
    assert str(caught.value) == f"a.jsonl line 9 {message}"


@pytest.mark.parametrize("text", [None, float("nan"), "", "caf\u00e9 \U0001f32e\r\n\x1b"])
def test_a_valid_text_is_unchanged_and_a_missing_one_is_empty(text):
    assert valid_text(text, "a.csv line 1") == (text if isinstance(text, str) else "")


def test_yelps_escapes_are_undone():
    assert unescape(r"a\nb \"c\" " "d" "") == 'a\nb "c" d'
    assert unescape('say ""hi""') == 'say "hi"'


COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"  # as macOS writes the names of files


@pytest.mark.parametrize("in_params", [COMPOSED, DECOMPOSED])
@pytest.mark.parametrize("in_file", [COMPOSED, DECOMPOSED, f" {DECOMPOSED}", DECOMPOSED.encode()])
def test_a_label_is_the_same_in_every_unicode_form(in_params, in_file):
    labels = canonical_labels({in_params: "a place", "other": in_params})
    assert labels == {COMPOSED: "a place", "other": COMPOSED}
    assert mapped(in_file, "other", labels=labels) == [0, 1]


def test_two_unicode_forms_of_a_value_are_one_value():
    with pytest.raises(ValueError, match="is given twice"):
        canonical_labels({COMPOSED: "a", DECOMPOSED: "b"})
    assert class_names(canonical_labels({"1": COMPOSED, "2": DECOMPOSED})) == [COMPOSED]
