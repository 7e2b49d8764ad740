"""Rows that inflate a score or harm training: leaks, duplicates, conflicts, short texts.

Two texts are the same if they have the same words (see `words`): letters, digits and symbols,
whatever the case, the punctuation and the spaces.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy.stats import ks_2samp
from tqdm import tqdm

from yelp_stars.audit.near_duplicates import (
    BATCH_BYTES,
    FEWEST_WORDS,
    Read,
    Work,
    batches,
    find_near,
)
from yelp_stars.audit.sketches import MOST_BY_SKETCH, MOST_BY_WORDS, NEVER
from yelp_stars.audit.words import count_words, normalize
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


class Audit(NamedTuple):
    """Audit results for the rows of a split."""

    labels: np.ndarray
    words: np.ndarray
    """Words per row, (rows,)."""
    flags: dict[str, np.ndarray]
    """Rows with each flag, bool."""
    first: np.ndarray
    """First row with the same or nearly the same text, in either split: test follows train."""


def audit(
    raw: Path, *, min_words: int, near_duplicates: bool, similarity: float, seed: int
) -> tuple[dict[str, Audit], Work]:
    """Audit both splits of data/raw; stages/audit.py documents the parameters.

    Also return what the search for near-duplicates compared.
    """
    files = [arrow.read_mapped(raw / f"{split}.arrow") for split in SPLITS]
    read_in_passing = [
        (batch["label"].to_numpy().copy(), pc.binary_length(batch["text"]).to_numpy())
        for file in files
        for batch in file.batches()
    ]
    labels, sizes = (np.concatenate(column) for column in zip(*read_in_passing))
    read, train_rows, rows = _reader(files), len(files[0].table), len(labels)
    lengths, hashes = np.empty(rows, np.int32), np.empty(rows, np.uint64)
    for part in tqdm(list(batches(sizes, BATCH_BYTES)), "audit texts", delay=1, disable=None):
        texts = [normalize(text) for text in read(np.arange(rows)[part])]
        lengths[part], joined = count_words(texts)
        hashes[part] = [_hashed(text) for text in joined]
    in_test = np.arange(rows) >= train_rows
    # Texts are numbered in the order of their hashes, whatever the order of the rows.
    _, chosen, text = np.unique(hashes, return_index=True, return_inverse=True)
    del hashes
    first = np.full((2, len(chosen)), NEVER)
    np.minimum.at(first, (in_test.astype(np.int64), text), np.arange(rows))
    near, work = np.full_like(first, NEVER), Work()
    if near_duplicates:
        long = np.flatnonzero(lengths[chosen] >= FEWEST_WORDS)
        compared = chosen[long]
        near[:, long], work = find_near(
            read,
            compared,
            sizes[compared],
            lengths[compared],
            first[:, long],
            similarity,
            seed,
        )
    same = np.minimum(first, near).min(axis=0)[text]
    flags = {**_flags(text, labels, in_test, first, near), "short": lengths < min_words}
    parts = dict(zip(SPLITS, (slice(0, train_rows), slice(train_rows, rows))))
    audits = {
        split: Audit(
            labels[part], lengths[part], {name: flags[name][part] for name in KINDS}, same[part]
        )
        for split, part in parts.items()
    }
    return audits, work


def _reader(files: list[arrow.Mapped]) -> Read:
    """Return a function that reads the texts of rows; those of all `files` are numbered on."""
    texts = [chunk for file in files for chunk in file.table["text"].chunks]
    starts = np.cumsum([0, *map(len, texts)])

    def read(rows: np.ndarray) -> list[str]:
        chunks = np.searchsorted(starts, rows, side="right") - 1
        places = zip(chunks.tolist(), (rows - starts[chunks]).tolist())
        found = [texts[chunk][row].as_py() for chunk, row in places]
        for file in files:
            file.release()
        return found

    return read


def _hashed(text: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())


def _flags(
    text: np.ndarray, labels: np.ndarray, in_test: np.ndarray, first: np.ndarray, near: np.ndarray
) -> dict[str, np.ndarray]:
    """Flag rows, given the number of each one's text: bool, (rows,) by name.

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
    """Write split, row, flags and first row of all rows as Parquet."""
    parts = [
        pa.table(
            {
                "split": pa.array([split] * len(audited.labels), pa.string()),
                "row": pa.array(np.arange(len(audited.labels)), pa.int64()),
                **{name: pa.array(audited.flags[name], pa.bool_()) for name in KINDS},
                "first": pa.array(audited.first, pa.int64()),
            }
        )
        for split, audited in audits.items()
    ]
    table = pa.concat_tables(parts).combine_chunks()
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)


def summary(audits: dict[str, Audit], names: list[str], work: Work) -> dict[str, Any]:
    """Count flags (with examples' row numbers), labels and lengths of each split, for JSON.

    With what the search for near-duplicates compared, and the most that it compares a text with.
    """
    lengths = [audited.words for audited in audits.values()]
    shift = ks_2samp(*lengths, method="asymp")
    fewest = min(map(len, lengths))
    return {
        **{split: _summarize(audited, names) for split, audited in audits.items()},
        "length_shift": {
            "kolmogorov_smirnov": round(float(shift.statistic), decimals(fewest)),
            "p": float(f"{shift.pvalue:.2g}"),
            **{f"n_{split}": len(audited.labels) for split, audited in audits.items()},
        },
        "near_duplicates": {
            **work._asdict(),
            "most_by_sketch_per_text": MOST_BY_SKETCH,
            "most_by_words_per_text": MOST_BY_WORDS,
        },
    }


def _summarize(audited: Audit, names: list[str]) -> dict[str, Any]:
    counts = np.bincount(audited.labels, minlength=len(names)).tolist()
    quantiles = np.quantile(audited.words, [*QUANTILES.values()], method="inverted_cdf").tolist()
    return {
        "rows": len(audited.labels),
        **{
            name: {"rows": int(rows.sum()), "examples": np.flatnonzero(rows)[:EXAMPLES].tolist()}
            for name, rows in audited.flags.items()
        },
        "labels": dict(zip(names, counts)),
        "largest_to_smallest_label": round(max(counts) / min(counts), 2) if min(counts) else None,
        "words": dict(zip(QUANTILES, quantiles)),
    }


def describe(summary: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a `summary` for people: its flags, and what to do about them."""
    train, test = (summary[split] for split in SPLITS)
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
        meaning="rows of the largest label per row of the smallest",
    )
    shift = summary["length_shift"]
    distance = f"Kolmogorov-Smirnov distance {shift['kolmogorov_smirnov']:.2g}"
    yield f"lengths of train and test: {distance}, p = {shift['p']:.2g}"
    if test["leak"]["rows"]:
        yield f"{test['leak']['rows']:,} test rows leak: they inflate the test scores"
    kinds = dict.fromkeys(kind for name, kind in KINDS.items() if train[name]["rows"])
    if kinds:
        kinds_listed = ", ".join(kinds)
        yield f"to train without them, set sample.exclude to [{kinds_listed}], or to some of them"


def _line(name: str, *cells: str, meaning: str = "") -> str:
    return "".join([f"{name:16}", *(f"{cell:>16}" for cell in cells), f"   {meaning}"]).rstrip()


def _share(rows: int, of: int) -> str:
    return f"{rows:,} ({rows / of:.1%})" if rows else "0"
