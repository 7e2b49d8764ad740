"""Hashes of the user's files that params.yaml names, in data/external and models/external.

The stages that read these files depend on their hashes, and not on the folders: another file, or
the .dvc file that `dvc add` puts beside one, reruns nothing.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from yelp_stars.checkpoint.find import find_folder
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.files import sha256_of
from yelp_stars.reading.unpacking import on_disk

# Where `dvc exp run` copies what git and DVC track, for --temp and --queue, and `stars seeds`.
COPIES = ((".dvc", "tmp", "exps"), (".dvc", "tmp", "yelp-stars"))


def hash_data(folder: Path, download: Mapping[str, Any]) -> dict[str, str]:
    """The SHA-256 of each file in `folder` that the section `download` names.

    Raises:
        UserError: if one is missing.
    """
    hashes = {}
    for name in filter(None, (download.get("train_file"), download.get("test_file"))):
        with advice_in_a_copy(folder / name):
            file = on_disk(folder / name)
        hashes[file.relative_to(folder).as_posix()] = sha256_of(file)
    return hashes


def hash_checkpoint(folder: Path, pretrained: Mapping[str, Any]) -> dict[str, str]:
    """The SHA-256 of each file of the checkpoint in `folder` that the section `pretrained` names.

    Raises:
        UserError: if there is none.
    """
    if "folder" not in pretrained:
        return {}
    with advice_in_a_copy(folder / pretrained["folder"]):
        checkpoint = find_folder(folder / pretrained["folder"])
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in files}


@contextlib.contextmanager
def advice_in_a_copy(path: Path) -> Iterator[None]:
    """Where a file is missing in the workspace of an experiment, say how it gets there."""
    try:
        yield
    except UserError as error:
        parts = Path.cwd().parts
        if not any(parts[start : start + 3] in COPIES for start in range(len(parts))):
            raise
        raise UserError(
            f"{error} in this copy of the project, which has only what git or DVC track; "
            f"run `dvc add {path}` in the project, commit, and start the experiment again"
        ) from None
