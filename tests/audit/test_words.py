"""The words of a text: the same whatever the case, the punctuation and the spacing."""

import time
import unicodedata

import pytest
from helpers import FUZZ_EXAMPLES, split_words
from hypothesis import given, settings
from hypothesis import strategies as st

WORDS = st.lists(st.text("abcdeéßñд", min_size=1, max_size=6), max_size=20)
BETWEEN = st.sampled_from(
    [" ", "  ", "\n", "\t", ", ", "... ", "!!! ", " — ", "\u3000", "\u00a0", "; "]
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("?!… — «»", []),
        ("Great food, GREAT staff!", ["great", "food", "great", "staff"]),
        ("Don't, don\u2019t, DONT", ["dont", "dont", "dont"]),
        ("well-made\nwell_made", ["well", "made", "well", "made"]),
        ("10/10, 4.5", ["10", "10", "4", "5"]),
        ("$5 and 5", ["$5", "and", "5"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("\ufb01ne \uff26\uff29\uff2e\uff25", ["fine", "fine"]),  # a ligature, full width
        ("caf\u00e9 cafe\u0301", ["caf\u00e9", "caf\u00e9"]),
        ("so\u00adft \u202enot\u200b hidden\ufeff", ["soft", "not", "hidden"]),
        ("\u2764\ufe0f \u2764 \U0001f44e", ["\u2764", "\u2764", "\U0001f44e"]),
        ("很好吃。 OK了", ["很", "好", "吃", "ok", "了"]),
        ("ดี มาก", list("ดีมาก")),
    ],
)
def test_words(text, words):
    assert split_words(text) == words


@settings(max_examples=FUZZ_EXAMPLES // 5)
@given(words=WORDS, data=st.data())
def test_case_punctuation_and_spacing_do_not_change_the_words(words, data):
    text = "".join(word + data.draw(BETWEEN) for word in words)
    assert split_words(text) == split_words(" ".join(words))
    assert split_words(unicodedata.normalize("NFD", text.swapcase())) == split_words(text)


@pytest.mark.parametrize(
    "text",
    ["a" * 50_000, "a" + "\u0301\u0323" * 25_000, "\ufdfa" * 10_000],
    ids=["one word", "marks", "ligatures"],
)
def test_a_hostile_text_takes_no_longer_than_others(text):
    started = time.process_time()
    split_words(text)
    assert time.process_time() - started < 0.5  # all marks at once: 1.3 seconds
