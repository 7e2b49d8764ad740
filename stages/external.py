"""Hash your own data and checkpoint, if params.yaml names any.

python -m stages.external data/external models/external data/external.json models/external.json
"""

from pathlib import Path

from yelp_stars.external import hash_checkpoint, hash_data
from yelp_stars.pipeline.entrypoint import run
from yelp_stars.pipeline.files import write_json
from yelp_stars.pipeline.params import load_all


def main(files: Path, checkpoints: Path, data_hashes: Path, checkpoint_hashes: Path) -> None:
    params = load_all(skip="external")
    data = hash_data(files, params["download"])
    checkpoint = hash_checkpoint(checkpoints, params["pretrained"])
    write_json(data_hashes, data)
    write_json(checkpoint_hashes, checkpoint)
    print(f"{len(data)} data files and {len(checkpoint)} files of a checkpoint are yours")


if __name__ == "__main__":
    run(main)
