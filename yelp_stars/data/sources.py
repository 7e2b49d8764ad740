"""Where labelled reviews come from: synthetic, the user's files, the Hugging Face Hub."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from yelp_stars.data import readers, synthetic
from yelp_stars.data.labels import Reviews, class_names, map_labels, validate_text
from yelp_stars.pipeline.errors import UserError, hub_error, quoted
from yelp_stars.pipeline.files import sha256_of


class ReviewSource(NamedTuple):
    """The two splits, read once each, in order."""

    label_names: list[str]
    train: Reviews
    test: Reviews
    provenance: dict[str, Any]  # for metrics/data.json: hashes, or repository and revision


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
        compose("train", train_size),
        compose("test", test_size),
        {"sha256": sha256_of(sentences)},
    )


def open_files(
    folder: Path,
    *,
    train_file: str,
    test_file: str | None,
    test_size: int | None,
    seed: int,
    text_column: str | int,
    label_column: str | int,
    labels: dict[str | int, str],
) -> ReviewSource:
    """Read the user's files: one for each split, or one that is split by a seed."""

    def read(name: str) -> Reviews:
        return map_labels(readers.rows(folder / name, text_column, label_column), labels)

    if test_file is not None:
        train, test = read(train_file), read(test_file)
    else:
        assert test_size is not None  # Params requires one of the two
        # The first pass counts (and checks) the rows, later passes yield them: a file larger than
        # memory needs no more than a few bytes per row.
        total = sum(1 for _ in tqdm(read(train_file), "count", unit=" rows", delay=1))
        if test_size >= total:
            raise UserError(
                f"download.test_size is {test_size}, but {train_file!r} has {total} rows; "
                f"leave some for training"
            )
        is_test = np.zeros(total, bool)
        order = np.arange(total, dtype=np.uint32)
        np.random.default_rng(seed).shuffle(order)
        is_test[order[:test_size]] = True

        def part(wanted: bool) -> Reviews:
            rows = zip(is_test, read(train_file), strict=True)
            return (row for test, row in rows if test == wanted)

        train, test = part(False), part(True)
    files = filter(None, (train_file, test_file))
    hashes = {name: sha256_of(readers.on_disk(folder / name)) for name in files}
    return ReviewSource(class_names(labels), train, test, {"files": hashes})


def open_hub(
    repo: str,
    revision: str,
    *,
    train_split: str,
    test_split: str,
    text_column: str,
    label_column: str,
) -> ReviewSource:
    """Stream a data set from the Hub at a pinned revision.

    Raises:
        UserError: if the Hub does not answer, or has no such data set, split or column.
    """
    import datasets  # takes two seconds, and only this source needs it

    other = "run `make use PRESET=quickstart`: it needs no network"

    def open_stream(split: str) -> Any:
        try:
            return datasets.load_dataset(repo, split=split, revision=revision, streaming=True)
        except OSError as error:
            raise hub_error(repo, error, other) from None
        except ValueError as error:  # no such split
            raise UserError(f"{repo}: {' '.join(str(error).split())}") from None

    def read(stream: Any, split: str, classes: int) -> Reviews:
        try:
            for number, row in enumerate(stream, 1):
                location, label = f"{repo} {split} row {number}", row[label_column]
                if label is None or not 0 <= label < classes:
                    raise UserError(
                        f"{location} has {quoted(label)} where a label is expected; "
                        f"use source: files"
                    )
                yield label, validate_text(row[text_column], location)
        except OSError as error:
            raise hub_error(repo, error, other) from None

    train, test = open_stream(train_split), open_stream(test_split)
    for stream in (train, test):
        features = stream.features or {}
        for name in (text_column, label_column):
            if name not in features:
                found = ", ".join(map(repr, features))
                raise UserError(f"{repo} has no column {name!r}; it has {found}")
    label = train.features[label_column]
    if not isinstance(label, datasets.ClassLabel):
        raise UserError(f"{repo}: {label_column!r} is not a ClassLabel; use source: files")
    classes = len(label.names)
    return ReviewSource(
        label.names,
        read(train, train_split, classes),
        read(test, test_split, classes),
        {"repo": repo, "revision": revision},
    )
