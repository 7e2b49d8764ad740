"""Near-duplicates: every pair that is reported is one, and planted copies are found."""

import itertools
import time

import numpy as np
import pytest
from helpers import FUZZ_EXAMPLES
from hypothesis import given, settings
from hypothesis import strategies as st

from yelp_stars.audit.near_duplicates import (
    BEGINNING,
    FEWEST_WORDS,
    LEADERS,
    MOST_WORDS,
    NEVER,
    Sketches,
    find_near,
    sequences,
    similarity_of,
)
from yelp_stars.audit.words import split_words

VOCABULARY = [f"w{number}" for number in range(4000)]


def text(rng, words: int) -> str:
    return " ".join(rng.choice(VOCABULARY, words))


def near(texts: list[str], in_test=None, similarity: float = 0.5) -> np.ndarray:
    """Find the first row of each split near each of different texts, one a row."""
    in_test = np.zeros(len(texts), int) if in_test is None else np.array(in_test)
    rows = np.arange(len(texts))
    sketches = Sketches(len(texts), seed=0)
    sketches.add(0, [split_words(each) for each in texts])
    first = np.full((2, len(texts)), NEVER)
    first[in_test, rows] = rows
    return find_near(first, sketches, rows, texts.__getitem__, similarity)


def similarities(texts: list[str]) -> np.ndarray:
    """Compare each pair of texts: (texts, texts); 0 for a short one."""
    words = [split_words(each) for each in texts]
    compared = np.zeros((len(texts), len(texts)))
    for a, b in itertools.combinations(range(len(texts)), 2):
        if min(len(words[a]), len(words[b])) >= FEWEST_WORDS:
            compared[a, b] = compared[b, a] = similarity_of(words[a], words[b])
    return compared


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        (lambda words: words, 1.0),
        (lambda words: words[:80], 1.0),  # the beginning, as far as it reaches
        (lambda words: words[:BEGINNING], 1.0),
        (lambda words: words[: BEGINNING - 1], 27 / 98),
        (lambda words: [], 0.0),
        (lambda words: words[40:], 58 / 98),
        (lambda words: [*words[:50], "new", *words[51:]], 95 / 101),
        (lambda words: [*words[:40], *VOCABULARY[100:120], *words[60:]], 76 / 120),
        (lambda words: words[::-1], 0.0),
    ],
)
def test_the_similarity_is_the_share_of_common_sequences(change, kept):
    words = VOCABULARY[:100]
    assert similarity_of(words, change(words)) == pytest.approx(kept, abs=0.02)
    assert similarity_of(change(words), words) == similarity_of(words, change(words))


@settings(max_examples=FUZZ_EXAMPLES // 10)
@given(seed=st.integers(0, 2**32), copies=st.integers(0, 12))
def test_what_is_found_is_near_and_what_is_clearly_near_is_found(seed, copies):
    rng = np.random.default_rng(seed)
    texts = [text(rng, rng.integers(5, 150)) for _ in range(20)]
    for _ in range(copies):
        words = texts[rng.integers(len(texts))].split()
        start = rng.integers(len(words))
        words[start : start + len(words) // 8] = text(rng, 1 + len(words) // 8).split()
        texts.append(" ".join([*words, "more"]))
    texts = list(dict.fromkeys(texts))
    found = near(texts)[0]
    compared = similarities(texts)
    # Slots agree by chance: a similarity of 0.5 may be missed, one of 0.65 in one of 10,000.
    reported = found != NEVER
    assert not (reported & (compared.max(axis=0) < 0.5)).any()
    assert not (~reported & (compared.max(axis=0) >= 0.65)).any()


@settings(max_examples=FUZZ_EXAMPLES // 25)
@given(order=st.permutations(range(30)))
def test_leaks_do_not_depend_on_the_order_of_the_rows(order):
    rng = np.random.default_rng(7)
    texts = [text(rng, 60) for _ in range(15)]
    texts += [f"{each} and more" for each in texts]
    split = np.arange(30) % 2
    sketches = Sketches(30, seed=0)
    sketches.add(0, [split_words(each) for each in texts])
    leaks = []
    for rows in (np.arange(30), np.array(order)):
        first = np.full((2, 30), NEVER)
        first[split, np.arange(30)] = rows  # text number i is in another row
        found = find_near(first, sketches, np.arange(30), texts.__getitem__, 0.5)
        leaks.append(found != NEVER)
    assert (leaks[0] == leaks[1]).all()
    assert leaks[0].any(axis=0).all()


def test_of_many_copies_all_but_a_few_have_an_earlier_one():
    rng = np.random.default_rng(3)
    form = text(rng, 60)
    texts = [f"{form} {text(rng, 10)}" for _ in range(100)]
    found = near(texts, in_test=np.arange(100) % 2)
    assert (found != NEVER).all()  # near one of each split
    earlier = found.min(axis=0) < np.arange(100)
    assert earlier.sum() > 100 - 100 / LEADERS


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.parametrize("tail", [10, 33, 150], ids=["near", "nearly near", "a greeting"])
def test_a_form_that_all_texts_share_takes_seconds_and_not_hours(tail):
    rng = np.random.default_rng(4)
    form = text(rng, 60)
    texts = [f"{form} {text(rng, tail)}" for _ in range(500)]
    started = time.process_time()
    near(texts)
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    "strange",
    ["", "a", "a" * 50_000, "a " * 50_000, "好" * 50_000, "a b c " * 5_000, "\U0001f32e " * 20],
    ids=["empty", "a character", "a long word", "one word", "Chinese", "three words", "emoji"],
)
def test_a_strange_text_is_compared_like_any_other(strange):
    texts = [strange, f"x y z {strange}", f"{strange} z"]
    close = similarities(texts) >= 0.5
    assert near(texts)[0].tolist() == [row.argmax() if row.any() else NEVER for row in close]


def test_of_a_long_text_the_first_words_are_compared():
    words = VOCABULARY[:MOST_WORDS]
    assert sequences([*words, "new"]) == sequences(words)
    rng = np.random.default_rng(5)
    long = " ".join(words)
    assert near([f"{long} {text(rng, 500)}", f"{long} {text(rng, 3000)}"])[0].tolist() == [1, 0]


def test_another_version_of_rensa_makes_the_same_sketches():
    sketches = Sketches(2000, seed=0)
    sketches.add(0, [[f"w{a * b % 997}" for b in range(200)] for a in range(2000)])
    assert sketches.slots.astype(np.int64).sum() == 8384066847
    assert sketches.beginnings.sum() == 13153449303608864162
