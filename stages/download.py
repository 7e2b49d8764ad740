"""Get the labelled reviews: built in, from files, or from the Hugging Face Hub."""

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, NonNegativeInt, PositiveInt, RootModel, model_validator
from tqdm import tqdm

from stars import arrow, builtin, readers
from stars.params import StageParams, load_params
from stars.stage import UserError, replacing, run, write_json

Reviews = Iterable[tuple[int, str]]  # (label, text)
Escapes = Literal["keep", "decode"]
LabelMap = dict[str | int, Annotated[str, Field(min_length=1)]]

TEXT = {"label": pa.int64(), "text": pa.large_string()}


class Builtin(StageParams):
    source: Literal["builtin"]
    train_size: Annotated[int, Field(ge=100, le=7_000_000)]
    test_size: Annotated[int, Field(ge=100, le=7_000_000)]
    median_words: Annotated[int, Field(ge=8, le=500)]
    label_noise: Annotated[float, Field(ge=0, lt=1)]
    seed: NonNegativeInt


class Files(StageParams):
    source: Literal["files"]
    train_file: str
    test_file: str | None
    test_size: PositiveInt | None
    seed: NonNegativeInt
    text_column: str | NonNegativeInt
    label_column: str | NonNegativeInt
    labels: LabelMap
    escapes: Escapes
    drop_empty: bool

    @model_validator(mode="after")
    def _fits(self) -> "Files":
        if (self.test_file is None) == (self.test_size is None):
            raise ValueError("set one of test_file and test_size, and the other to null")
        if isinstance(self.text_column, str) != isinstance(self.label_column, str):
            raise ValueError("text_column and label_column: two names, or two numbers")
        if len(set(self.labels.values())) < 2:
            raise ValueError("labels must have two different names, or there is nothing to learn")
        if len(set(map(str, self.labels))) < len(self.labels):
            raise ValueError("labels has the same value twice, as a number and as a word")
        for name in (self.train_file, self.test_file or ""):
            if Path(name).is_absolute() or ".." in Path(name).parts:
                raise ValueError(f"{name!r} must be a path inside input/reviews: DVC watches it")
        return self


class Hub(StageParams):
    source: Literal["hub"]
    repo: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    train_split: str
    test_split: str
    text_column: str
    label_column: str
    escapes: Escapes
    drop_empty: bool


class Params(RootModel[Annotated[Builtin | Files | Hub, Field(discriminator="source")]]):
    pass


class Census:
    """Counts what passes by, for the manifest; what it needs for each row lies in open files.

    A row's text is known by 8 bytes of its hash, kept apart by the first of them: what is sorted
    at a time is a 16th of it all.
    """

    PARTS = 16

    def __init__(self, scratch: Path) -> None:
        self.rows = 0
        self.labels: Counter[int] = Counter()
        self.characters: Counter[int] = Counter()
        self.dropped = 0
        self._digests = [
            tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115
            for _ in range(self.PARTS)
        ]

    def counted(self, reviews: Reviews, drop_empty: bool) -> Iterator[tuple[int, str]]:
        """Pass the reviews on, less the empty ones if so wished."""
        for label, text in reviews:
            empty = not text.strip()
            if empty and drop_empty:
                self.dropped += 1
                continue
            self.labels[label] += 1
            self.characters[0 if empty else len(text)] += 1
            digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
            self._digests[digest[0] % self.PARTS].write(digest)
            self.rows += 1
            yield label, text

    def summary(self, names: list[str]) -> dict[str, Any]:
        """Rows, label counts, length quantiles (characters), empty and duplicate texts."""
        lengths = sorted(self.characters)
        below = np.cumsum([self.characters[length] for length in lengths])
        shares = {"min": 0.0, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "max": 1.0}
        places = {name: np.searchsorted(below, share * self.rows) for name, share in shares.items()}
        return {
            "rows": self.rows,
            "labels": {name: self.labels[label] for label, name in enumerate(names)},
            "characters": {name: lengths[place] for name, place in places.items()},
            "empty_texts": self.characters[0],
            "duplicate_texts": self.rows - sum(len(np.unique(part)) for part in self._parts()),
            "dropped_empty": self.dropped,
        }

    def shared(self, other: "Census") -> int:
        """How many different texts both have seen."""
        pairs = zip(self._parts(), other._parts(), strict=True)
        return sum(len(np.intersect1d(*pair)) for pair in pairs)

    def _parts(self) -> Iterator[np.ndarray]:
        for file in self._digests:
            file.seek(0)
            yield np.fromfile(file, np.uint64)


def decode_escapes(text: str) -> str:
    r"""Undo the dataset's escapes: a literal \n becomes a newline, \" and "" a quote."""
    return text.replace("\\n", "\n").replace('\\"', '"').replace('""', '"')


def labelled(rows: Iterable[readers.Row], labels: dict[str | int, str]) -> Reviews:
    """Turn (place, value, text) into (label, text); a label's number is its name's place.

    Raises:
        UserError: for a value outside `labels`, or a text that is none.
    """
    names = class_names(labels)
    numbers = {str(value): names.index(name) for value, name in labels.items()}
    for place, value, text in rows:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if str(value) not in numbers or isinstance(value, bool):
            allowed = ", ".join(numbers)
            raise UserError(
                f"{place} has the label {str(value)[:80]!r}; add it to "
                f"download.labels, which has {allowed}"
            )
        yield numbers[str(value)], checked(text, place)


def class_names(labels: dict[str | int, str]) -> list[str]:
    """The names in the order of the map, each once."""
    return list(dict.fromkeys(labels.values()))


def checked(text: Any, place: str) -> str:
    """A text that any UTF-8 file can hold, without NUL."""
    if not isinstance(text, str):
        raise UserError(f"{place} has no text but {text!r}")
    if "\0" in text:
        raise UserError(f"{place} has a NUL byte in its text; remove it")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UserError(f"{place} has half a surrogate pair in its text; mend it") from None
    return text


def from_files(params: Files, folder: Path) -> tuple[Reviews, Reviews]:
    """The train and test rows of the user's files; or one file, cut by a seed."""

    def read(name: str) -> Reviews:
        rows = readers.rows(folder / name, params.text_column, params.label_column)
        return labelled(rows, params.labels)

    if params.test_file is not None:
        return read(params.train_file), read(params.test_file)
    assert params.test_size is not None  # Params says so
    # The first reading counts (and checks) the rows, the next ones hand them out: a file larger
    # than memory needs no more than a bit for each row.
    total = sum(1 for _ in tqdm(read(params.train_file), "count", unit=" rows", delay=1))
    if params.test_size >= total:
        raise UserError(
            f"download.test_size is {params.test_size}, but {params.train_file!r} has {total} "
            f"rows; leave some for training"
        )
    is_test = np.zeros(total, bool)
    order = np.arange(total, dtype=np.uint32)
    np.random.default_rng(params.seed).shuffle(order)
    is_test[order[: params.test_size]] = True

    def part(wanted: bool) -> Reviews:
        rows = zip(is_test, read(params.train_file), strict=True)
        return (row for test, row in rows if test == wanted)

    return part(False), part(True)


def from_hub(params: Hub) -> tuple[list[str], Reviews, Reviews]:
    """The class names and the rows of a data set on the Hub, streamed at a pinned revision.

    Raises:
        UserError: if the Hub does not answer, or has no such data set, split or column.
    """
    import datasets

    def reach(split: str) -> Any:
        try:
            return datasets.load_dataset(
                params.repo, split=split, revision=params.revision, streaming=True
            )
        except OSError as error:
            raise unreachable(params.repo, error) from None
        except ValueError as error:  # no such split
            raise UserError(f"{params.repo}: {' '.join(str(error).split())}") from None

    def read(stream: Any, split: str, classes: int) -> Reviews:
        try:
            for number, row in enumerate(stream, 1):
                place, found = f"{split} row {number}", row[params.label_column]
                if found is None or not 0 <= found < classes:
                    raise UserError(f"{params.repo} {place} has no label but {found!r}")
                yield found, checked(row[params.text_column], place)
        except OSError as error:
            raise unreachable(params.repo, error) from None

    train, test = reach(params.train_split), reach(params.test_split)
    for stream in (train, test):
        features = stream.features or {}
        for name in (params.text_column, params.label_column):
            if name not in features:
                found = ", ".join(map(repr, features))
                raise UserError(f"{params.repo} has no column {name!r}; it has {found}")
    label = train.features[params.label_column]
    if not isinstance(label, datasets.ClassLabel):
        raise UserError(f"{params.repo}: {params.label_column!r} is no ClassLabel; use files")
    classes = len(label.names)
    return (
        label.names,
        read(train, params.train_split, classes),
        read(test, params.test_split, classes),
    )


def unreachable(repo: str, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:160]
    return UserError(
        f"the Hub did not give {repo!r} ({type(error).__name__}: {reason}); check the network, "
        f"HF_ENDPOINT and HF_HUB_OFFLINE, or type `make use PRESET=quickstart`: it needs no network"
    )


def write_split(path: Path, reviews: Reviews, names: list[str]) -> None:
    """Write (label, text) rows as an Arrow file, one record batch in memory at a time."""
    schema = arrow.schema(TEXT, names)

    def batches() -> Iterator[pa.RecordBatch]:
        labels: list[int] = []
        texts: list[str] = []
        for label, text in tqdm(reviews, f"download {path.stem}", unit=" rows", delay=1):
            labels.append(label)
            texts.append(text)
            if len(texts) == arrow.BATCH_ROWS:
                yield pa.record_batch([labels, pa.array(texts, TEXT["text"])], schema=schema)
                labels, texts = [], []
        if texts:
            yield pa.record_batch([labels, pa.array(texts, TEXT["text"])], schema=schema)

    arrow.write(path, schema, batches())


def file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(sentences: Path, files: Path, raw: Path, manifest: Path) -> None:
    params = load_params(Params, "download").root
    source: dict[str, Any] = {"source": params.source}
    decode, drop_empty = False, False
    splits: dict[str, Reviews]
    if isinstance(params, Builtin):
        names = builtin.LABEL_NAMES
        splits = {
            split: builtin.reviews(
                builtin.read_bank(sentences, split),
                size,
                median_words=params.median_words,
                label_noise=params.label_noise,
                seed=params.seed,
                split=split,
            )
            for split, size in (("train", params.train_size), ("test", params.test_size))
        }
        source["sha256"] = file_digest(sentences)
    else:
        decode, drop_empty = params.escapes == "decode", params.drop_empty
        if isinstance(params, Files):
            names = class_names(params.labels)
            train, test = from_files(params, files)
            used = filter(None, (params.train_file, params.test_file))
            source["files"] = {name: file_digest(readers.on_disk(files / name)) for name in used}
        else:
            names, train, test = from_hub(params)
            source.update(repo=params.repo, revision=params.revision)
        splits = {"train": train, "test": test}

    with replacing(raw) as partial:
        partial.mkdir()
        censuses = {split: Census(partial) for split in splits}
        for split, reviews in splits.items():
            if decode:
                reviews = ((label, decode_escapes(text)) for label, text in reviews)
            counted = censuses[split].counted(reviews, drop_empty)
            write_split(partial / f"{split}.arrow", counted, names)
            if not censuses[split].rows:
                raise UserError(f"no review is left for the split {split!r}")
        write_json(
            manifest,
            {
                **source,
                "splits": {split: census.summary(names) for split, census in censuses.items()},
                "texts_in_train_and_test": censuses["train"].shared(censuses["test"]),
            },
        )
    for split, census in censuses.items():
        print(f"{split}: {census.rows:,} reviews, {len(census.labels)} labels")


if __name__ == "__main__":
    run(main)
