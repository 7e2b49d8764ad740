"""Check the weights of a checkpoint: complete, finite, and read once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import AutoModel, PreTrainedConfig, PreTrainedModel, set_seed

from yelp_stars.checkpoint import architecture
from yelp_stars.checkpoint.architecture import CORRECT
from yelp_stars.checkpoint.copying import CONVERT
from yelp_stars.checkpoint.tokenizer import ANOTHER, load_tokenizer
from yelp_stars.pipeline.errors import Damaged, UserError
from yelp_stars.pipeline.files import refusing
from yelp_stars.pipeline.text import listed, quoted

# No trained weight is near it: a flipped bit in an exponent makes such numbers, and they overflow.
LARGEST = 1e10
# Capitals, accents, letters without spaces, white space: what tokenizers treat differently.
PROBE = " The Soup was COLD,\tcafé Ünïcode naïve 餐厅 it's #1!"
NO_MODEL = "no model can be made from the checkpoint's 'config.json'"


def add_weights(files: Sequence[Path], checkpoint: Path, random_seed: int | None) -> list[str]:
    """Copy the weights in `files` to a checkpoint that has the rest of it, and check both.

    With `random_seed`, draw them instead. A head for labels is left out: the fine-tuned model has
    a new one. Return lines to print.
    """
    config = architecture.load_config(checkpoint, ["0", "1"])
    weights = map_weights(files) if random_seed is None else draw_weights(config, random_seed)
    model, info = fit(config, weights)
    check_names(model, info, weights)
    check_tokenizer(checkpoint, model)
    lines = []
    if architecture.missing_pooler(info):
        lines.append("the checkpoint has no pooler: it will be new")
    if [*model.state_dict()][-1] in weights:  # a head that is already trained for labels
        head = architecture.head_names(model) & weights.keys()
        weights = {name: weight for name, weight in weights.items() if name not in head}
        lines.append(f"the checkpoint's own head is left out: {listed(sorted(head), 2)}")
    for name, weight in weights.items():
        check_values(name, weight)
    with refusing("the weights could not be written", "free some space and run again"):
        save_file(weights, checkpoint / "model.safetensors", metadata={"format": "pt"})
    return lines


def map_weights(files: Sequence[Path]) -> dict[str, torch.Tensor]:
    """Map the weights into memory: their values are read where they are used."""
    advice = "download it again, with `git lfs pull` if it is a pointer of git-lfs"
    weights = {}
    for file in files:
        with refusing(f"{str(file)!r} is not a safetensors file, or is damaged", advice):
            weights.update(load_file(file))
    return weights


def draw_weights(config: PreTrainedConfig, seed: int) -> dict[str, torch.Tensor]:
    """Draw the weights of an encoder."""
    set_seed(seed)
    with refusing(NO_MODEL, CORRECT):
        model = AutoModel.from_config(config, attn_implementation=None, trust_remote_code=False)
    return {name: weight.contiguous().clone() for name, weight in model.state_dict().items()}


def fit(
    config: PreTrainedConfig, weights: Mapping[str, torch.Tensor]
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Load names and shapes by transformers' own rules: old names, tied weights, its own prefix.

    Return the classifier, without values, and what from_pretrained reports.
    """
    with refusing(NO_MODEL, CORRECT):
        model, info = architecture.classifier_class(config).from_pretrained(
            None,
            config=config,
            state_dict={name: weight.to("meta") for name, weight in weights.items()},
            device_map="meta",
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            trust_remote_code=False,
        )
    return model, info


def check_names(
    model: PreTrainedModel, info: Mapping[str, Any], weights: Mapping[str, torch.Tensor]
) -> None:
    """Refuse weights that are not those of the model: each of the encoder's, and no more layers."""
    encoder = f"{model.base_model_prefix}."
    lost = architecture.lost_names(model, info)
    shapes = {name: sizes for name, *sizes in info["mismatched_keys"] if name in lost}
    missing = [name for name in lost if name not in shapes]
    unknown = sorted(info["unexpected_keys"])
    parts = {name for name, _ in model.base_model.named_children()}
    unused = [name for name in unknown if name.removeprefix(encoder).split(".")[0] in parts]
    advice = CORRECT
    if missing and (prefix := foreign_prefix(missing[0].removeprefix(encoder), weights)):
        problem = f"their names have the prefix {prefix!r}"
        strip = f"{{name.removeprefix({prefix!r}): w for name, w in load_file(path).items()}}"
        advice = f"strip it: `save_file({strip}, path)`"
    elif missing:
        names = listed(unused or unknown or sorted(weights), 2)
        problem = f"the model expects {listed(missing, 2)}, the file has {names}"
    elif unused:
        problem = f"the file has {listed(unused, 2)}, which the model lacks"
    elif shapes:
        name, (shape, expected) = min(shapes.items())
        problem = f"{quoted(name)} has the shape {list(shape)}, not {list(expected)}"
    else:
        return
    raise UserError(
        f"the checkpoint's weights do not match the {model.config.model_type} in its "
        f"'config.json': {problem}",
        advice=advice,
    )


def foreign_prefix(expected: str, weights: Mapping[str, torch.Tensor]) -> str:
    """Return what a trainer or a wrapper put before the name of a weight, if it did."""
    return next((n.removesuffix(expected) for n in weights if n.endswith(f".{expected}")), "")


def check_tokenizer(checkpoint: Path, model: PreTrainedModel) -> None:
    """Load the tokenizer as `tokenize` does and as `train` does; each id needs an embedding."""
    tokenizer, _ = load_tokenizer(checkpoint)
    transformers_own = architecture.load_auto_tokenizer(checkpoint)
    if transformers_own(PROBE)["input_ids"] != tokenizer.encode(PROBE).ids:
        raise UserError(
            "the checkpoint's 'tokenizer.json' gives other tokens than its 'tokenizer_config.json'",
            advice=CONVERT,
        )
    check_ids(tokenizer, model)


def check_ids(tokenizer: Tokenizer, model: PreTrainedModel) -> None:
    """Refuse a tokenizer with an id for which the model has no embedding."""
    embeddings = model.get_input_embeddings().weight.shape[0]
    last_id, token = max((index, token) for token, index in tokenizer.get_vocab().items())
    if last_id >= embeddings:
        raise UserError(
            f"the checkpoint's 'tokenizer.json' has the id {last_id} ({quoted(token)}), but the "
            f"model has {embeddings} word embeddings",
            advice=f"{ANOTHER}, or resize this one's embeddings as docs/own-data.md shows",
        )
    if not 0 <= model.config.pad_token_id < embeddings:
        raise UserError(
            f"the checkpoint's 'config.json' has pad_token_id {model.config.pad_token_id}, but "
            f"the model has {embeddings} word embeddings",
            advice=CORRECT,
        )


def check_values(name: str, weight: torch.Tensor) -> None:
    """Refuse a weight that is NaN, infinite, absurdly large, or not a floating-point number."""
    if weight.is_floating_point():
        largest = float(weight.float().abs().max()) if weight.numel() else 0.0
        if not largest < LARGEST:  # also NaN
            raise Damaged(
                f"the weight {quoted(name)} has NaN, infinite or absurdly large values: {largest}",
                advice="download the checkpoint again, or choose another one",
            )
    elif name.endswith(("weight", "bias")):
        problem = f"is {weight.dtype}, not floating-point: it is quantized"
        raise UserError(f"the weight {quoted(name)} {problem}", advice=ANOTHER)
