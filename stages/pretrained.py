"""Get the checkpoint to fine-tune: from a package, a folder, the Hub, or random weights."""

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, RootModel

from yelp_stars.checkpoint.card import CARD, FACTS, read_facts
from yelp_stars.checkpoint.copying import TEXT_FILES, WEIGHTS, copy_text_files, weight_files
from yelp_stars.checkpoint.find import find_folder, find_in_package
from yelp_stars.checkpoint.tokenizer import read_json
from yelp_stars.pipeline.entrypoint import run
from yelp_stars.pipeline.files import write_json
from yelp_stars.pipeline.params import HubRepo, HubRevision, StageParams, load_params

FolderName = Annotated[str, Field(pattern=r"^[^/.][^/]*$")]


class Package(StageParams):
    """A checkpoint inside an installed Python package."""

    source: Literal["package"]
    """Where the checkpoint comes from."""
    package: Annotated[str, Field(min_length=1)]
    """Name of the package; it is read, not imported."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 of its model.safetensors."""


class Folder(StageParams):
    """Your own checkpoint in models/external."""

    source: Literal["folder"]
    """Where the checkpoint comes from."""
    folder: FolderName
    """Name of the folder in models/external."""


class Hub(StageParams):
    """A checkpoint of the Hugging Face Hub at a pinned revision."""

    source: Literal["hub"]
    """Where the checkpoint comes from."""
    repo: HubRepo
    """Repository on the Hub, owner/name."""
    revision: HubRevision
    """Commit of the checkpoint, 40 hexadecimal digits, because branches move."""


class RandomWeights(StageParams):
    """An architecture with random weights, to measure speed or as a control."""

    source: Literal["random"]
    """Where the checkpoint comes from."""
    folder: FolderName
    """Folder in models/external with config.json and a tokenizer."""
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    """Seed of the weights."""


class Params(
    RootModel[Annotated[Package | Folder | Hub | RandomWeights, Field(discriminator="source")]]
):
    """One of the four sources."""


class Inputs(NamedTuple):
    checkpoints: Path


class Outputs(NamedTuple):
    pretrained: Path


def main(given: Inputs, made: Outputs) -> None:
    params = load_params(Params, "pretrained").root
    if isinstance(params, Package):
        source = find_in_package(params.package, params.sha256)
    elif isinstance(params, Hub):
        from yelp_stars.checkpoint import hub  # late: only this source needs it

        source = hub.download(params.repo, params.revision, [*TEXT_FILES, *WEIGHTS, CARD])
    else:
        source = find_folder(given.checkpoints / params.folder)
    seed = params.seed if isinstance(params, RandomWeights) else None
    copy_text_files(source, made.pretrained)
    files = weight_files(source) if seed is None else []
    facts = read_facts(source) if seed is None else {}
    if isinstance(params, Hub):
        facts["base_model"] = params.repo
    if facts:
        write_json(made.pretrained / FACTS, facts)
    # Late: imports torch and transformers, and a missing file must not wait for them.
    from yelp_stars.checkpoint.weights import add_weights

    lines = add_weights(files, made.pretrained, seed)
    architecture = read_json(made.pretrained / "config.json")["model_type"]
    size = (made.pretrained / "model.safetensors").stat().st_size
    print(f"{architecture} checkpoint, {size / 1e6:.1f} MB of weights", *lines, sep="\n")


if __name__ == "__main__":
    run(main)
