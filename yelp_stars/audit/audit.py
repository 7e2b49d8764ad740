"""Rows that flatter a score or spoil a training: leaks, duplicates, conflicts, short texts.

Two texts are the same if they have the same words (see `words`): letters, digits and symbols,
whatever the case, the punctuation and the spaces.
"""

import hashlib
import itertools
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.stats import ks_2samp
from tqdm import tqdm

from yelp_stars.audit.near_duplicates import NEVER, Sketches, earliest
from yelp_stars.audit.words import split_words
from yelp_stars.data import arrow
from yelp_stars.data.flags import KINDS
from yelp_stars.scoring.metrics import decimals

SPLITS = ("train", "test")
EXAMPLES = 5
QUANTILES = {"min": 0.0, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "max": 1.0}
MEANINGS = {
    "leak": "the text, or nearly the same, is in the other split",
    "duplicate": "the text is in an earlier row",
    "near_duplicate": "nearly the same text is in an earlier row",
    "conflict": "the text has another label elsewhere",
    "short": "fewer words than audit.min_words",
}
# Of a mapped file, after which its pages are released: each row keeps up to 64 kB in memory.
RELEASE_BATCHES, RELEASE_ROWS = 20, 1000


class Near(NamedTuple):
    """How near-duplicates are found."""

    similarity: float
    seed: int


class Audit(NamedTuple):
    """What is known of each row of a split."""

    labels: np.ndarray
    words: np.ndarray
    """The number of words."""
    flags: dict[str, np.ndarray]
    """The rows that have each flag, bool."""


def audit(raw: Path, *, min_words: int, near: Near | None) -> dict[str, Audit]:
    """Audit both splits of data/raw; without `near`, only texts that are the same are found.

    Raises:
        UserError: if a file is missing or damaged.
    """
    mapped = {split: arrow.read_mapped(raw / f"{split}.arrow") for split in SPLITS}
    tables = [table for table, _ in mapped.values()]
    n_train, rows = len(tables[0]), sum(map(len, tables))
    lengths, hashes = np.empty(rows, np.int32), np.empty(rows, np.uint64)
    sketches = Sketches(rows if near else 0, near.seed if near else 0)
    start = 0
    for split, (table, pages) in mapped.items():
        for words in _split_batches(split, table, pages):
            stop = start + len(words)
            lengths[start:stop] = [len(each) for each in words]
            hashes[start:stop] = [_hashed("".join(each)) for each in words]
            if near:
                sketches.add(start, words)
            start = stop
    in_test = np.arange(rows) >= n_train
    # Texts are numbered in the order of their hashes, whatever the order of the rows.
    _, chosen, text = np.unique(hashes, return_index=True, return_inverse=True)
    first = np.full((2, len(chosen)), NEVER)
    np.minimum.at(first, (in_test.astype(np.int64), text), np.arange(rows))

    reads = itertools.count(1)

    def read(number: int) -> str:
        row = int(chosen[number])
        if next(reads) % RELEASE_ROWS == 0:
            for _, pages in mapped.values():
                pages.madvise(mmap.MADV_DONTNEED)
        value = tables[0]["text"][row] if row < n_train else tables[1]["text"][row - n_train]
        return str(value.as_py())

    similar = np.full_like(first, NEVER)
    if near:
        similar = earliest(first, sketches, chosen, read, near.similarity)
    labels = np.concatenate([arrow.column(table, "label") for table in tables])
    flags = {**_flags(text, labels, in_test, first, similar), "short": lengths < min_words}
    parts = dict(zip(SPLITS, (slice(0, n_train), slice(n_train, rows))))
    return {
        split: Audit(labels[part], lengths[part], {name: flags[name][part] for name in KINDS})
        for split, part in parts.items()
    }


def _split_batches(split: str, table: pa.Table, pages: mmap.mmap) -> Iterator[list[list[str]]]:
    """The words of each row, a record batch at a time."""
    for number, batch in enumerate(tqdm(table.to_batches(), f"audit {split}", delay=1)):
        yield [split_words(text) for text in batch["text"].to_pylist()]
        if number % RELEASE_BATCHES == 0:
            pages.madvise(mmap.MADV_DONTNEED)


def _hashed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


def _flags(
    text: np.ndarray, labels: np.ndarray, in_test: np.ndarray, first: np.ndarray, near: np.ndarray
) -> dict[str, np.ndarray]:
    """Flags of rows with the texts number `text`.

    `first` has the first row of each text in each split, `near` that of a text near it.
    """
    rows, own, other = np.arange(len(text)), in_test.astype(np.int64), (~in_test).astype(np.int64)
    pairs = np.unique(np.stack([text, labels]), axis=1)
    different = np.bincount(pairs[0], minlength=first.shape[1])
    return {
        "leak": np.minimum(first, near)[other, text] != NEVER,
        "duplicate": first[own, text] < rows,
        "near_duplicate": near[own, text] < rows,
        "conflict": different[text] > 1,
    }


def write(audits: dict[str, Audit], path: Path) -> None:
    """Write split, row and flags of all rows as Parquet."""
    parts = [
        pa.table(
            {
                "split": pa.array([split] * len(found.labels), pa.string()),
                "row": pa.array(np.arange(len(found.labels)), pa.int64()),
                **{name: pa.array(found.flags[name], pa.bool_()) for name in KINDS},
            }
        )
        for split, found in audits.items()
    ]
    table = pa.concat_tables(parts).combine_chunks()
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)


def summary(audits: dict[str, Audit], names: list[str]) -> dict[str, Any]:
    """Counts with examples' row numbers, labels, and lengths of each split, for JSON."""
    lengths = [found.words for found in audits.values()]
    shift = ks_2samp(*lengths, method="asymp")
    fewest = min(map(len, lengths))
    return {
        **{split: _summarize(found, names) for split, found in audits.items()},
        "length_shift": {
            "kolmogorov_smirnov": round(float(shift.statistic), decimals(fewest)),
            "p": float(f"{shift.pvalue:.2g}"),
            **{f"n_{split}": len(found.labels) for split, found in audits.items()},
        },
    }


def _summarize(found: Audit, names: list[str]) -> dict[str, Any]:
    counts = np.bincount(found.labels, minlength=len(names)).tolist()
    quantiles = np.quantile(found.words, [*QUANTILES.values()], method="inverted_cdf").tolist()
    return {
        "rows": len(found.labels),
        **{
            name: {"rows": int(rows.sum()), "examples": np.flatnonzero(rows)[:EXAMPLES].tolist()}
            for name, rows in found.flags.items()
        },
        "labels": dict(zip(names, counts)),
        "largest_to_smallest_label": round(max(counts) / min(counts), 2) if min(counts) else None,
        "words": dict(zip(QUANTILES, quantiles)),
    }


def describe(found: dict[str, Any]) -> Iterator[str]:
    """Lines of a `summary` for people: what was found, and what to do about it."""
    train, test = (found[split] for split in SPLITS)
    yield _line("", "train", "test")
    yield _line("rows", *(f"{part['rows']:,}" for part in (train, test)))
    for name, meaning in MEANINGS.items():
        shares = [_share(part[name]["rows"], part["rows"]) for part in (train, test)]
        yield _line(name.replace("_", "-"), *shares, meaning=meaning)
    yield _line("median words", *(f"{part['words']['median']:,}" for part in (train, test)))
    ratios = [part["largest_to_smallest_label"] for part in (train, test)]
    yield _line(
        "imbalance",
        *("-" if ratio is None else f"{ratio:,.1f}" for ratio in ratios),
        meaning="rows of the largest label for one of the smallest",
    )
    shift = found["length_shift"]
    distance = f"Kolmogorov-Smirnov distance {shift['kolmogorov_smirnov']:.2g}"
    yield f"lengths of train and test: {distance}, p = {shift['p']:.2g}"
    if test["leak"]["rows"]:
        yield f"{test['leak']['rows']:,} test rows leak: they flatter the test scores"
    kinds = dict.fromkeys(kind for name, kind in KINDS.items() if train[name]["rows"])
    if kinds:
        yield f"to train without such rows, set sample.exclude to [{', '.join(kinds)}], or to some"


def _line(name: str, *cells: str, meaning: str = "") -> str:
    return "".join([f"{name:16}", *(f"{cell:>16}" for cell in cells), f"   {meaning}"]).rstrip()


def _share(rows: int, of: int) -> str:
    return f"{rows:,} ({rows / of:.1%})" if rows else "0"
