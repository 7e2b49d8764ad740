"""Get the labelled reviews: synthetic, from files, or from the Hugging Face Hub.

python -m stages.download data/synthetic/sentences.tsv data/external data/raw metrics/data.json
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, RootModel, model_validator

from yelp_stars.data import sources
from yelp_stars.data.labels import unescape_texts, write_reviews
from yelp_stars.data.statistics import SplitStatistics
from yelp_stars.pipeline.entrypoint import run
from yelp_stars.pipeline.errors import UserError, quoted
from yelp_stars.pipeline.files import replacing, write_json
from yelp_stars.pipeline.params import HubRepo, HubRevision, StageParams, load_params


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


class Files(StageParams):
    """Your own labelled text in data/external."""

    source: Literal["files"]
    """Where the reviews come from."""
    train_file: str
    """CSV, TSV, JSON lines or Parquet below data/external; also as .gz, or inside a .tgz."""
    test_file: str | None
    """A second file for the test split, or null to draw test_size rows from train_file."""
    test_size: PositiveInt | None
    """Rows to draw from train_file for the test split; null with a test_file."""
    seed: NonNegativeInt
    """Seed of that draw."""
    text_column: str | NonNegativeInt
    """Column of the text: a name, or an index from 0 in a file without a header."""
    label_column: str | NonNegativeInt
    """Column of the label, likewise."""
    labels: dict[str | int, Annotated[str, Field(min_length=1)]]
    """Value in the file: class name. The order of the names is the order of the classes."""
    unescape: bool
    r"""Turn a literal \n into a newline, and \" and "" into a quote."""
    drop_empty: bool
    """Drop empty texts; false keeps and counts them."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.test_file is None) == (self.test_size is None):
            raise ValueError("set one of test_file and test_size, and the other to null")
        if isinstance(self.text_column, str) != isinstance(self.label_column, str):
            raise ValueError("text_column and label_column: two names, or two indices")
        if len(set(self.labels.values())) < 2:
            raise ValueError("labels must have two different names, or there is nothing to learn")
        if len(set(map(str, self.labels))) < len(self.labels):
            raise ValueError("labels has the same value twice, as a number and as a string")
        for name in (self.train_file, self.test_file or ""):
            if Path(name).is_absolute() or ".." in Path(name).parts:
                raise ValueError(
                    f"{quoted(name)} must be a path inside data/external: DVC tracks it"
                )
        return self


class Hub(StageParams):
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
    unescape: bool
    r"""Turn a literal \n into a newline, and \" and "" into a quote; Yelp's texts hold these."""
    drop_empty: bool
    """Drop empty texts; false keeps and counts them."""


class Params(RootModel[Annotated[Synthetic | Files | Hub, Field(discriminator="source")]]):
    """One of the three sources."""


def open_source(
    params: Synthetic | Files | Hub, sentences: Path, files: Path
) -> sources.ReviewSource:
    """Open the source that `params` names."""
    if isinstance(params, Synthetic):
        return sources.open_synthetic(
            sentences,
            train_size=params.train_size,
            test_size=params.test_size,
            median_words=params.median_words,
            label_noise=params.label_noise,
            seed=params.seed,
        )
    if isinstance(params, Files):
        return sources.open_files(
            files,
            train_file=params.train_file,
            test_file=params.test_file,
            test_size=params.test_size,
            seed=params.seed,
            text_column=params.text_column,
            label_column=params.label_column,
            labels=params.labels,
        )
    return sources.open_hub(
        params.repo,
        params.revision,
        train_split=params.train_split,
        test_split=params.test_split,
        text_column=params.text_column,
        label_column=params.label_column,
    )


def main(sentences: Path, files: Path, raw: Path, manifest: Path) -> None:
    params = load_params(Params, "download").root
    source = open_source(params, sentences, files)
    with replacing(raw) as partial:
        partial.mkdir()
        statistics = {split: SplitStatistics(partial) for split in ("train", "test")}
        for split, reviews in (("train", source.train), ("test", source.test)):
            drop_empty = False
            if not isinstance(params, Synthetic):
                reviews = unescape_texts(reviews) if params.unescape else reviews
                drop_empty = params.drop_empty
            counted = statistics[split].count(reviews, drop_empty)
            write_reviews(partial / f"{split}.arrow", counted, source.label_names)
            if not statistics[split].rows:
                raise UserError(f"no review is left for the split {split!r}")
        write_json(
            manifest,
            {
                "source": params.source,
                **source.provenance,
                "splits": {
                    split: counts.summary(source.label_names)
                    for split, counts in statistics.items()
                },
                "texts_in_train_and_test": statistics["train"].shared_texts(statistics["test"]),
            },
        )
    for split, counts in statistics.items():
        print(f"{split}: {counts.rows:,} reviews, {len(counts.labels)} labels")


if __name__ == "__main__":
    run(main)
