"""Draw the seeded subsets that one training run can afford."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from yelp_stars.data import arrow
from yelp_stars.data.malloc import release_freed_memory
from yelp_stars.data.sampling import (
    Params,
    describe_labels,
    draw_subsets,
    read_excluded,
    read_labels,
    write_rows,
)
from yelp_stars.pipeline.entrypoint import run
from yelp_stars.pipeline.params import load_params
from yelp_stars.pipeline.text import listed


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
    names = arrow.label_names(mapped["train"].table.schema)
    n_classes = len(names)
    excluded = read_excluded(given.audit, len(labels["train"]), params.exclude)
    if params.exclude:
        kinds = ", ".join(params.exclude)
        print(f"excluded: {excluded.sum():,} of {len(excluded):,} rows of train ({kinds})")
    subsets = draw_subsets(labels["train"], labels["test"], params, excluded)
    made.sampled.mkdir()
    for name, (split, rows) in subsets.items():
        write_rows(mapped[split], labels[split], rows, made.sampled / f"{name}.arrow")
        counts = describe_labels(labels[split][rows], n_classes)
        print(f"{name}: {len(rows):,} rows from {split}, {counts}")
        missing = np.setdiff1d(np.arange(n_classes), labels[split][rows])
        if len(missing):
            print(f"no {name} row has the label {listed([names[label] for label in missing])}")


if __name__ == "__main__":
    run(main)
