"""Texts that are nearly the same: copies with a sentence changed, or cut short.

The similarity of two texts is the share of their sequences of three words that both have (Jaccard
1912). If they begin with the same 30 words, the longer one is also compared as if it were cut to
the length of the other, and the larger share counts. MinHash sketches (Broder 1997) in bands, and
equal beginnings, propose pairs; each pair is then compared by its texts: none is found by chance.
"""

import functools
from collections.abc import Callable, Iterator

import numpy as np
import rensa

from yelp_stars.audit.words import split_words

FEWEST_WORDS = 16  # common phrases have fewer
BEGINNING = 30
MOST_WORDS = 2_000  # of a longer text the first ones are compared: memory is bounded
# 42 bands of 3 slots propose 99.6 % of the pairs of similarity 0.5, and 94 % of those of 0.4.
BANDS, BAND = 42, 3
SLOTS = 128
# Texts of each split with which those of one bucket are compared: a phrase that a thousand reviews
# have must not make half a million pairs.
LEADERS = 32
# Other texts in vain, after which a text is compared only with those that have been compared less:
# forms that have a third of their words in common must not take hours.
TRIES = 20
PAIRS = 20_000  # compared at a time by their sketches
CACHED_TEXTS, CACHED_PAIRS = 500, 100_000
NEVER = np.iinfo(np.int64).max


class Sketches:
    """Sketch of each row for finding similar ones: 272 bytes."""

    def __init__(self, rows: int, seed: int) -> None:
        self.slots = np.zeros((rows, SLOTS), np.uint16)
        self.beginnings = np.zeros(rows, np.uint64)
        """Hashes; 0 for a text that is too short."""
        self.long = np.zeros(rows, bool)
        """Texts with `FEWEST_WORDS`, bool; others are not compared."""
        self._seed = seed

    def add(self, start: int, words: list[list[str]]) -> None:
        """Sketch the texts of some rows, given their words; the first is row number `start`."""
        long = [row for row in words if len(row) >= FEWEST_WORDS]
        if not long:
            return
        rows = start + np.flatnonzero([len(row) >= FEWEST_WORDS for row in words])
        sets = [sequences(row) for row in long]
        slots = rensa.RMinHash.digest_matrix_from_token_sets(sets, SLOTS, self._seed)
        # 16 bits of 32: one slot of 65,536 agrees by chance.
        self.slots[rows] = np.array(slots.to_rows(), np.uint32).astype(np.uint16)
        self.long[rows] = True
        heads = [[" ".join(row[:BEGINNING])] for row in long]
        hashes = np.array(rensa.RMinHash.hash_token_sets(heads), np.uint64).ravel()
        lengths = np.array([len(row) for row in long])
        self.beginnings[rows] = np.where(lengths >= BEGINNING, hashes, 0)


def find_near(
    first: np.ndarray,
    sketches: Sketches,
    rows: np.ndarray,
    read: Callable[[int], str],
    similarity: float,
) -> np.ndarray:
    """Find the first row of each split whose text is near each text, or `NEVER`: (splits, texts).

    Text number i has the sketch and the text `read` of row `rows[i]`, and `first[:, i]` is its own
    first row in each split, or `NEVER`. The order of the texts must not depend on that of the rows.
    """
    near, tries = np.full_like(first, NEVER), np.zeros(len(rows), np.int64)
    slots, beginnings = sketches.slots, _rare(sketches.beginnings[rows])
    long = np.flatnonzero(sketches.long[rows])

    @functools.lru_cache(CACHED_TEXTS)
    def words(text: int) -> list[str]:
        return split_words(read(int(rows[text])))[:MOST_WORDS]

    @functools.lru_cache(CACHED_PAIRS)
    def similar(a: int, b: int) -> bool:
        return similarity_of(words(a), words(b)) >= similarity

    for keys in (beginnings[long], *_bands(slots, rows[long])):
        for member, leader in _same_bucket(keys, first[:, long] != NEVER):
            a, b = long[member], long[leader]
            useful = _changes(first, near, a, b) | _changes(first, near, b, a)
            useful &= np.minimum(tries[a], tries[b]) < TRIES
            a, b = np.sort((a[useful], b[useful]), axis=0)
            likely = _agree(slots, rows[a], rows[b], similarity)
            likely |= (beginnings[a] == beginnings[b]) & (beginnings[a] != 0)
            for pair in zip(a[likely].tolist(), b[likely].tolist()):
                if similar(*pair):
                    near[:, pair] = np.minimum(near[:, pair], first[:, pair[::-1]])
                else:
                    tries[[*pair]] += 1
    return near


def _changes(first: np.ndarray, near: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Say whether a flag of the texts `a` can change if they are near the texts `b`.

    In its own split, what matters is a near text before the first row of a text; in the other
    split, any.
    """
    changes = np.zeros(len(a), bool)
    for split, other in ((0, 1), (1, 0)):
        own = (first[split, a] != NEVER) & (near[split, a] > first[split, a])
        across = (first[other, a] != NEVER) & (near[split, a] == NEVER)
        changes |= (first[split, b] < near[split, a]) & (own | across)
    return changes


def sequences(words: list[str]) -> list[str]:
    """Return the sequences of words that are compared."""
    words = words[:MOST_WORDS]
    return [" ".join(three) for three in zip(words, words[1:], words[2:])]


def similarity_of(one: list[str], other: list[str]) -> float:
    """Return the similarity of two texts, given their words."""
    share = _shared(one, other)
    length = min(len(one), len(other))
    if length < BEGINNING or one[:BEGINNING] != other[:BEGINNING]:
        return share
    return max(share, _shared(one[:length], other[:length]))


def _shared(one: list[str], other: list[str]) -> float:
    first, second = set(sequences(one)), set(sequences(other))
    common = len(first & second)
    return common / max(1, len(first) + len(second) - common)


def _rare(beginnings: np.ndarray) -> np.ndarray:
    """Return `beginnings`, with 0 for those of many texts: a form or a greeting, not a copy."""
    _, number, texts = np.unique(beginnings, return_inverse=True, return_counts=True)
    return np.where(texts[number] > LEADERS, 0, beginnings)


def _bands(slots: np.ndarray, sketched: np.ndarray) -> Iterator[np.ndarray]:
    """Yield keys of texts, which agree in a band more often the more similar the texts are."""
    for band in range(BANDS):
        keys = np.zeros(len(sketched), np.uint64)
        for slot in range(band * BAND, (band + 1) * BAND):
            keys = keys << np.uint64(16) | slots[sketched, slot]
        yield keys


def _same_bucket(keys: np.ndarray, present: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield pairs of texts with the same key: each with the first `LEADERS` of each split.

    A key of 0 is none.
    """
    order = np.argsort(keys, kind="stable")
    order = order[keys[order] != 0]
    _, bucket, sizes = np.unique(keys[order], return_inverse=True, return_counts=True)
    shared = sizes[bucket] > 1
    members, bucket = order[shared], bucket[shared]
    for there in present:
        leaders, led = members[there[members]], bucket[there[members]]
        ranks = np.arange(len(led)) - np.searchsorted(led, led)
        rest, bucket_of = members, bucket
        for rank in range(min(LEADERS, ranks.max(initial=-1) + 1)):
            leader = np.full(len(sizes), -1)
            leader[led[ranks == rank]] = leaders[ranks == rank]
            has = leader[bucket_of] >= 0
            rest, bucket_of = rest[has], bucket_of[has]
            different = rest != leader[bucket_of]
            yield rest[different], leader[bucket_of[different]]


def _agree(slots: np.ndarray, one: np.ndarray, other: np.ndarray, similarity: float) -> np.ndarray:
    """Say whether sketches agree as those of similar texts do, less two standard deviations."""
    fewest = SLOTS * similarity - 2 * np.sqrt(SLOTS * similarity * (1 - similarity))
    agreeing = np.zeros(len(one), np.int64)
    for start in range(0, len(one), PAIRS):
        part = slice(start, start + PAIRS)
        agreeing[part] = (slots[one[part]] == slots[other[part]]).sum(axis=1)
    return agreeing >= fewest
