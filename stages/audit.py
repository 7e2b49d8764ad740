"""Find leaks, duplicates, conflicting labels and short texts in the reviews."""

from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field, PositiveInt

from yelp_stars.data import arrow
from yelp_stars.data.malloc import release_freed_memory
from yelp_stars.pipeline.entrypoint import run
from yelp_stars.pipeline.files import write_json
from yelp_stars.pipeline.params import StageParams, load_params


class Params(StageParams):
    """Thresholds for near-duplicate and short texts; `sample.exclude` removes the rows found."""

    min_words: PositiveInt
    """Texts with fewer words are short. A Chinese or Japanese character counts as a word."""
    near_duplicates: bool
    """Look for near-duplicates; exact duplicates are always found."""
    similarity: Annotated[float, Field(ge=0.4, le=1.0)]
    """Minimum share of three-word sequences that two near-duplicates have in common."""
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    """Seed of the hashes that select which texts to compare."""


class Inputs(NamedTuple):
    raw: Path


class Outputs(NamedTuple):
    flags: Path
    metrics: Path


def main(given: Inputs, made: Outputs) -> None:
    params = load_params(Params, "audit")
    release_freed_memory()
    # Late: SciPy takes half a second, and every stage imports this file to check params.yaml.
    from yelp_stars.audit import audit

    names = arrow.label_names(arrow.read_schema(given.raw / "train.arrow"))
    audits, work = audit.audit(given.raw, **params.model_dump())
    summary = audit.summary(audits, names, work)
    audit.write(audits, made.flags)
    write_json(made.metrics, summary)
    print("\n".join(audit.describe(summary)))


if __name__ == "__main__":
    run(main)
