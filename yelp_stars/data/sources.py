"""Where labelled reviews come from: synthetic, the user's files, the Hugging Face Hub."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

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


class Cleaning(NamedTuple):
    """What is done to the rows of a source before anything is drawn from them."""

    unescape: bool
    drop_empty: bool
    drop_unlabelled: bool

    def clean(self, reviews: Reviews, dropped: Counter[str]) -> Iterator[tuple[int, str]]:
        """Unescape the texts, and drop the empty ones and count them, each on request."""
        for label, text in reviews:
            text = unescape(text) if self.unescape else text
            if self.drop_empty and not text.strip():
                dropped["empty"] += 1
            else:
                yield label, text


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


def open_synthetic(
    sentences: Path,
    *,
    train_size: int,
    test_size: int,
    median_words: int,
    label_noise: float,
    seed: int,
) -> ReviewSource:
    """Compose reviews from the sentences of this project."""

    def compose(split: str, rows: int) -> Reviews:
        return synthetic.reviews(
            synthetic.read_bank(sentences, split),
            rows,
            median_words=median_words,
            label_noise=label_noise,
            seed=seed,
            split=split,
        )

    return ReviewSource(
        synthetic.LABEL_NAMES,
        True,
        compose("train", train_size),
        compose("test", test_size),
        {"train": Counter(), "test": Counter()},
        {"sha256": sha256_of(sentences)},
    )


def open_files(
    folder: Path,
    *,
    train_file: str,
    test_file: str | None,
    test_size: int | None,
    seed: int,
    labels: Mapping[str, str],
    ordered: bool,
    layout: Layout,
    cleaning: Cleaning,
) -> ReviewSource:
    """Read the user's files: one for each split, or one that is split by a seed."""

    def read(name: str, dropped: Counter[str]) -> Reviews:
        rows = readers.rows(folder / name, layout)
        mapped = map_labels(rows, labels, drop_unlabelled=cleaning.drop_unlabelled, dropped=dropped)
        return cleaning.clean(mapped, dropped)

    dropped: dict[str, Counter[str]] = {"train": Counter(), "test": Counter()}
    if test_file is not None:
        train, test = read(train_file, dropped["train"]), read(test_file, dropped["test"])
    else:
        assert test_size is not None  # Params requires one of the two
        # The first pass counts (and checks) the rows, later passes yield them: a file larger than
        # memory needs no more than a few bytes per row.
        kept = read(train_file, Counter())
        total = sum(1 for _ in tqdm(kept, "count", unit=" rows", delay=1))
        if test_size >= total:
            raise UserError(
                f"download.test_size is {test_size}, but {quoted(train_file)} has {total} rows; "
                f"leave some for training"
            )
        is_test = np.zeros(total, bool)
        order = np.arange(total, dtype=np.uint32)
        np.random.default_rng(seed).shuffle(order)
        is_test[order[:test_size]] = True

        def part(wanted: bool, counts: Counter[str]) -> Reviews:
            rows = zip(is_test, read(train_file, counts), strict=True)
            return (row for test, row in rows if test == wanted)

        # A dropped row belongs to neither split; the larger one counts it.
        train, test = part(False, dropped["train"]), part(True, Counter())
    files = filter(None, (train_file, test_file))
    hashes = {name: sha256_of(on_disk(folder / name)) for name in files}
    return ReviewSource(class_names(labels), ordered, train, test, dropped, {"files": hashes})


def open_hub(
    repo: str,
    revision: str,
    *,
    train_split: str,
    test_split: str,
    text_column: str,
    label_column: str,
    ordered: bool,
    cleaning: Cleaning,
) -> ReviewSource:
    """Stream a data set from the Hub at a pinned revision.

    Raises:
        UserError: if the Hub does not answer, or has no such data set, split or column.
    """
    # Late: only this source needs them, and datasets takes two seconds.
    from yelp_stars.checkpoint import hub

    other = "run `make use PRESET=quickstart`: it needs no network"
    hub.check(repo, revision, "dataset", other)
    import datasets

    def open_stream(split: str) -> Any:
        try:
            # Without hf://, a folder of this name would be read instead, at no revision.
            remote = f"hf://datasets/{repo}"
            return datasets.load_dataset(remote, split=split, revision=revision, streaming=True)
        except hub.FAILURES as error:
            if isinstance(error, ValueError) and not isinstance(error, OSError):  # no such split
                raise UserError(f"{repo}: {quoted(' '.join(str(error).split()), 300)}") from None
            raise hub_error(repo, error, other) from None

    def rows(stream: Any) -> Iterator[dict[str, Any]]:
        try:
            yield from stream
        except hub.FAILURES as error:
            raise hub_error(repo, error, other) from None

    def read(
        stream: Any, split: str, classes: int, dropped: Counter[str]
    ) -> Iterator[tuple[int, str]]:
        for number, row in enumerate(rows(stream), 1):
            location, label = f"{repo} {split} row {number}", row[label_column]
            if canonical_label(label) in (None, "-1"):  # the Hub's sign of no label
                if not cleaning.drop_unlabelled:
                    raise unlabelled(location)
                dropped["unlabelled"] += 1
                continue
            if not 0 <= label < classes:
                raise UserError(
                    f"{location} has {quoted(label)} where a label is expected; use source: files"
                )
            yield label, valid_text(row[text_column], location)

    streams = {"train": open_stream(train_split), "test": open_stream(test_split)}
    for stream in streams.values():
        features = stream.features or {}
        for name in (text_column, label_column):
            if name not in features:
                raise UserError(
                    f"{repo} has no column {quoted(name)}; it has {listed(list(features))}"
                )
    label = streams["train"].features[label_column]
    if not isinstance(label, datasets.ClassLabel):
        raise UserError(f"{repo}: {quoted(label_column)} is not a ClassLabel; use source: files")
    dropped: dict[str, Counter[str]] = {"train": Counter(), "test": Counter()}
    names = {"train": train_split, "test": test_split}
    train, test = (
        cleaning.clean(
            read(streams[split], names[split], len(label.names), dropped[split]), dropped[split]
        )
        for split in ("train", "test")
    )
    provenance = {"repo": repo, "revision": revision}
    return ReviewSource(label.names, ordered, train, test, dropped, provenance)


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
        labels: list[int] = []
        texts: list[str] = []
        for label, text in tqdm(reviews, f"download {path.stem}", unit=" rows", delay=1):
            labels.append(label)
            texts.append(text)
            if len(texts) == arrow.RECORD_BATCH_ROWS:
                yield pa.record_batch([labels, pa.array(texts, COLUMNS["text"])], schema=schema)
                labels, texts = [], []
        if texts:
            yield pa.record_batch([labels, pa.array(texts, COLUMNS["text"])], schema=schema)

    arrow.write(path, schema, batches())
