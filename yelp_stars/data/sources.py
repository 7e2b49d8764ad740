"""Read labelled reviews from synthetic sentences, the user's files, or the Hugging Face Hub.

Each source is a variant of the section `download` of params.yaml.
"""

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import compress, islice
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveInt,
    model_validator,
)
from tqdm import tqdm

from yelp_stars.data import arrow, synthetic
from yelp_stars.data.permutation import permutation
from yelp_stars.pipeline.errors import UserError, hub_error
from yelp_stars.pipeline.files import sha256_of
from yelp_stars.pipeline.params import HubRepo, HubRevision, Share, StageParams
from yelp_stars.pipeline.text import counted, listed, printable, quoted
from yelp_stars.reading import readers
from yelp_stars.reading.labels import (
    Reviews,
    canonical_label,
    canonical_labels,
    class_names,
    map_labels,
    not_a_label,
    unescape,
    unlabelled,
    valid_text,
)
from yelp_stars.reading.layout import Layout, separator
from yelp_stars.reading.lines import known_encoding
from yelp_stars.reading.origin import NO_FILE, Origin
from yelp_stars.reading.problems import Problems
from yelp_stars.reading.unpacking import on_disk

# A number, or a name that begins with one: 2 stars. 5A11 and 1.1.2 are codes.
NUMBERED = re.compile(r"[-+]?\d+(\.\d+)?(?!(?!stars?$)[a-z]|\d|\.\d)", re.I)
ORDER = "set {setting} to true if they go from worst to best, or to false"
MAX_CLASSES = 200  # of labels: auto; a column of texts has more values

Keep = Callable[[str], None]  # takes the text of a row without a label

COLUMNS = {"label": pa.int64(), "text": pa.large_string()}
OFFLINE = "run `make use PRESET=quickstart`: it needs no network"


class ReviewSource(NamedTuple):
    """Train and test splits, read once each, in order."""

    label_names: list[str]
    ordered: bool
    """Whether the classes have an order, from worst to best."""
    train: Reviews
    test: Reviews
    dropped: dict[str, Counter[str]]
    """By split, "empty" and "unlabelled" rows; complete when the split has been read."""
    provenance: dict[str, Any]
    """For metrics/data.json: hashes, or repository and revision."""
    origin: Origin = NO_FILE
    """How they are read, for the model to remember."""


def ignore(text: str) -> None:
    """Drop a text."""


def no_counts() -> dict[str, Counter[str]]:
    """Return counts of dropped rows for each split."""
    return {"train": Counter(), "test": Counter()}


class Synthetic(StageParams):
    """Reviews composed from the sentences in data/synthetic: no network, not Yelp's."""

    source: Literal["synthetic"]
    """Where the reviews come from."""
    train_size: Annotated[int, Field(ge=100, le=7_000_000)]
    """Reviews in the train split. A larger split begins with the rows of a smaller one."""
    test_size: Annotated[int, Field(ge=100, le=7_000_000)]
    """Reviews in the test split; they share no sentence with train."""
    median_words: Annotated[int, Field(ge=8, le=500)]
    """Median length in words. Yelp's is 97."""
    label_noise: Annotated[float, Field(ge=0, lt=1)]
    """Share of reviews that read like a neighbouring star rating."""
    seed: NonNegativeInt
    """Seed of the reviews."""

    def open(self, sentences: Path, files: Path, keep: Keep = ignore) -> ReviewSource:
        """Compose the reviews of both splits from `sentences`, none before it is read."""
        options = self.model_dump(include={"median_words", "label_noise", "seed"})
        train, test = (
            synthetic.reviews(synthetic.read_bank(sentences, split), rows, split=split, **options)
            for split, rows in (("train", self.train_size), ("test", self.test_size))
        )
        provenance = {"sha256": sha256_of(sentences)}
        return ReviewSource(synthetic.LABEL_NAMES, True, train, test, no_counts(), provenance)


class Cleaned(StageParams):
    """Rows of your own data, cleaned before anything is drawn from them."""

    noun: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z -]{0,30}$")] = "review"
    """What to call a text in the report, the model card and on the page, such as ticket; an s makes
    its plural."""
    ordered: bool | None = None
    """Whether the classes have an order, from worst to best; topics or intents have none. Null is
    true for numbers; for words it must be said."""
    unescape: bool
    r"""Turn a literal \n into a newline, and \" and "" into a quote; Yelp's texts hold these."""
    drop_empty: bool
    """Drop empty and missing texts before sampling; false keeps and counts them."""
    unlabelled: Literal["error", "drop", "keep"] = "error"
    """What to do with a row without a label (-1 on the Hub): dropped ones are counted; kept ones of
    the train split are in data/unlabelled.parquet, for `stars label-next`."""

    def has_order(self, values: Iterable[str]) -> bool:
        """Say whether classes of these values, or names, have an order."""
        if self.ordered is None and not all(map(NUMBERED.match, values)):
            raise UserError("the labels are words", setting="download.ordered", advice=ORDER)
        return self.ordered is not False

    def spare(self, keep: Keep) -> Keep | None:
        """Return what takes the texts without a label; None if they are errors."""
        if self.unlabelled == "keep":
            return lambda text: keep(unescape(text) if self.unescape else text)
        return ignore if self.unlabelled == "drop" else None

    def clean(self, reviews: Reviews, dropped: Counter[str]) -> Iterator[tuple[int, str]]:
        """Unescape the texts, and drop the empty ones and count them, each on request."""
        for label, text in reviews:
            text = unescape(text) if self.unescape else text
            if self.drop_empty and not text.strip():
                dropped["empty"] += 1
            else:
                yield label, text


class Files(Cleaned):
    """Your own labelled text in data/external."""

    source: Literal["files"]
    """Where the reviews come from."""
    train_file: str
    """CSV, TSV, JSON lines or Parquet in data/external; also as .gz, or inside a .tgz."""
    test_file: str | None
    """A second file for the test split, or null to draw test_size rows from train_file."""
    test_size: PositiveInt | Share | None
    """Rows, or the share of them, to draw from train_file for the test split; null if test_file is
    set."""
    seed: NonNegativeInt
    """Seed for drawing the test split."""
    text_column: str | NonNegativeInt
    """Column of the text: a name, or an index from 0 in a file without a header."""
    label_column: str | NonNegativeInt
    """Column of the label: a name or an index, same as text_column."""
    labels: Annotated[
        dict[str, Annotated[str, Field(min_length=1)]],
        BeforeValidator(canonical_labels, json_schema_input_type=Literal["auto"] | dict[str, str]),
    ]
    """Value in the file: class name. 1, 1.0 and '1' are the same value; so are true and 'True'. A
    code such as '007' needs its quotes. Or auto: the values in the file, sorted, are the names."""
    encoding: Annotated[str, AfterValidator(known_encoding)] = "utf-8"
    """Encoding of the file, such as cp1252; UTF-16 with a byte order mark is detected."""
    delimiter: (
        Annotated[str, BeforeValidator(separator), Field(pattern=r'^[^"\r\n\x00]$')] | None
    ) = None
    """Column separator of a CSV or TSV; null is a comma in a CSV and a tab in a TSV."""
    quoted: bool | None = None
    """Let double quotes enclose fields; null is true for a CSV and false for a TSV."""
    longest_line_mb: Annotated[int, Field(ge=1, le=1000)] = 64
    """Maximum megabytes per line: a file without line breaks would fill the memory."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        columns, names = (self.text_column, self.label_column), (self.train_file, self.test_file)
        if (self.test_file is None) == (self.test_size is None):
            raise ValueError("set either test_file or test_size, and the other to null")
        if self.train_file == self.test_file:
            raise ValueError("test_file is train_file; set it to null, and test_size to a number")
        if columns[0] == columns[1] or isinstance(columns[0], str) != isinstance(columns[1], str):
            raise ValueError(
                "text_column and label_column must be two different names, or two indices"
            )
        if len(set(self.labels.values())) == 1:
            raise ValueError(
                "labels must have at least two different names, or there is nothing to learn"
            )
        if self.ordered is None and not all(map(NUMBERED.match, self.labels)):
            raise ValueError(f"the labels are words: {ORDER.format(setting='ordered')}")
        for name in filter(None, names):
            if name.startswith("data/external/"):
                inside = name.removeprefix("data/external/")
                raise ValueError(f"{quoted(name)} must be a path inside data/external: {inside!r}")
            if Path(name).is_absolute() or ".." in Path(name).parts:
                raise ValueError(f"{quoted(name)} must be a path inside data/external")
        return self

    def open(self, sentences: Path, files: Path, keep: Keep = ignore) -> ReviewSource:
        """Open files of the folder `files`; one that is split is read once to count its rows."""
        train_file, dropped = files / self.train_file, no_counts()
        labels = self.labels or self._count(train_file)
        classes, ordered = class_names(labels), self.has_order(labels)
        train = self._read(train_file, labels, dropped["train"], keep)
        if self.test_file is not None:
            test = self._read(files / self.test_file, labels, dropped["test"])
        else:
            is_test = self._draw(train_file, labels)
            # A dropped row belongs to neither split; the larger one counts it.
            rows = self._read(train_file, labels, Counter())
            train = compress(train, ~is_test)
            test = compress(rows, is_test)
        names = filter(None, [self.train_file, self.test_file])
        hashes = {name: sha256_of(on_disk(files / name)) for name in names}
        origin = Origin(
            self.noun, readers.suffix(train_file), self.text_column, self.label_column, {**labels},
            self.encoding, self.delimiter, self.quoted, self.unescape,
        )  # fmt: skip
        return ReviewSource(classes, ordered, train, test, dropped, {"files": hashes}, origin)

    @property
    def _layout(self) -> Layout:
        columns, longest = (self.text_column, self.label_column), self.longest_line_mb * 10**6
        return Layout(*columns, self.encoding, self.delimiter, self.quoted, longest)

    def _count(self, path: Path) -> dict[str, str]:
        """Return the values of the label column as the names of the classes: `labels: auto`."""
        first: dict[str, str] = {}  # the location of each value
        counts: Counter[str] = Counter()
        problems = Problems(printable(path, 160))
        rows = readers.rows(path, self._layout, skip=problems.note)
        for row in tqdm(rows, "labels", unit=" rows", delay=1, disable=None):
            try:
                value = canonical_label(row.label)
            except TypeError:
                problems.note(not_a_label(row))
                continue
            if value is not None:
                first.setdefault(value, row.location)
                counts[value] += 1
            if len(counts) > MAX_CLASSES:
                break
        once = [value for value, rows in counts.items() if rows == 1]
        column = f"in the column {quoted(self.label_column)}"
        if once or len(counts) < 2:
            problems.report()  # the others, with those of the texts, when the file is read
        if len(counts) > MAX_CLASSES or 2 * len(once) > len(counts):
            many = f"more than {MAX_CLASSES} values"
            values = many if len(counts) > MAX_CLASSES else f"{len(once)} values once each"
            raise UserError(
                f"{quoted(self.train_file)} has {values} {column}, such as {listed([*counts], 3)}",
                setting="download.label_column",
                advice="set {setting} to the column of the labels, or list them in download.labels",
            )
        if once:
            raise UserError(
                f"is the only row with {quoted(once[0])} {column}"
                + (
                    f"; {counted(len(once) - 1, 'other value')} with one row, too"
                    if once[1:]
                    else ""
                ),
                location=first[once[0]],
                setting="download.labels",
                advice="correct or remove it, or list the labels in {setting}",
            )
        if len(counts) < 2:
            raise UserError(
                f"{quoted(self.train_file)} has {listed([*counts])} {column}, and no other value",
                setting="download.label_column",
                advice="set {setting} to the column of the labels",
            )
        if all(map(NUMBERED.match, counts)):
            return {value: value for value in sorted(counts, key=_by_number)}
        if self.ordered is not False:
            raise UserError(
                f"the labels are words, which download.labels: auto sorts by the alphabet: "
                f"{listed(sorted(counts))}",
                setting="download.ordered",
                advice="list them from worst to best in download.labels, or set {setting} to false",
            )
        return {value: value for value in sorted(counts)}

    def _read(
        self, path: Path, labels: Mapping[str, str], dropped: Counter[str], keep: Keep = ignore
    ) -> Iterator[tuple[int, str]]:
        spare = self.spare(keep)
        problems = Problems(printable(path, 160))
        rows = readers.rows(path, self._layout, skip=problems.note)
        mapped = map_labels(rows, labels, spare=spare, dropped=dropped, problems=problems)
        yield from self.clean(mapped, dropped)
        problems.report()

    def _draw(self, path: Path, labels: Mapping[str, str]) -> np.ndarray:
        """Draw which rows of the only file are the test split: bool, (rows,).

        It has the label proportions of the file, so that no class is missing by chance. This pass
        checks and counts the rows, later ones yield them: a file larger than memory needs no more
        than a few bytes per row.
        """
        assert self.test_size is not None  # the stage requires one of the two
        reviews = tqdm(
            self._read(path, labels, Counter()), "count", unit=" rows", delay=1, disable=None
        )
        of_rows = np.fromiter((label for label, _ in reviews), np.uint16)
        size, total = self.test_size, len(of_rows)
        if not total:  # the stage says why, once it has read them
            return np.zeros(0, bool)
        if isinstance(size, float):
            size = max(1, round(size * total))
        if size >= total:
            raise UserError(
                f"download.test_size is {self.test_size}, but {quoted(self.train_file)} has "
                f"{total} rows",
                setting="download.test_size",
                advice="leave some for training",
            )
        is_test = np.zeros(total, bool)
        is_test[permutation(of_rows, self.seed, stratify=True)[:size]] = True
        return is_test


class Hub(Cleaned):
    """A data set of the Hugging Face Hub at a pinned revision."""

    source: Literal["hub"]
    """Where the reviews come from."""
    repo: HubRepo
    """Repository on the Hub, owner/name."""
    revision: HubRevision
    """Commit of the data set, 40 hexadecimal digits, because branches move."""
    train_split: str
    """Split to train on."""
    test_split: str
    """Split to test on."""
    text_column: str
    """Column of the text."""
    label_column: str
    """Column of the label, a ClassLabel."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.text_column == self.label_column:
            raise ValueError("text_column and label_column must be two different names")
        return self

    def open(self, sentences: Path, files: Path, keep: Keep = ignore) -> ReviewSource:
        """Open a stream of each split."""
        # Late: only this source needs them, and datasets takes two seconds.
        from yelp_stars.checkpoint import hub

        hub.check(self.repo, self.revision, "dataset", OFFLINE)
        import datasets

        dropped, names = no_counts(), {"train": self.train_split, "test": self.test_split}
        streams: dict[str, Any] = {}
        # Without hf://, a folder of this name would be read instead, at no revision.
        remote = f"hf://datasets/{self.repo}"
        for split, name in names.items():
            try:
                streams[split] = datasets.load_dataset(
                    remote, split=name, streaming=True, revision=self.revision
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

        spare = self.spare(keep)

        def rows(split: str) -> Iterator[tuple[int, str]]:
            try:
                for number, row in enumerate(streams[split], 1):
                    location = f"{self.repo} {names[split]} row {number}"
                    value = row[self.label_column]
                    if canonical_label(value) in (None, "-1"):  # the Hub's sign of no label
                        if spare is None:
                            raise unlabelled(location)
                        dropped[split]["unlabelled"] += 1
                        if split == "train":
                            spare(valid_text(row[self.text_column], location))
                    elif 0 <= value < len(label.names):
                        yield value, valid_text(row[self.text_column], location)
                    else:
                        problem = f"{location} has {quoted(value)} where a label is expected"
                        raise UserError(problem, advice="use source: files")
            except hub.FAILURES as error:
                raise hub_error(self.repo, error, OFFLINE) from None

        train, test = (self.clean(rows(split), dropped[split]) for split in names)
        provenance = {"repo": self.repo, "revision": self.revision}
        origin = Origin(self.noun, "", self.text_column, self.label_column)
        ordered = self.has_order(label.names)
        return ReviewSource(label.names, ordered, train, test, dropped, provenance, origin)


def write_reviews(
    path: Path,
    reviews: Reviews,
    label_names: list[str],
    ordered: bool = True,
    source: str = "files",
    origin: Origin = NO_FILE,
) -> None:
    """Write (label, text) rows as an Arrow file, one record batch in memory at a time."""
    how = {"source": source, "origin": origin._asdict()}
    schema = arrow.make_schema(COLUMNS, label_names, ordered=ordered, **how)

    def batches() -> Iterator[pa.RecordBatch]:
        bar = tqdm(reviews, f"download {path.stem}", unit=" rows", delay=1, disable=None)
        rows = iter(bar)
        while batch := list(islice(rows, arrow.RECORD_BATCH_ROWS)):
            yield pa.record_batch([*map(list, zip(*batch))], schema=schema)

    arrow.write(path, schema, batches())


def _by_number(label: str) -> tuple[float, str]:
    """Sort labels that begin with a number by it."""
    number = NUMBERED.match(label)
    assert number is not None
    return float(number[0]), label


@contextlib.contextmanager
def unlabelled_texts(path: Path) -> Iterator[Keep]:
    """Write texts as Parquet, in their order: the column `text`; empty ones are left out."""
    schema = pa.schema([("text", pa.large_string())])
    texts: list[str] = []
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:

        def write() -> None:
            writer.write_table(pa.table({"text": texts}, schema=schema))
            texts.clear()

        def keep(text: str) -> None:
            if text.strip():
                texts.append(text)
            if len(texts) == arrow.RECORD_BATCH_ROWS:
                write()

        yield keep
        write()
