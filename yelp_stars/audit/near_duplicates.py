"""Texts that are nearly the same: copies with a sentence changed, or cut short.

The similarity of two texts is the share of their sequences of three words that both have (Jaccard
1912). If they begin with the same 30 words, the longer one is also compared as if it were cut to
the length of the other, and the larger share counts. Sketches, and equal beginnings, propose pairs
(see `sketches`); each pair is then compared by its sequences: none is found by chance.
"""

import mmap
import tempfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm
from xxhash import xxh3_64_intdigest

from yelp_stars.audit.sketches import NEVER, SLOTS, in_order, mixed, propose, sketch
from yelp_stars.audit.words import normalize

FEWEST_WORDS = 16  # common phrases have fewer
BEGINNING = 30
MOST_WORDS = 2_000  # of a longer text the first ones are compared: memory is bounded
BATCH_BYTES = 1 << 19  # of texts, read at a time
BATCH_SEQUENCES = 1 << 18  # of pairs, compared at a time
BATCH_PAIRS = 1 << 12

Read = Callable[[np.ndarray], list[str]]
"""Return the texts of these rows, which ascend."""


class Sequences(NamedTuple):
    """The sequences of three words of texts, of which text number i has `counts[i]`."""

    hashes: np.ndarray
    """Of all texts, uint64."""
    starts: np.ndarray
    """Place of each text's first one in `hashes`."""
    counts: np.ndarray
    beginnings: np.ndarray
    """Hash of each text's first `BEGINNING` words, uint64; 0 if it has fewer."""


class Work(NamedTuple):
    """What was compared, for metrics/audit.json."""

    texts: int = 0
    compared_by_sketch: int = 0
    """Pairs of texts; one that several bands propose counts several times."""
    compared_by_words: int = 0
    """Pairs of texts."""


def find_near(
    read: Read,
    rows: np.ndarray,
    sizes: np.ndarray,
    words: np.ndarray,
    first: np.ndarray,
    similarity: float,
    seed: int,
) -> tuple[np.ndarray, Work]:
    """Find the first row of each split whose text is near each text, or `NEVER`: (splits, texts).

    Text number i is `read` from row `rows[i]`, and has `sizes[i]` bytes and `words[i]` words, at
    least `FEWEST_WORDS`. `first[:, i]` is its own first row in each split, or `NEVER`. The order of
    the texts must not depend on that of the rows.
    """
    near = np.full_like(first, NEVER)
    if not len(rows):
        return near, Work()
    in_file = np.argsort(rows)
    counts = _counts(words)
    starts = np.empty_like(counts)
    starts[in_file] = np.cumsum(counts[in_file]) - counts[in_file]
    slots = np.empty((len(rows), SLOTS), np.uint8)
    beginnings = np.empty(len(rows), np.uint64)

    def read_batch(texts: np.ndarray) -> tuple[np.ndarray, Sequences, np.ndarray]:
        of_texts = sequences(read(rows[texts]))
        return texts, of_texts, sketch(of_texts.hashes, of_texts.starts, seed)

    # On disk: of 7,000,000 long texts they would have a hundred gigabytes.
    with tempfile.TemporaryFile() as file:
        jobs = [in_file[part] for part in batches(sizes[in_file], BATCH_BYTES)]
        for texts, of_texts, sketches in tqdm(
            in_order(read_batch, jobs), "audit sketches", len(jobs), delay=1, disable=None
        ):
            file.write(of_texts.hashes.data)
            slots[texts], beginnings[texts] = sketches, of_texts.beginnings
        file.flush()
        pairs, sketches_compared = propose(slots, beginnings, first, similarity)
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    found = Sequences(np.frombuffer(pages, np.uint64), starts, counts, beginnings)
    pairs = pairs[:, np.argsort(starts[pairs[0]], kind="stable")]
    costs = counts[pairs].sum(axis=0).clip(min=BATCH_SEQUENCES // BATCH_PAIRS)
    jobs = [pairs[:, part] for part in batches(costs, BATCH_SEQUENCES)]

    def compare(pairs: np.ndarray) -> np.ndarray:
        similar = similarities(found, *pairs) >= similarity
        pages.madvise(mmap.MADV_DONTNEED)
        return pairs[:, similar]

    compared = in_order(compare, jobs)
    for alike in tqdm(compared, "audit pairs", len(jobs), delay=1, disable=None):
        for one, other in (alike, alike[::-1]):
            for split in range(len(near)):
                np.minimum.at(near[split], one, first[split, other])
    return near, Work(len(rows), sketches_compared, pairs.shape[1])


def batches(sizes: np.ndarray, limit: int) -> Iterator[slice]:
    """Cut a row of things of these sizes into batches of at most `limit`, or of one thing."""
    ends, start = np.append(0, np.cumsum(sizes, dtype=np.int64)), 0
    while start < len(sizes):
        stop = int(np.searchsorted(ends, ends[start] + limit, side="right")) - 1
        yield slice(start, stop := max(stop, start + 1))
        start = stop


def _counts(words: np.ndarray) -> np.ndarray:
    return words.clip(max=MOST_WORDS).astype(np.int64) - 2


def sequences(texts: list[str]) -> Sequences:
    """Return the sequences that are compared; each text needs `FEWEST_WORDS`."""
    split = pc.split_pattern(pa.array(map(normalize, texts), pa.large_string()), " ")
    words = split.values.dictionary_encode()
    known = words.dictionary.cast(pa.large_binary()).to_pylist()
    hashes = np.fromiter(map(xxh3_64_intdigest, known), np.uint64, len(known))
    number = words.indices.to_numpy()
    real = np.fromiter(map(len, known), np.int64, len(known))[number] > 0  # not between two spaces
    number = number[real]
    ends = np.append(0, np.cumsum(real))[split.offsets.to_numpy()]
    starts, lengths = ends[:-1], np.diff(ends)
    second, third = hashes * np.uint64(0x9E3779B97F4A7C15), hashes * np.uint64(0xC2B2AE3D27D4EB4F)
    threes = mixed(hashes[number[:-2]] + second[number[1:-1]] + third[number[2:]])
    beginnings = np.zeros(len(texts), np.uint64)
    long = lengths >= BEGINNING
    for word in range(0, BEGINNING, 3):
        beginnings[long] = mixed(beginnings[long] + threes[starts[long] + word])
    counts = _counts(lengths)
    return Sequences(threes[_spans(starts, counts)], np.cumsum(counts) - counts, counts, beginnings)


def similarities(texts: Sequences, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the similarity of at most `BATCH_PAIRS` pairs of texts, given their numbers."""
    shares = _shares(texts, one, other, texts.counts[one], texts.counts[other])
    alike = (texts.beginnings[one] == texts.beginnings[other]) & (texts.beginnings[one] != 0)
    one, other = one[alike], other[alike]
    shorter = np.minimum(texts.counts[one], texts.counts[other])
    shares[alike] = np.maximum(shares[alike], _shares(texts, one, other, shorter, shorter))
    return shares


def _shares(
    texts: Sequences, one: np.ndarray, other: np.ndarray, n_one: np.ndarray, n_other: np.ndarray
) -> np.ndarray:
    """Return which share of the first sequences of pairs of texts both have."""
    pair = np.arange(len(one), dtype=np.uint64) << np.uint64(52)
    keys = []  # 12 bits for the pair, 51 of the hash, 1 for the side
    for side, text, n in ((0, one, n_one), (1, other, n_other)):
        key = texts.hashes[_spans(texts.starts[text], n)] >> np.uint64(12)
        keys.append(key & ~np.uint64(1) | np.repeat(pair | np.uint64(side), n))
    key = np.sort(np.concatenate(keys))
    key = key[np.append(True, key[1:] != key[:-1])[: len(key)]]
    same = key[1:][key[1:] >> np.uint64(1) == key[:-1] >> np.uint64(1)]
    both, sides = (
        np.bincount((part >> np.uint64(52)).astype(np.int64), minlength=len(one))
        for part in (same, key)
    )
    return both / (sides - both)


def _spans(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the numbers from each start on, as many as its count."""
    ends = np.cumsum(counts)
    return np.arange(counts.sum()) + np.repeat(starts - ends + counts, counts)
