"""Draw the seeded subsets that one training run can afford.

python -m stages.sample data/tokenized data/audit.parquet data/sample
"""

from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import NonNegativeInt, PositiveInt

from yelp_stars.data import arrow
from yelp_stars.data.flags import Kind
from yelp_stars.data.malloc import release_freed_memory
from yelp_stars.data.sampling import (
    Plan,
    describe_labels,
    draw_subsets,
    read_excluded,
    read_labels,
    write_rows,
)
from yelp_stars.pipeline.entrypoint import run
from yelp_stars.pipeline.params import StageParams, load_params

Size = PositiveInt | Literal["all"]


class Params(StageParams):
    """Rows to train, validate and test on."""

    train_size: Size
    """Rows to train on, or all. A larger sample begins with the rows of a smaller one."""
    train_seed: NonNegativeInt
    """Seed of the training rows."""
    validation_size: PositiveInt
    """Rows to validate on after each epoch; choose models by these."""
    validation_seed: NonNegativeInt
    """Seed of the validation rows."""
    validation_from: Literal["train", "test"]
    """Split of the validation rows: train holds them out; test does as the notebook."""
    test_size: Size
    """Rows to test on, or all."""
    test_seed: NonNegativeInt
    """Seed of the test rows."""
    stratify: bool
    """Keep the label proportions in every subset; false draws as `Dataset.shuffle(seed)`."""
    allow_overlap: bool
    """Let validation and test rows overlap where both come from the test split."""
    exclude: list[Kind]
    """Kinds of flagged training rows to leave out; duplicates include near ones."""


class Inputs(NamedTuple):
    tokenized: Path
    audit: Path


class Outputs(NamedTuple):
    sampled: Path


def main(given: Inputs, made: Outputs) -> None:
    params = load_params(Params, "sample")
    release_freed_memory()
    splits = ("train", "test")
    mapped = {split: arrow.read_mapped(given.tokenized / f"{split}.arrow") for split in splits}
    labels = {split: read_labels(file) for split, file in mapped.items()}
    n_classes = len(arrow.label_names(mapped["train"].table.schema))
    excluded = read_excluded(given.audit, len(labels["train"]), params.exclude)
    if params.exclude:
        kinds = ", ".join(params.exclude)
        print(f"excluded: {excluded.sum():,} of {len(excluded):,} rows of train ({kinds})")
    plan = Plan(**params.model_dump(exclude={"exclude"}))
    subsets = draw_subsets(labels["train"], labels["test"], plan, excluded)
    made.sampled.mkdir()
    for name, (split, rows) in subsets.items():
        write_rows(mapped[split], labels[split], rows, made.sampled / f"{name}.arrow")
        counts = describe_labels(labels[split][rows], n_classes)
        print(f"{name}: {len(rows):,} rows from {split}, {counts}")


if __name__ == "__main__":
    run(main)
