"""Patterns: what they match, what is refused before anything runs, and what is stopped."""

import time
import warnings

import pytest
from helpers import FUZZ_EXAMPLES, result_or_line
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from yelp_stars.evaluation import patterns
from yelp_stars.pipeline.errors import UserError

PATTERNS = TypeAdapter(patterns.Patterns)


def test_a_text_is_in_a_slice_if_the_pattern_is_anywhere_in_it():
    texts = ["Too cheap.", "Not cheap", "CHEAP", ""]
    found = patterns.matches(texts, {"cheap": "cheap", "any": "(?i)cheap", "start": "^not|^$"})
    assert {name: rows.tolist() for name, rows in found.items()} == {
        "cheap": [True, True, False, False],
        "any": [True, True, True, False],
        "start": [False, False, False, True],
    }


@pytest.mark.parametrize("pattern", ["(a|aa)+$", r"(\w|\w\w)+$"])
def test_a_pattern_that_backtracks_without_end_is_stopped_with_one_line(pattern):
    started = time.monotonic()
    with pytest.raises(UserError, match="write it without a repeat in a repeat") as error:
        patterns.matches(["a" * 60 + "!"] * 5, {"slow": pattern}, 0.2)
    assert time.monotonic() - started < 5
    assert "evaluate.slices has 'slow'" in str(error.value)


@pytest.mark.parametrize(
    "slices",
    [
        {"a": "("},
        {"a": "a{99999999999999999999}"},
        {"a": "b" * 501},
        {" a": "b"},
        {"a\x1b[31m": "b"},
        {"a" * 41: "b"},
        {str(number): "b" for number in range(21)},
    ],
)
def test_what_is_not_a_pattern_with_a_name_is_refused(slices):
    with pytest.raises(ValidationError):
        PATTERNS.validate_python(slices)


@given(pattern=st.text(st.sampled_from(r"ab.*+?()[]{}|\d\w^$,1-:!=<>P#"), min_size=1, max_size=20))
@settings(max_examples=FUZZ_EXAMPLES)
def test_any_pattern_is_refused_matches_or_is_stopped(pattern):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            PATTERNS.validate_python({"a": pattern})
        except ValidationError:
            return
        result_or_line(lambda: patterns.matches(["ab1" * 9, ""], {"a": pattern}, 0.5))
