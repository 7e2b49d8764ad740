"""Hash your own data and checkpoint, if params.yaml names any.

python -m stages.external data/external models/external data/external.json models/external.json
"""

from pathlib import Path
from typing import NamedTuple

from yelp_stars.external import hash_checkpoint, hash_data
from yelp_stars.pipeline.entrypoint import run
from yelp_stars.pipeline.files import write_json
from yelp_stars.pipeline.params import load_all


class Inputs(NamedTuple):
    data: Path
    checkpoints: Path


class Outputs(NamedTuple):
    data_hashes: Path
    checkpoint_hashes: Path


def main(given: Inputs, made: Outputs) -> None:
    params = load_all(skip="external")
    data = hash_data(given.data, params["download"])
    checkpoint = hash_checkpoint(given.checkpoints, params["pretrained"])
    write_json(made.data_hashes, data)
    write_json(made.checkpoint_hashes, checkpoint)
    print(f"{len(data)} data files and {len(checkpoint)} files of a checkpoint are yours")


if __name__ == "__main__":
    run(main)
