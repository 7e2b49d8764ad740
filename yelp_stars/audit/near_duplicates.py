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

SEQUENCE = 3
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
    """What is kept of each text to find others like it: 272 bytes."""

    def __init__(self, texts: int, seed: int) -> None:
        self.slots = np.zeros((texts, SLOTS), np.uint16)
        self.beginnings = np.zeros(texts, np.uint64)
        """Hashes; 0 of a text that is shorter."""
        self.long = np.zeros(texts, bool)
        """Whether a text has `FEWEST_WORDS`; others are not compared."""
        self._seed = seed

    def add(self, start: int, words: list[list[str]]) -> None:
        """Sketch some texts, the first of which is number `start`."""
        long = [number for number, found in enumerate(words) if len(found) >= FEWEST_WORDS]
        if not long:
            return
        numbers = np.array(long) + start
        sets = [sequences(words[number]) for number in long]
        slots = rensa.RMinHash.digest_matrix_from_token_sets(sets, SLOTS, self._seed)
        # 16 bits of 32: one slot of 65,536 agrees by chance.
        self.slots[numbers] = np.array(slots.to_rows(), np.uint32).astype(np.uint16)
        self.long[numbers] = True
        heads = [[" ".join(words[number][:BEGINNING])] for number in long]
        hashes = np.array(rensa.RMinHash.hash_token_sets(heads), np.uint64).ravel()
        lengths = np.array([len(words[number]) for number in long])
        self.beginnings[numbers] = np.where(lengths >= BEGINNING, hashes, 0)


def earliest(
    first: np.ndarray,
    sketches: Sketches,
    sketched: np.ndarray,
    text: Callable[[int], str],
    similarity: float,
) -> np.ndarray:
    """The first row of each split whose text is near, or `NEVER`: of shape (splits, texts).

    `first` is the same for the texts themselves, in an order that does not depend on their rows.
    Text number i has the sketch number `sketched[i]`, and is `text(i)`.
    """
    found = np.full_like(first, NEVER)
    slots, beginnings = sketches.slots, _rare(sketches.beginnings[sketched])
    long = np.flatnonzero(sketches.long[sketched])
    tried = np.zeros(len(sketched), np.int64)

    @functools.lru_cache(CACHED_TEXTS)
    def words(number: int) -> list[str]:
        return split_words(text(number))[:MOST_WORDS]

    @functools.lru_cache(CACHED_PAIRS)
    def similar(a: int, b: int) -> bool:
        return similarity_of(words(a), words(b)) >= similarity

    for keys in (beginnings[long], *_bands(slots, sketched[long])):
        for one, other in _same_bucket(keys, first[:, long] != NEVER):
            a, b = long[one], long[other]
            useful = _useful(first, found, a, b) | _useful(first, found, b, a)
            useful &= np.minimum(tried[a], tried[b]) < TRIES
            a, b = np.sort((a[useful], b[useful]), axis=0)
            likely = _agree(slots, sketched[a], sketched[b], similarity)
            likely |= (beginnings[a] == beginnings[b]) & (beginnings[a] != 0)
            for pair in zip(a[likely].tolist(), b[likely].tolist()):
                if similar(*pair):
                    found[:, pair] = np.minimum(found[:, pair], first[:, pair[::-1]])
                else:
                    tried[[*pair]] += 1
    return found


def sequences(words: list[str]) -> list[str]:
    """The sequences of words that are compared."""
    words = words[:MOST_WORDS]
    return [" ".join(three) for three in zip(words, words[1:], words[2:])]


def similarity_of(one: list[str], other: list[str]) -> float:
    """The similarity of two texts, given their words."""
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
    """`beginnings`, with 0 for those of many texts: a form or a greeting, not a copy."""
    _, number, texts = np.unique(beginnings, return_inverse=True, return_counts=True)
    return np.where(texts[number] > LEADERS, 0, beginnings)


def _bands(slots: np.ndarray, sketched: np.ndarray) -> Iterator[np.ndarray]:
    """Keys of texts, which agree in a band more often the more similar the texts are."""
    for band in range(BANDS):
        keys = np.zeros(len(sketched), np.uint64)
        for slot in range(band * BAND, (band + 1) * BAND):
            keys = keys << np.uint64(16) | slots[sketched, slot]
        yield keys


def _same_bucket(keys: np.ndarray, present: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of different texts with the same key: each with the first `LEADERS` of each split.

    A key of 0 is none.
    """
    order = np.argsort(keys, kind="stable")
    order = order[keys[order] != 0]
    _, bucket, sizes = np.unique(keys[order], return_inverse=True, return_counts=True)
    shared = sizes[bucket] > 1
    members, bucket = order[shared], bucket[shared]
    for there in present:
        leaders, led = members[there[members]], bucket[there[members]]
        rank = np.arange(len(led)) - np.searchsorted(led, led)
        rest, where = members, bucket
        leader = np.empty(len(sizes), np.int64)
        for place in range(min(LEADERS, rank.max(initial=-1) + 1)):
            leader.fill(-1)
            leader[led[rank == place]] = leaders[rank == place]
            has = leader[where] >= 0
            rest, where = rest[has], where[has]
            different = rest != leader[where]
            yield rest[different], leader[where[different]]


def _useful(first: np.ndarray, found: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Whether a flag of the texts `a` can change if they are near the texts `b`.

    In its own split, what matters is a near text before the first row of a text; in the other
    split, any.
    """
    useful = np.zeros(len(a), bool)
    for split, other in ((0, 1), (1, 0)):
        own = (first[split, a] != NEVER) & (found[split, a] > first[split, a])
        across = (first[other, a] != NEVER) & (found[split, a] == NEVER)
        useful |= (first[split, b] < found[split, a]) & (own | across)
    return useful


def _agree(slots: np.ndarray, one: np.ndarray, other: np.ndarray, similarity: float) -> np.ndarray:
    """Whether sketches agree as those of similar texts do, less two standard deviations."""
    fewest = SLOTS * similarity - 2 * np.sqrt(SLOTS * similarity * (1 - similarity))
    agreeing = np.zeros(len(one), np.int64)
    for start in range(0, len(one), PAIRS):
        part = slice(start, start + PAIRS)
        agreeing[part] = (slots[one[part]] == slots[other[part]]).sum(axis=1)
    agree: np.ndarray = agreeing >= fewest
    return agree
