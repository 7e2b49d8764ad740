"""Pairs of texts that may be nearly the same, by MinHash sketches (Broder 1997) in bands.

A text is compared with a bounded number of others, whatever the texts: with `MOST_BY_SKETCH` by
their sketches, and of these with `MOST_BY_WORDS` by their words.
"""

import functools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np
from tqdm import tqdm

# 42 bands of 3 slots propose 99.6 % of the pairs of similarity 0.5, and 94 % of those of 0.4.
BANDS, BAND = 42, 3
SLOTS = 128
# All texts of a bucket of this size are compared with each other. A larger one is divided by
# further slots, at most `DIVISIONS` times. What is still larger, a phrase that a thousand reviews
# have, must not make half a million pairs: its texts are compared with the first `LEADERS` ones
# that are in train and in test, a few in each band.
LEADERS = 32
LEADERS_PER_BAND = 4
DIVISIONS = 4
# Earlier texts of a split with which a text is compared by its words: those whose sketches agree
# most, and as many of those with the same beginning.
COMPARED = 8
SPLITS = 2
NEVER = np.iinfo(np.int64).max
MOST_BY_SKETCH = LEADERS - 1 + BANDS * max(LEADERS - 1, SPLITS * LEADERS_PER_BAND)
MOST_BY_WORDS = 2 * SPLITS * COMPARED
BATCH_SKETCHES = 1 << 12  # compared at a time
MOST_PAIRS = 1 << 22  # kept in memory beside the best ones


class Likely(NamedTuple):
    """Pairs of texts that may be near, and how many were compared to find them."""

    pairs: np.ndarray
    """Each is one integer: the lower text in the upper half."""
    scores: np.ndarray
    """Slots in which their sketches agree, uint8."""
    compared: int = 0


NONE = Likely(np.empty(0, np.int64), np.empty(0, np.uint8))

Job = TypeVar("Job")
Result = TypeVar("Result")


def in_order(function: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Result]:
    """Call a function for each job, on all cores, and yield the results in the order of jobs."""
    cores = os.cpu_count() or 1
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(cores) as threads:
        for job in jobs:
            pending.append(threads.submit(function, job))
            if len(pending) > cores:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def mixed(hashes: np.ndarray) -> np.ndarray:
    """Mix the bits of 64-bit hashes, so that each depends on all (Degski's hash64, 2018)."""
    for _ in range(2):
        hashes = hashes ^ hashes >> np.uint64(32)
        hashes *= np.uint64(0xD6E8FEB86659FD93)
    return hashes ^ hashes >> np.uint64(32)


def sketch(hashes: np.ndarray, starts: np.ndarray, seed: int) -> np.ndarray:
    """Sketch texts, given the hashes of their sequences and where each begins.

    Return uint8 of shape (texts, SLOTS): 8 bits of each minimum, so one slot of 256 agrees by
    chance.
    """
    numbers = mixed(np.array([seed], np.uint64)) + np.arange(1, SLOTS + 1, dtype=np.uint64)
    keys = mixed(numbers).view(np.uint32).reshape(SLOTS, 2)
    short, permuted = hashes.astype(np.uint32), np.empty(len(hashes), np.uint32)
    slots = np.empty((SLOTS, len(starts)), np.uint8)
    for slot, (flips, factor) in zip(slots, keys):
        np.bitwise_xor(short, flips, out=permuted)
        np.multiply(permuted, factor | np.uint32(1), out=permuted)
        slot[:] = np.minimum.reduceat(permuted, starts)
    return slots.T


def propose(
    slots: np.ndarray, beginnings: np.ndarray, first: np.ndarray, similarity: float
) -> tuple[np.ndarray, int]:
    """Return the pairs of texts to compare by their words, (2, pairs), and the sketches compared.

    `beginnings` are hashes, or 0. `first` has the first row of each text in each split.
    """
    # Sketches of similar texts agree so often, less three standard deviations.
    fewest = SLOTS * similarity - 3 * np.sqrt(SLOTS * similarity * (1 - similarity))
    order = np.argsort(beginnings, kind="stable")
    order = order[beginnings[order] != 0]
    begun, _ = _together(order, beginnings[order])
    alike = _joined(_likely(slots, pairs, 0.0) for pairs in begun)
    found: list[Likely] = []
    kept = 0
    search = functools.partial(_search_band, slots, first, fewest)
    searched = in_order(search, range(BANDS))
    for of_band in tqdm(searched, "audit bands", BANDS, delay=1, disable=None):
        found.append(of_band)
        if sum(len(part.pairs) for part in found) > kept + MOST_PAIRS:
            found = [_best(_joined(found), first)]
            kept = len(found[0].pairs)
    banded = _best(_joined(found), first)
    chosen = np.union1d(_best(alike, first).pairs, banded.pairs)
    compared = alike.compared + banded.compared
    return np.stack([chosen >> 32, chosen & 0xFFFFFFFF]), compared


def _search_band(slots: np.ndarray, first: np.ndarray, fewest: float, band: int) -> Likely:
    """Return the pairs that agree in a band and have at least the `fewest` slots in common."""
    texts, keys = np.arange(len(slots)), np.zeros(len(slots), np.uint64)
    bits = np.uint64(len(slots).bit_length())
    likely: list[Likely] = []
    for division in range(DIVISIONS + 1):
        end = (band + 1) * BAND + division
        for slot in range(end - (1 if division else BAND), end):
            keys = mixed(keys + slots[texts, slot % SLOTS])
        # With its place in the lowest bits, no key is there twice: every sort has one result.
        keys = np.sort(keys >> bits << bits | np.arange(len(keys), dtype=np.uint64))
        texts = texts[(keys & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.int64)]
        keys >>= bits
        together, larger = _together(texts, keys)
        likely += [_likely(slots, pairs, fewest) for pairs in together]
        texts, keys = texts[larger], keys[larger]
    led = _with_leaders(texts, keys, first, band)
    likely += [_likely(slots, pairs, fewest) for pairs in led]
    return _joined(likely)


def _joined(parts: Iterable[Likely]) -> Likely:
    pairs, scores, compared = zip(NONE, *parts)
    return Likely(np.concatenate(pairs), np.concatenate(scores), sum(compared))


def _together(texts: np.ndarray, keys: np.ndarray) -> tuple[Iterator[np.ndarray], np.ndarray]:
    """Return the pairs with the same key, (2, pairs), and which texts share one with too many.

    `keys` are sorted.
    """
    sizes = _sizes(keys)
    size = np.repeat(sizes, sizes)

    def pairs() -> Iterator[np.ndarray]:
        places = np.flatnonzero((size > 1) & (size <= LEADERS))
        for step in range(1, LEADERS):
            places = places[places < len(keys) - step]
            places = places[keys[places + step] == keys[places]]
            if not len(places):
                break
            yield np.stack([texts[places + step], texts[places]])

    return pairs(), size > LEADERS


def _sizes(keys: np.ndarray) -> np.ndarray:
    """Return how often each of the sorted `keys` is there."""
    changes = np.flatnonzero(keys[1:] != keys[:-1]) + 1
    return np.diff(np.concatenate([[0], changes, [len(keys)]]))


def _with_leaders(
    texts: np.ndarray, keys: np.ndarray, first: np.ndarray, band: int
) -> Iterator[np.ndarray]:
    """Yield pairs of texts with the same key: each text with leaders of each split."""
    sizes = _sizes(keys)
    bucket = np.repeat(np.arange(len(sizes)), sizes)
    for split in first:
        there = split[texts] != NEVER
        counts = np.bincount(bucket[there], minlength=len(sizes))
        starts = np.cumsum(counts) - counts
        for number in range(LEADERS_PER_BAND):
            has = counts[bucket] > number
            place = (band * LEADERS_PER_BAND + number) % counts.clip(1, LEADERS)
            leaders = texts[there][(starts + place)[bucket[has]]]
            pairs = np.stack([texts[has], leaders])
            yield pairs[:, pairs[0] != pairs[1]]


def _likely(slots: np.ndarray, pairs: np.ndarray, fewest: float) -> Likely:
    """Compare the sketches of pairs, (2, pairs), and return those with the `fewest` in common."""
    scores = np.empty(pairs.shape[1], np.uint8)
    for start in range(0, len(scores), BATCH_SKETCHES):
        part = slice(start, start + BATCH_SKETCHES)
        one, other = pairs[:, part]
        agree = (slots[one] == slots[other]).view(np.uint64)
        scores[part] = np.bitwise_count(agree).sum(axis=1, dtype=np.uint8)
    enough = scores >= fewest
    one, other = pairs[:, enough]
    ordered = np.minimum(one, other) << 32 | np.maximum(one, other)
    return Likely(ordered, scores[enough], len(scores))


def _best(found: Likely, first: np.ndarray) -> Likely:
    """Keep the pairs that one of their texts needs: its `COMPARED` best ones in each split.

    Their other text is there before it, or it is not there.
    """
    pairs, place = np.unique(found.pairs, return_index=True)
    scores = found.scores[place].astype(np.int64)
    kept = np.zeros(len(pairs), bool)
    one, other = pairs >> 32, pairs & 0xFFFFFFFF
    for text, earlier in ((one, other), (other, one)):
        for split in first:
            needs = np.flatnonzero(split[earlier] < split[text])
            needs = needs[np.argsort(text[needs] << 8 | SLOTS - scores[needs], kind="stable")]
            sizes = _sizes(text[needs])
            rank = np.arange(len(needs)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            kept[needs[rank < COMPARED]] = True
    return Likely(pairs[kept], scores[kept].astype(np.uint8), found.compared)
