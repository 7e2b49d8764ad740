"""Near-duplicates: every pair that is reported is one, and planted copies are found."""

import itertools
import os
import time
from collections import defaultdict

import numpy as np
import pytest
from helpers import FUZZ_EXAMPLES, SENTENCES, split_words
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from yelp_stars.audit import near_duplicates, sketches
from yelp_stars.audit.near_duplicates import (
    BEGINNING,
    FEWEST_WORDS,
    MOST_WORDS,
    find_near,
    sequences,
    similarities,
)
from yelp_stars.audit.sketches import LEADERS, MOST_BY_SKETCH, MOST_BY_WORDS, NEVER, sketch
from yelp_stars.data import synthetic

VOCABULARY = [f"w{number}" for number in range(4000)]


def text(rng, words: int) -> str:
    return " ".join(rng.choice(VOCABULARY, words))


def near(texts: list[str], in_test=None, similarity: float = 0.5, rows=None) -> np.ndarray:
    """Find the first row of each split near each of different texts, one a row."""
    return found(texts, in_test, similarity, rows)[0]


def found(texts: list[str], in_test=None, similarity: float = 0.5, rows=None):
    words = np.array([len(split_words(each)) for each in texts])
    long = np.flatnonzero(words >= FEWEST_WORDS)
    rows = np.arange(len(texts)) if rows is None else np.array(rows)
    in_test = np.zeros(len(texts), int) if in_test is None else np.array(in_test)
    first = np.full((2, len(texts)), NEVER)
    first[in_test, np.arange(len(texts))] = rows
    sizes, of_row = np.array([len(each) for each in texts]), dict(zip(rows.tolist(), texts))
    close = np.full_like(first, NEVER)
    close[:, long], work = find_near(
        lambda rows: [of_row[row] for row in rows.tolist()],
        rows[long], sizes[long], words[long], first[:, long], similarity, seed=0,
    )  # fmt: skip
    return close, work


def compared(one: list[str], other: list[str]) -> float:
    """The similarity of two texts by the sets of their sequences of words."""

    def share(one: list[str], other: list[str]) -> float:
        first, second = (set(zip(words, words[1:], words[2:])) for words in (one, other))
        return len(first & second) / max(1, len(first | second))

    one, other = one[:MOST_WORDS], other[:MOST_WORDS]
    length = min(len(one), len(other))
    cut = length >= BEGINNING and one[:BEGINNING] == other[:BEGINNING]
    return max(share(one, other), share(one[:length], other[:length]) if cut else 0)


def all_similarities(texts: list[str]) -> np.ndarray:
    """Compare each pair of texts: (texts, texts); 0 for a short one."""
    words = [split_words(each)[:MOST_WORDS] for each in texts]
    words = [each if len(each) >= FEWEST_WORDS else [] for each in words]
    sets = [{*zip(each, each[1:], each[2:])} for each in words]
    number = {three: n for n, three in enumerate(dict.fromkeys(itertools.chain(*sets)))}
    columns = [number[three] for each in sets for three in each]
    starts = np.cumsum([0, *map(len, sets)])
    has = csr_array((np.ones(len(columns)), columns, starts), (len(texts), len(number) + 1))
    both, sizes = (has @ has.T).toarray(), np.diff(starts)
    shares = both / np.maximum(1, sizes[:, None] + sizes - both)
    begun = defaultdict(list)
    for n, each in enumerate(words):
        begun[tuple(each[:BEGINNING])].append(n)
    for alike in begun.values():
        for a, b in itertools.combinations(alike, 2):
            shares[a, b] = shares[b, a] = compared(words[a], words[b])
    np.fill_diagonal(shares, 0)
    return shares


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
    changed = change(words)
    assert compared(words, changed) == pytest.approx(kept, abs=0.02)
    if len(changed) >= FEWEST_WORDS:
        texts = sequences([" ".join(words), " ".join(changed)])
        shares = similarities(texts, np.array([0, 1]), np.array([1, 0]))
        assert shares.tolist() == [compared(words, changed)] * 2


@settings(max_examples=FUZZ_EXAMPLES // 5)
@given(data=st.data())
def test_the_similarity_is_that_of_comparing_the_sets(data):
    # Of few words, so that sequences repeat and texts share some, and their beginnings.
    words = st.lists(st.sampled_from("abcd"), min_size=FEWEST_WORDS, max_size=90)
    texts = data.draw(st.lists(words, min_size=2, max_size=6))
    texts += [[*data.draw(st.sampled_from(texts)), *data.draw(words)] for _ in range(2)]
    one, other = np.indices((len(texts), len(texts))).reshape(2, -1)
    spaced = [data.draw(st.sampled_from([" ", "  ", "! "])).join(each) for each in texts]
    shares = similarities(sequences(spaced), one, other)
    assert shares.tolist() == [compared(texts[a], texts[b]) for a, b in zip(one, other)]


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
    shares = all_similarities(texts)
    # Slots agree by chance: a similarity of 0.5 may be missed, one of 0.65 in one of 10,000.
    reported = found != NEVER
    assert not (reported & (shares.max(axis=0) < 0.5)).any()
    assert not (~reported & (shares.max(axis=0) >= 0.65)).any()


@settings(max_examples=FUZZ_EXAMPLES // 25)
@given(order=st.permutations(range(30)))
def test_leaks_do_not_depend_on_the_order_of_the_rows(order):
    rng = np.random.default_rng(7)
    texts = [text(rng, 60) for _ in range(15)]
    texts += [f"{each} and more" for each in texts]
    split = np.arange(30) % 2
    leaks = [near(texts, split, rows=rows) != NEVER for rows in (range(30), order)]
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
    close = all_similarities(texts) >= 0.5
    assert near(texts)[0].tolist() == [row.argmax() if row.any() else NEVER for row in close]


def test_of_a_long_text_the_first_words_are_compared():
    words = VOCABULARY[:MOST_WORDS]
    both = sequences([" ".join([*words, "new"]), " ".join(words)])
    assert both.counts.tolist() == [MOST_WORDS - 2] * 2
    assert (both.hashes[: MOST_WORDS - 2] == both.hashes[MOST_WORDS - 2 :]).all()
    rng = np.random.default_rng(5)
    long = " ".join(words)
    assert near([f"{long} {text(rng, 500)}", f"{long} {text(rng, 3000)}"])[0].tolist() == [1, 0]


def half_alike(rng, n: int, length: int = 60) -> list[str]:
    """Texts that have a third of their sequences in common with each other."""
    form = text(rng, length)
    return [f"{form} {text(rng, length // 2)} {form[::-1]}" for _ in range(n)]


HOSTILE = {
    "half alike": lambda rng: half_alike(rng, 400),
    "nearly the same": lambda rng: [f"{form} {n}" for form in [text(rng, 60)] for n in range(400)],
    "half of the beginnings": lambda rng: [
        f"{text(np.random.default_rng(n % 15), 40)} {text(rng, 60)}" for n in range(400)
    ],
}


@pytest.mark.parametrize("texts", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("bound", [MOST_BY_SKETCH, 200])
def test_a_text_is_compared_with_a_bounded_number_of_others(texts, bound, monkeypatch):
    if bound == 200:  # smaller buckets: the bound is less than there are texts
        for name, value in {"LEADERS": 4, "LEADERS_PER_BAND": 2, "COMPARED": 2}.items():
            monkeypatch.setattr(sketches, name, value)
        bound = 3 + 4 * sketches.BANDS
    _, work = found(texts(np.random.default_rng(9)), in_test=np.arange(400) % 2)
    assert 0 < work.compared_by_sketch <= 400 * bound
    assert work.compared_by_words <= 400 * 4 * sketches.COMPARED
    assert work.compared_by_words <= 400 * MOST_BY_WORDS


@pytest.mark.parametrize("cores", [1, 2, 7])
def test_neither_cores_nor_batches_change_what_is_found(cores, monkeypatch):
    rng = np.random.default_rng(11)
    texts = [text(rng, 40) for _ in range(60)]
    texts += [f"{each} {text(rng, 20)}" for each in texts for _ in range(3)]
    split = np.arange(len(texts)) % 3 == 0
    expected, work = found(texts, split.astype(int))
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    for module, name in [
        (near_duplicates, "BATCH_BYTES"),
        (near_duplicates, "BATCH_SEQUENCES"),
        (near_duplicates, "BATCH_PAIRS"),
        (sketches, "BATCH_SKETCHES"),
        (sketches, "MOST_PAIRS"),
    ]:
        monkeypatch.setattr(module, name, 10 * cores)
    again, same_work = found(texts, split.astype(int))
    assert (again == expected).all()
    assert same_work == work
    assert (expected != NEVER).any()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_of_2000_reviews_996_in_1000_near_ones_are_found_and_no_other(seed):
    bank = synthetic.read_bank(SENTENCES, "train")
    made = synthetic.reviews(bank, 2000, median_words=40, label_noise=0.0, seed=seed, split="train")
    texts = [*{" ".join(split_words(each)): None for _, each in made}]
    # Half of them have few words, and share sentences with many; then copies with words changed.
    rng = np.random.default_rng(seed)
    for words in [each.split() for each in texts[:600]]:
        if len(words) > FEWEST_WORDS:
            place = rng.integers(len(words))
            words[place : place + len(words) // 6] = ["other"]
        texts.append(" ".join(words))
    reported = near(texts)[0] != NEVER
    is_near = all_similarities(texts).max(axis=0) >= 0.5
    assert (reported & is_near).sum() >= 0.996 * is_near.sum()
    assert not (reported & ~is_near).any()


def test_another_version_of_a_library_makes_the_same_sketches():
    texts = sequences([" ".join(f"w{a * b % 997}" for b in range(200)) for a in range(2000)])
    assert sketch(texts.hashes, texts.starts, seed=0).astype(np.int64).sum() == 32648520
    assert texts.beginnings.sum() == 11615705007092866365
