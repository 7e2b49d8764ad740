"""Get the labelled reviews: synthetic, from files, or from the Hugging Face Hub."""

from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field, RootModel

from yelp_stars.data import sources
from yelp_stars.data.statistics import SplitStatistics, describe
from yelp_stars.pipeline.entrypoint import run
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.files import write_json
from yelp_stars.pipeline.params import load_params

Source = sources.Synthetic | sources.Files | sources.Hub


class Params(RootModel[Annotated[Source, Field(discriminator="source")]]):
    """One of the three sources."""


class Inputs(NamedTuple):
    sentences: Path
    files: Path


class Outputs(NamedTuple):
    raw: Path
    unlabelled: Path
    metrics: Path


def main(given: Inputs, made: Outputs) -> None:
    params = load_params(Params, "download").root
    made.raw.mkdir()
    statistics = {split: SplitStatistics() for split in ("train", "test")}
    with sources.unlabelled_texts(made.unlabelled) as keep:
        source = params.open(given.sentences, given.files, keep)
        names, repo = source.label_names, source.provenance.get("repo", params.source)
        for split, reviews in (("train", source.train), ("test", source.test)):
            counted = statistics[split].count(reviews)
            path = made.raw / f"{split}.arrow"
            sources.write_reviews(path, counted, names, source.ordered, repo, source.origin)
            if not statistics[split].rows:
                dropped = source.dropped[split]
                problem = (
                    f"no rows are left for the split {split!r}: {dropped['empty']:,} without "
                    f"a text, {dropped['unlabelled']:,} without a label"
                )
                advice = "check {setting} and download.label_column"
                raise UserError(problem, setting="download.text_column", advice=advice)
    summaries = {
        split: counts.summary(names, source.dropped[split]) for split, counts in statistics.items()
    }
    shared = statistics["train"].shared_texts(statistics["test"])
    described = {"source": params.source, **source.provenance, "splits": summaries}
    write_json(made.metrics, {**described, "texts_in_train_and_test": shared})
    kept = getattr(params, "unlabelled", "") == "keep"
    lines = describe(names, statistics, source.dropped, shared, source.origin.noun, kept)
    print("\n".join(lines))


if __name__ == "__main__":
    run(main)
