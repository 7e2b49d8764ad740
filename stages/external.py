"""Hash your own data and checkpoint, if params.yaml names any."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from yelp_stars.checkpoint.find import find_folder
from yelp_stars.pipeline.entrypoint import run
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.files import sha256_of, write_json
from yelp_stars.pipeline.params import load_all
from yelp_stars.pipeline.text import shell_word
from yelp_stars.reading.unpacking import on_disk

# Where `dvc exp run` copies what git and DVC track, for --temp and --queue, and `stars seeds`.
COPIES = ((".dvc", "tmp", "exps"), (".dvc", "tmp", "yelp-stars"))


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
    print(f"{len(data)} data files and {len(checkpoint)} files of a checkpoint belong to you")


def hash_data(folder: Path, download: Mapping[str, Any]) -> dict[str, str]:
    """Return the SHA-256 of each file in `folder` that the section `download` names."""
    hashes = {}
    for name in filter(None, (download.get("train_file"), download.get("test_file"))):
        with advice_in_a_copy(folder / name):
            file = on_disk(folder / name)
        hashes[file.relative_to(folder).as_posix()] = sha256_of(file)
    return hashes


def hash_checkpoint(folder: Path, pretrained: Mapping[str, Any]) -> dict[str, str]:
    """Return the SHA-256 of each file of the checkpoint that the section `pretrained` names."""
    if "folder" not in pretrained:
        return {}
    with advice_in_a_copy(folder / pretrained["folder"]):
        checkpoint = find_folder(folder / pretrained["folder"])
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}


@contextlib.contextmanager
def advice_in_a_copy(path: Path) -> Iterator[None]:
    """Tell how to track a file that is missing in the workspace of an experiment."""
    try:
        yield
    except UserError as error:
        parts = Path.cwd().parts
        if not any(parts[start : start + 3] in COPIES for start in range(len(parts))):
            raise
        raise UserError(
            f"{error} in this copy of the project, which has only files that git or DVC tracks",
            advice=f"run `dvc add {shell_word(path)}` in the project, commit, and start the "
            f"experiment again",
        ) from None


if __name__ == "__main__":
    run(main)
