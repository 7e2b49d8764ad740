"""Text made safe to print: bounded, every character visible, counts that agree."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yelp_stars.pipeline.text import HIDDEN, counted, visible


@settings(max_examples=50)
@given(st.text(st.characters(codec="utf-8")), st.integers(1, 30))
def test_a_shown_text_is_short_and_has_no_hidden_character(text, longest):
    shown = visible(text, longest)
    assert not HIDDEN.search(shown)
    assert len(shown) <= longest
    if len(text) <= longest and not HIDDEN.search(text):
        assert shown == text


def test_what_turns_text_around_is_shown_as_a_code():
    assert (
        visible("good \u202edoog\u202c\u0000\ufeff", 600) == "good \\u202edoog\\u202c\\u0000\\ufeff"
    )
    assert visible("line\nnext\tcell é 好 👩‍🍳", 600) == "line\nnext\tcell é 好 👩‍🍳"
    invisible = "\xad\u2028\u3164\U000e0041"
    assert visible(invisible, 600) == "\\u00ad\\u2028\\u3164\\ue0041"
    assert len(visible("\u202e" * 50_000, 600)) == 600
    assert visible("x" * 50_000, 600) == "x" * (599) + "…"


@pytest.mark.parametrize(
    ("count", "written"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (12_345, "12,345 rows")]
)
def test_a_count_agrees_with_its_noun(count, written):
    assert counted(count, "row") == written


def test_an_irregular_plural_is_given():
    assert [counted(count, "class", "classes") for count in (1, 2)] == ["1 class", "2 classes"]
