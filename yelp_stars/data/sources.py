"""Where labelled reviews come from: synthetic, the user's files, the Hugging Face Hub.

stages/download.py documents the fields of each source.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from yelp_stars.data import arrow, synthetic
from yelp_stars.pipeline.errors import UserError, hub_error
from yelp_stars.pipeline.files import sha256_of
from yelp_stars.pipeline.text import listed, quoted
from yelp_stars.reading import readers
from yelp_stars.reading.labels import (
    Reviews,
    canonical_label,
    class_names,
    map_labels,
    unlabelled,
)
from yelp_stars.reading.layout import Layout
from yelp_stars.reading.texts import unescape, valid_text
from yelp_stars.reading.unpacking import on_disk

COLUMNS = {"label": pa.int64(), "text": pa.large_string()}
OFFLINE = "run `make use PRESET=quickstart`: it needs no network"


class ReviewSource(NamedTuple):
    """The two splits, read once each, in order."""

    label_names: list[str]
    ordered: bool
    """Whether the classes have an order, from worst to best."""
    train: Reviews
    test: Reviews
    dropped: dict[str, Counter[str]]
    """By split, "empty" and "unlabelled" rows; complete when the split has been read."""
    provenance: dict[str, Any]
    """For metrics/data.json: hashes, or repository and revision."""


@dataclass(frozen=True)
class Synthetic:
    """Reviews composed from the sentences of this project."""

    train_size: int
    test_size: int
    median_words: int
    label_noise: float
    seed: int

    def open(self, sentences: Path) -> ReviewSource:
        """Compose the reviews of both splits, none before it is read."""

        def compose(split: str, rows: int) -> Reviews:
            return synthetic.reviews(
                synthetic.read_bank(sentences, split),
                rows,
                median_words=self.median_words,
                label_noise=self.label_noise,
                seed=self.seed,
                split=split,
            )

        return ReviewSource(
            synthetic.LABEL_NAMES,
            True,
            compose("train", self.train_size),
            compose("test", self.test_size),
            {"train": Counter(), "test": Counter()},
            {"sha256": sha256_of(sentences)},
        )


@dataclass(frozen=True)
class Cleaned:
    """Rows of the user's own data, cleaned before anything is drawn from them."""

    ordered: bool
    unescape: bool
    drop_empty: bool
    unlabelled: Literal["error", "drop"]

    def clean(self, reviews: Reviews, dropped: Counter[str]) -> Iterator[tuple[int, str]]:
        """Unescape the texts, and drop the empty ones and count them, each on request."""
        for label, text in reviews:
            text = unescape(text) if self.unescape else text
            if self.drop_empty and not text.strip():
                dropped["empty"] += 1
            else:
                yield label, text


@dataclass(frozen=True)
class Files(Cleaned):
    """The user's files: one for each split, or one that is split by a seed."""

    train_file: str
    test_file: str | None
    test_size: int | None
    seed: int
    text_column: str | int
    label_column: str | int
    labels: Mapping[str, str]
    encoding: str
    delimiter: str | None
    quoted: bool | None
    longest_line_mb: int

    def open(self, folder: Path) -> ReviewSource:
        """Open the files in `folder`; one that is split is read once to count its rows."""
        dropped: dict[str, Counter[str]] = {"train": Counter(), "test": Counter()}
        train: Reviews
        test: Reviews
        if self.test_file is not None:
            train = self._read(folder / self.train_file, dropped["train"])
            test = self._read(folder / self.test_file, dropped["test"])
        else:
            is_test = self._draw(folder)

            def part(wanted: bool, counts: Counter[str]) -> Reviews:
                rows = zip(is_test, self._read(folder / self.train_file, counts), strict=True)
                return (row for test, row in rows if test == wanted)

            # A dropped row belongs to neither split; the larger one counts it.
            train, test = part(False, dropped["train"]), part(True, Counter())
        names = filter(None, (self.train_file, self.test_file))
        hashes = {name: sha256_of(on_disk(folder / name)) for name in names}
        classes = class_names(self.labels)
        return ReviewSource(classes, self.ordered, train, test, dropped, {"files": hashes})

    def _read(self, path: Path, dropped: Counter[str]) -> Reviews:
        columns, longest = (self.text_column, self.label_column), self.longest_line_mb * 10**6
        layout = Layout(*columns, self.encoding, self.delimiter, self.quoted, longest)
        drop = self.unlabelled == "drop"
        rows = readers.rows(path, layout)
        mapped = map_labels(rows, self.labels, drop_unlabelled=drop, dropped=dropped)
        return self.clean(mapped, dropped)

    def _draw(self, folder: Path) -> np.ndarray:
        """Draw which rows of the only file are the test split: bool, (rows,).

        This pass checks and counts the rows, later ones yield them: a file larger than memory
        needs no more than a few bytes per row.
        """
        assert self.test_size is not None  # the stage requires one of the two
        reviews = self._read(folder / self.train_file, Counter())
        total = sum(1 for _ in tqdm(reviews, "count", unit=" rows", delay=1))
        if self.test_size >= total:
            raise UserError(
                f"download.test_size is {self.test_size}, but {quoted(self.train_file)} has "
                f"{total} rows",
                setting="download.test_size",
                advice="leave some for training",
            )
        is_test = np.zeros(total, bool)
        order = np.arange(total, dtype=np.uint32)
        np.random.default_rng(self.seed).shuffle(order)
        is_test[order[: self.test_size]] = True
        return is_test


@dataclass(frozen=True)
class Hub(Cleaned):
    """A data set of the Hub at a pinned revision."""

    repo: str
    revision: str
    train_split: str
    test_split: str
    text_column: str
    label_column: str

    def open(self) -> ReviewSource:
        """Open a stream of each split."""
        # Late: only this source needs them, and datasets takes two seconds.
        from yelp_stars.checkpoint import hub

        hub.check(self.repo, self.revision, "dataset", OFFLINE)
        import datasets

        dropped: dict[str, Counter[str]] = {"train": Counter(), "test": Counter()}
        names = {"train": self.train_split, "test": self.test_split}
        streams: dict[str, Any] = {}
        # Without hf://, a folder of this name would be read instead, at no revision.
        remote, options = f"hf://datasets/{self.repo}", {"revision": self.revision}
        for split, name in names.items():
            try:
                streams[split] = datasets.load_dataset(
                    remote, split=name, streaming=True, **options
                )
            except hub.FAILURES as error:
                if isinstance(error, ValueError) and not isinstance(error, OSError):
                    message = quoted(" ".join(str(error).split()), 300)  # no such split
                    raise UserError(f"{self.repo}: {message}") from None
                raise hub_error(self.repo, error, OFFLINE) from None
            columns = list(streams[split].features or {})
            for column in (self.text_column, self.label_column):
                if column not in columns:
                    problem = f"{self.repo} has no column {quoted(column)}"
                    raise UserError(f"{problem}; it has {listed(columns)}")
        label = streams["train"].features[self.label_column]
        if not isinstance(label, datasets.ClassLabel):
            problem = f"{self.repo}: {quoted(self.label_column)} is not a ClassLabel"
            raise UserError(problem, advice="use source: files")

        def rows(split: str) -> Iterator[tuple[int, str]]:
            try:
                for number, row in enumerate(streams[split], 1):
                    location = f"{self.repo} {names[split]} row {number}"
                    value = row[self.label_column]
                    if canonical_label(value) in (None, "-1"):  # the Hub's sign of no label
                        if self.unlabelled == "error":
                            raise unlabelled(location)
                        dropped[split]["unlabelled"] += 1
                    elif 0 <= value < len(label.names):
                        yield value, valid_text(row[self.text_column], location)
                    else:
                        problem = f"{location} has {quoted(value)} where a label is expected"
                        raise UserError(problem, advice="use source: files")
            except hub.FAILURES as error:
                raise hub_error(self.repo, error, OFFLINE) from None

        train, test = (self.clean(rows(split), dropped[split]) for split in names)
        provenance = {"repo": self.repo, "revision": self.revision}
        return ReviewSource(label.names, self.ordered, train, test, dropped, provenance)


def write_reviews(
    path: Path,
    reviews: Reviews,
    label_names: list[str],
    ordered: bool = True,
    source: str = "files",
) -> None:
    """Write (label, text) rows as an Arrow file, one record batch in memory at a time."""
    schema = arrow.make_schema(COLUMNS, label_names, ordered=ordered, source=source)

    def batches() -> Iterator[pa.RecordBatch]:
        rows = iter(tqdm(reviews, f"download {path.stem}", unit=" rows", delay=1))
        while batch := list(islice(rows, arrow.RECORD_BATCH_ROWS)):
            yield pa.record_batch([*map(list, zip(*batch))], schema=schema)

    arrow.write(path, schema, batches())
