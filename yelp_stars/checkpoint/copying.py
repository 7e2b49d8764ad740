"""Copy the files of a checkpoint that cannot hold code, except for the weights."""

import shutil
from pathlib import Path

from yelp_stars.checkpoint.tokenizer import ANOTHER, TOKENIZER_FILES, read_json
from yelp_stars.pipeline.errors import Missing, UserError

# Of a checkpoint; none of them can hold code, and pickles (*.bin) stay out.
WEIGHTS = ("model.safetensors", "model-*-of-*.safetensors")
TEXT_FILES = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
)
# Keys of config.json or tokenizer_config.json.
REFUSED = {
    "auto_map": "the checkpoint needs its own code, which never runs here",
    "quantization_config": "quantized weights cannot be trained",
    **dict.fromkeys(
        ("transformers_weights", "fusion_config", "distributed_config"),
        "the weights would be read differently",
    ),
}
CONVERT = f"{ANOTHER}, or convert this one as docs/own-data.md shows"


def copy_text_files(source: Path, target: Path) -> None:
    """Copy all but the weights to a new folder; refuse what needs code, or is not complete."""
    target.mkdir()
    for name in TEXT_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    check_text_files(source)


def check_text_files(folder: Path, advice: str = CONVERT) -> None:
    """Refuse a checkpoint that needs code, or lacks a file that is not weights."""
    missing = [name for name in TOKENIZER_FILES if not (folder / name).is_file()]
    if missing:
        raise Missing(f"{str(folder)!r} has no {', no '.join(missing)}", advice=advice)
    for name in TEXT_FILES:
        if not name.endswith(".json") or not (folder / name).is_file():
            continue
        content = read_json(folder / name)
        for key, problem in REFUSED.items():
            if content.get(key) is not None:
                raise UserError(f"{str(folder / name)!r} has {key!r}: {problem}", advice=ANOTHER)


def weight_files(checkpoint: Path, advice: str = CONVERT) -> list[Path]:
    """Return the files that hold the weights: one, or its shards.

    Others, such as model.fp16.safetensors, hold the same weights once more.
    """
    single, shards = WEIGHTS
    files = sorted(checkpoint.glob(single)) or sorted(checkpoint.glob(shards))
    if not files:
        raise Missing(f"{str(checkpoint)!r} has no {single}", advice=advice)
    return files
