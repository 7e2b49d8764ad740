"""Get the labelled reviews: synthetic, from files, or from the Hugging Face Hub.

python -m stages.download data/synthetic/sentences.tsv data/external data/raw metrics/data.json
"""

from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveInt,
    RootModel,
    model_validator,
)

from yelp_stars.data import sources
from yelp_stars.data.statistics import SplitStatistics, describe
from yelp_stars.pipeline.entrypoint import run
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.files import write_json
from yelp_stars.pipeline.params import HubRepo, HubRevision, StageParams, load_params
from yelp_stars.pipeline.text import quoted
from yelp_stars.reading.labels import canonical_labels
from yelp_stars.reading.lines import known_encoding


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
    """Share of reviews that read like a neighbouring star."""
    seed: NonNegativeInt
    """Seed of the reviews."""


class Cleaned(StageParams):
    """What is done to the rows of your own data."""

    ordered: bool = True
    """Whether the classes have an order, from worst to best; topics or intents have none."""
    unescape: bool
    r"""Turn a literal \n into a newline, and \" and "" into a quote; Yelp's texts hold these."""
    drop_empty: bool
    """Drop empty and missing texts before anything is drawn; false keeps and counts them."""
    unlabelled: Literal["error", "drop"] = "error"
    """What to do with a row without a label (-1 on the Hub); dropped rows are counted."""


class Files(Cleaned):
    """Your own labelled text in data/external."""

    source: Literal["files"]
    """Where the reviews come from."""
    train_file: str
    """CSV, TSV, JSON lines or Parquet in data/external; also as .gz, or inside a .tgz."""
    test_file: str | None
    """A second file for the test split, or null to draw test_size rows from train_file."""
    test_size: PositiveInt | None
    """Rows to draw from train_file for the test split; null with a test_file."""
    seed: NonNegativeInt
    """Seed of that draw."""
    text_column: str | NonNegativeInt
    """Column of the text: a name, or an index from 0 in a file without a header."""
    label_column: str | NonNegativeInt
    """Column of the label: a name or an index, same as text_column."""
    labels: Annotated[
        dict[str, Annotated[str, Field(min_length=1)]], BeforeValidator(canonical_labels)
    ]
    """Value in the file: class name. 1, 1.0 and '1' are one value, and so are true and 'True'."""
    encoding: Annotated[str, AfterValidator(known_encoding)] = "utf-8"
    """Of a CSV, TSV or JSON lines file, such as cp1252; UTF-16 with a byte order mark is seen."""
    delimiter: Annotated[str, Field(pattern=r'^[^"\r\n\x00]$')] | None = None
    """Between the columns of a CSV or TSV; null is a comma in a CSV and a tab in a TSV."""
    quoted: bool | None = None
    """Whether double quotes enclose fields; null is yes in a CSV and no in a TSV."""
    longest_line_mb: Annotated[int, Field(ge=1, le=1000)] = 64
    """Megabytes of a line at most: a file without line breaks would fill the memory."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        columns, names = (self.text_column, self.label_column), (self.train_file, self.test_file)
        if (self.test_file is None) == (self.test_size is None):
            raise ValueError("set one of test_file and test_size, and the other to null")
        if self.train_file == self.test_file:
            raise ValueError("test_file is train_file; set it to null, and test_size to a number")
        if columns[0] == columns[1] or isinstance(columns[0], str) != isinstance(columns[1], str):
            raise ValueError("text_column and label_column: two different names, or two indices")
        if len(set(self.labels.values())) < 2:
            raise ValueError("labels must have two different names, or there is nothing to learn")
        for name in filter(None, names):
            if Path(name).is_absolute() or ".." in Path(name).parts:
                raise ValueError(f"{quoted(name)} must be a path inside data/external")
        return self


class Hub(Cleaned):
    """A data set of the Hugging Face Hub at a pinned revision."""

    source: Literal["hub"]
    """Where the reviews come from."""
    repo: HubRepo
    """owner/name."""
    revision: HubRevision
    """Commit of the data set, 40 hexadecimal digits: branches move."""
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
            raise ValueError("text_column and label_column: two different names")
        return self


class Params(RootModel[Annotated[Synthetic | Files | Hub, Field(discriminator="source")]]):
    """One of the three sources."""


def open_source(
    params: Synthetic | Files | Hub, sentences: Path, files: Path
) -> sources.ReviewSource:
    values = params.model_dump(exclude={"source"})
    match params:
        case Synthetic():
            return sources.Synthetic(**values).open(sentences)
        case Files():
            return sources.Files(**values).open(files)
        case Hub():
            return sources.Hub(**values).open()


class Inputs(NamedTuple):
    sentences: Path
    files: Path


class Outputs(NamedTuple):
    raw: Path
    metrics: Path


def main(given: Inputs, made: Outputs) -> None:
    params = load_params(Params, "download").root
    source = open_source(params, given.sentences, given.files)
    names, origin = source.label_names, source.provenance.get("repo", params.source)
    made.raw.mkdir()
    statistics = {split: SplitStatistics(made.raw) for split in ("train", "test")}
    for split, reviews in (("train", source.train), ("test", source.test)):
        counted = statistics[split].count(reviews)
        sources.write_reviews(made.raw / f"{split}.arrow", counted, names, source.ordered, origin)
        if not statistics[split].rows:
            raise UserError(f"no review is left for the split {split!r}")
    summaries = {
        split: counts.summary(names, source.dropped[split]) for split, counts in statistics.items()
    }
    shared = statistics["train"].shared_texts(statistics["test"])
    described = {"source": params.source, **source.provenance, "splits": summaries}
    write_json(made.metrics, {**described, "texts_in_train_and_test": shared})
    print("\n".join(describe(names, statistics, source.dropped, shared)))


if __name__ == "__main__":
    run(main)
