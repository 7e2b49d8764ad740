"""Copy the files of a checkpoint that cannot hold code; how to convert an old one."""

import shlex
import shutil
from pathlib import Path

from safetensors import SafetensorError, safe_open

from yelp_stars.checkpoint.find import FILES
from yelp_stars.checkpoint.tokenizer import read_json
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import quoted

REQUIRED = ("config.json", "tokenizer.json", "tokenizer_config.json")
# Keys of config.json or tokenizer_config.json.
REFUSED = {
    "auto_map": "the checkpoint needs code of its own, which never runs here",
    "quantization_config": "quantized weights cannot be trained",
    **dict.fromkeys(
        ("transformers_weights", "fusion_config", "distributed_config"),
        "the weights would be read in another way",
    ),
}
COPY_IT = (
    "choose another checkpoint, or copy this one to models/external and set pretrained.source to "
    "'folder'"
)
# Programs for the user to run, in double quotes. The first keeps every weight as it is: a
# model of transformers would draw those that it does not find.
CONVERT = (
    "import sys, pathlib, torch, safetensors.torch as s; d = pathlib.Path(sys.argv[1]); "
    "s.save_file({n: t.clone().contiguous() for f in d.glob('pytorch_model*.bin') for n, t in "
    "torch.load(f, weights_only=True).items()}, d / 'model.safetensors', {'format': 'pt'})"
)
TOKENIZER = (
    "import sys, transformers as t; p = sys.argv[1]; "
    "t.AutoTokenizer.from_pretrained(p, trust_remote_code=False).save_pretrained(p)"
)
RESIZE = (
    "import sys, transformers as t; p, n = sys.argv[1:]; "
    "m = t.AutoModel.from_pretrained(p, trust_remote_code=False); "
    "m.resize_token_embeddings(int(n)); m.save_pretrained(p)"
)


def copy_checkpoint(
    source: Path, target: Path, *, weights: bool = True, editable: bool = True
) -> None:
    """Copy the files of a checkpoint, and only those.

    `editable` says whether `source` is the user's own, to be mended by a command.

    Raises:
        UserError: if a required file is missing or damaged, or needs code of the checkpoint's own.
    """
    target.mkdir()
    for pattern in FILES:
        for file in filter(Path.is_file, source.glob(pattern)):
            if weights or "safetensors" not in file.name:
                shutil.copyfile(file, target / file.name)
    missing = [name for name in REQUIRED if not (target / name).is_file()]
    if weights and not list(target.glob("*.safetensors")):
        missing.append("model.safetensors")
    if missing:
        advice = _advice(source, missing) if editable else COPY_IT
        raise UserError(f"{str(source)!r} has no {', no '.join(missing)}; {advice}")
    for file in target.glob("*.json"):
        content = read_json(file)
        for key, problem in REFUSED.items():
            if content.get(key) is not None:
                raise UserError(
                    f"{str(source / file.name)!r} has {key!r}: {problem}; choose another checkpoint"
                )
    for file in weight_files(target) if weights else []:
        try:
            with safe_open(file, framework="numpy"):
                pass
        except SafetensorError:
            raise UserError(
                f"{str(source / file.name)!r} is not a safetensors file; if it is a git-lfs "
                f"pointer, run `git lfs pull` there"
            ) from None


def weight_files(checkpoint: Path) -> list[Path]:
    """The files that hold the weights: one, or the shards that an index names.

    Raises:
        UserError: if a shard is missing, or the index is damaged.
    """
    single, index = checkpoint / "model.safetensors", checkpoint / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if not index.is_file():
        raise UserError("the checkpoint has no 'model.safetensors'; choose another checkpoint")
    shards = read_json(index).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise UserError(f"the checkpoint's {index.name!r} names no files; download it again")
    # Compared with what is there, not joined: a name could lead out of the folder.
    there = {file.name for file in checkpoint.glob("model*.safetensors")}
    for name in shards.values():
        if not isinstance(name, str) or name not in there:
            raise UserError(
                f"the checkpoint has no file {quoted(name)}, which its {index.name!r} names; "
                f"download it again"
            )
    return [checkpoint / name for name in sorted(set(shards.values()))]


def command(code: str, *arguments: str | Path) -> str:
    """A command of the user's shell that runs `code` with arguments."""
    return f'python -c "{code}" {" ".join(shlex.quote(str(argument)) for argument in arguments)}'


def _advice(source: Path, missing: list[str]) -> str:
    """How to mend a checkpoint with missing files."""
    weights = any(source.glob("pytorch_model*.bin"))
    pieces = any((source / name).is_file() for name in ("vocab.txt", "vocab.json"))
    if "config.json" in missing or ("model.safetensors" in missing and not weights):
        return "choose another checkpoint"
    if "model.safetensors" in missing:
        return f"convert its weights: run `{command(CONVERT, source)}`"
    if "tokenizer.json" in missing and not pieces:
        return "choose another checkpoint"
    return f"convert its tokenizer: run `{command(TOKENIZER, source)}`"
