"""Streaming statistics of the splits: counts, lengths, duplicates, texts that both share."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np

from yelp_stars.pipeline.text import counted, listed
from yelp_stars.reading.labels import Reviews

MISSING = ("nan", "n/a", "#n/a", "na", "null")  # as others write an empty cell
QUANTILES = {"min": 0.0, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "max": 1.0}


class SplitStatistics:
    """Streaming statistics of one split, in memory: 8 bytes for each text, of its hash."""

    def __init__(self) -> None:
        self.rows = 0
        self.labels: Counter[int] = Counter()
        self.characters: Counter[int] = Counter()
        self._digests = bytearray()

    def count(self, reviews: Reviews) -> Iterator[tuple[int, str]]:
        """Pass the reviews on and count them."""
        for label, text in reviews:
            self.labels[label] += 1
            self.characters[len(text) if text.strip() else 0] += 1
            self._digests += hashlib.blake2b(text.encode(), digest_size=8).digest()
            self.rows += 1
            yield label, text

    def summary(self, label_names: list[str], dropped: Mapping[str, int]) -> dict[str, Any]:
        """Count rows, labels, lengths (characters), empty, duplicate and dropped texts."""
        lengths, counts = [*self.characters], [*self.characters.values()]
        characters = np.quantile(
            lengths, [*QUANTILES.values()], weights=counts, method="inverted_cdf"
        ).tolist()
        return {
            "rows": self.rows,
            "labels": {name: self.labels[label] for label, name in enumerate(label_names)},
            "characters": dict(zip(QUANTILES, characters)),
            "empty_texts": self.characters[0],
            "duplicate_texts": self.rows - len(self._texts()),
            "dropped_empty": dropped["empty"],
            "dropped_unlabelled": dropped["unlabelled"],
        }

    def shared_texts(self, other: Self) -> int:
        """Count the different texts that both splits have."""
        return len(np.intersect1d(self._texts(), other._texts(), assume_unique=True))

    def _texts(self) -> np.ndarray:
        return np.unique(np.frombuffer(self._digests, np.uint64))


def describe(
    label_names: list[str],
    statistics: Mapping[str, SplitStatistics],
    dropped: Mapping[str, Mapping[str, int]],
    shared_texts: int,
    noun: str = "review",
    kept: bool = False,
) -> Iterator[str]:
    """Yield lines about the splits, and about what inflates or harms a score on them."""
    for split, counts in statistics.items():
        verbs = {"unlabelled": "kept"} if kept and split == "train" else {}
        left_out = "".join(
            f", {n:,} {why} {verbs.get(why, 'dropped')}"
            for why, n in sorted(dropped[split].items())
        )
        yield f"{split}: {counted(counts.rows, noun)}, {len(counts.labels)} labels{left_out}"
    for split, name, so in (
        ("train", "training", "it cannot be learned"),
        ("test", "test", "no score tells how well it is predicted"),
    ):
        of_split = statistics[split].labels
        missing = [each for label, each in enumerate(label_names) if not of_split[label]]
        if missing:
            yield f"no {name} {noun} has the label {listed(missing)}: {so}"
    spelled = Counter(name.casefold() for name in label_names)
    if alike := [name for name in label_names if spelled[name.casefold()] > 1]:
        yield f"the labels {listed(alike)} differ in case only: name them alike in download.labels"
    if missing := [name for name in label_names if name.casefold() in MISSING]:
        yield f"the label {listed(missing)} reads like a missing one: if it is, empty its cells"
    if shared_texts:
        yield f"{shared_texts:,} texts are in both splits: they inflate the test scores"
