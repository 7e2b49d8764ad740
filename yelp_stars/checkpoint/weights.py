"""Whether a copied checkpoint is complete: its config, its tokenizer, every weight of its model."""

import math
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel, set_seed

from yelp_stars.checkpoint import architecture
from yelp_stars.checkpoint.architecture import ADVICE
from yelp_stars.checkpoint.copying import COPY_IT, RESIZE, command, weight_files
from yelp_stars.checkpoint.refusing import Refusing
from yelp_stars.checkpoint.tokenizer import load_tokenizer
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import listed, quoted

# What trainers and wrappers put before the names of a model, one or several of them.
WRAPPER = re.compile(
    r"^(module|_orig_mod|_fsdp_wrapped_module|0|auto_model|model|base_model|backbone)\."
)
MOST_WRAPPERS = 4
N_LABELS = 1009  # a size that only the weights of the labels have
PROBE = "The food was good, but we waited 40 minutes. Not again!"

# No trained weight is near it: a flipped bit in an exponent makes such numbers, and they overflow.
LARGEST = 1e10


class Fit(NamedTuple):
    """How named shapes fit the classifier of a config."""

    model: PreTrainedModel
    """The classifier, without values."""
    missing: list[str]
    """Names of its encoder that are not among them."""
    mismatched: dict[str, str]
    """Names of its encoder that have another shape, and both shapes."""
    unknown: list[str]
    """Names that the classifier does not have."""
    unused: list[str]
    """Those of them that are of an encoder: of further layers, for example."""
    new_poolers: set[str]
    """Names of a pooler that may be missing."""

    def is_complete(self) -> bool:
        return not (self.missing or self.mismatched or self.unused)


def complete_checkpoint(
    checkpoint: Path, editable: Path | None, random_seed: int | None
) -> list[str]:
    """Check a checkpoint; rewrite its weights if they have other names, or hold a head.

    `editable` is the folder of the user's that it was copied from. With `random_seed` its weights
    are drawn first. Returns lines to print.

    Raises:
        UserError: if anything is wrong that would end or spoil a training.
    """
    config = architecture.load_config(checkpoint, [str(label) for label in range(N_LABELS)])
    if random_seed is not None:
        add_random_weights(checkpoint, random_seed)
    names, fit = choose_names(config, read_shapes(checkpoint))
    check_declared(config)
    check_tokenizer(checkpoint, editable, fit.model)
    check_values(checkpoint)
    head = own_head(fit.model, set(names.values()))
    lines = []
    if renamed := next((old for old, new in names.items() if new != old), None):
        new = quoted(names[renamed])
        lines.append(f"weights renamed as in the model: {quoted(renamed)} is {new}")
    if fit.new_poolers:
        lines.append(f"no pooler, as usual for {config.architectures[0]}: it will be new")
    if head:
        lines.append(f"the checkpoint's own head is left out: {listed(sorted(head), 2)}")
    if renamed or head:
        rewrite(checkpoint, {old: new for old, new in names.items() if new not in head})
    return lines


def check_declared(config: PreTrainedConfig) -> None:
    """Report a model_type of other models than those that `architectures` names.

    The weights of some have the same names: a BERT's can be loaded as a RoBERTa, and mean nothing.

    Raises:
        UserError: with both.
    """
    declared, model = architecture.declared_class(config), architecture.classifier_class(config)
    if declared is not None and declared.base_model_prefix != model.base_model_prefix:
        raise UserError(
            f"the checkpoint's 'config.json' has the model_type {config.model_type!r}, but "
            f"architectures names {declared.__name__!r}; {ADVICE}"
        )


def add_random_weights(checkpoint: Path, seed: int) -> None:
    """Add weights drawn with `seed` to a folder with a config.json."""
    set_seed(seed)
    with Refusing("no model can be made from the checkpoint's 'config.json'", ADVICE):
        config = AutoConfig.from_pretrained(checkpoint, trust_remote_code=False)
        model = AutoModel.from_config(config, attn_implementation=None, trust_remote_code=False)
    model.save_pretrained(checkpoint)


def read_shapes(checkpoint: Path) -> dict[str, torch.Tensor]:
    """The names and shapes of all weights, as tensors without values.

    Raises:
        UserError: if a file is damaged.
    """
    shapes = {}
    for path in weight_files(checkpoint):
        with damaged(path), safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 (not a mapping)
                shapes[name] = torch.empty(file.get_slice(name).get_shape(), device="meta")
    return shapes


def damaged(path: Path) -> Refusing:
    """The context for reading a file of weights."""
    return Refusing(f"the checkpoint's {path.name!r} is damaged", "download it again")


def fit_shapes(config: PreTrainedConfig, shapes: dict[str, torch.Tensor]) -> Fit:
    """Load tensors without values by transformers' own rules: old names, tied weights, prefixes.

    Raises:
        UserError: if no model can be made from the config.
    """
    with Refusing("no model can be made from the checkpoint's 'config.json'", ADVICE):
        model, info = architecture.classifier_class(config).from_pretrained(
            None,
            config=config,
            state_dict=dict(shapes),
            device_map="meta",
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            trust_remote_code=False,
        )
        lost = architecture.lost_names(model, info)
        parts = {name for name, _ in model.base_model.named_children()}
        poolers = architecture.new_poolers(model, info)
    mismatched = {
        name: f"{list(found)}, not {list(expected)}"
        for name, found, expected in sorted(info["mismatched_keys"])
        if name in lost
    }
    unknown = sorted(info["unexpected_keys"])
    prefix = f"{model.base_model_prefix}."
    return Fit(
        model,
        missing=[name for name in lost if name not in mismatched],
        mismatched=mismatched,
        unknown=unknown,
        unused=[name for name in unknown if name.removeprefix(prefix).split(".")[0] in parts],
        new_poolers=poolers,
    )


def choose_names(
    config: PreTrainedConfig, shapes: dict[str, torch.Tensor]
) -> tuple[dict[str, str], Fit]:
    """The name in the model of each weight: its own, or without the prefixes of wrappers.

    Raises:
        UserError: if the weights are not those of the model, with the first names of each side.
    """
    names = {name: name for name in shapes}
    first = fit = fit_shapes(config, shapes)
    for _ in range(MOST_WRAPPERS):
        stripped = {old: WRAPPER.sub("", new) for old, new in names.items()}
        if fit.is_complete() or stripped == names:
            break
        names = stripped
        if len(set(names.values())) == len(names):
            fit = fit_shapes(config, {names[name]: shape for name, shape in shapes.items()})
    if fit.is_complete():
        return names, fit
    problems = []
    if first.missing:
        problems.append(f"the model expects {first_names(first.missing)}")
    if first.missing or first.unused:
        found = first.unused or first.unknown or sorted(shapes)
        problems.append(f"the file has {first_names(found)}")
    if first.mismatched:
        name, difference = next(iter(first.mismatched.items()))
        problems.append(f"{quoted(name)} has the shape {difference}")
    raise UserError(
        f"the checkpoint's weights are not those of the {config.model_type} in its 'config.json': "
        f"{', '.join(problems)}; {ADVICE}"
    )


def first_names(names: list[str]) -> str:
    """The first two of some names, and how many more there are."""
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return (", ".join(quoted(name, 60) for name in names[:2]) or "nothing") + more


def own_head(model: PreTrainedModel, names: set[str]) -> set[str]:
    """The weights of a head that is already trained for labels, whatever their number."""
    labels = {name for name, weight in model.state_dict().items() if N_LABELS in weight.shape}
    return architecture.head_names(model) & names if labels & names else set()


def check_tokenizer(checkpoint: Path, editable: Path | None, model: PreTrainedModel) -> None:
    """Load the tokenizer as `tokenize` does, and load and save it as `train` does.

    Raises:
        UserError: if a file is damaged, they differ, or the model has no embedding for an id.
    """
    files = ("tokenizer.json", "config.json", "tokenizer_config.json")
    tokenizer, _ = load_tokenizer(*(checkpoint / name for name in files))
    with Refusing("the checkpoint's tokenizer files are not valid", ADVICE):
        auto = architecture.load_auto_tokenizer(checkpoint)
        with tempfile.TemporaryDirectory() as folder:
            auto.save_pretrained(folder)
        same = auto.backend_tokenizer.encode(PROBE).ids == tokenizer.encode(PROBE).ids
        vocabulary = tokenizer.get_vocab(with_added_tokens=True)
        piece = max(vocabulary, key=lambda piece: vocabulary[piece])
    with Refusing("no word embeddings are found in the model", "choose an encoder, such as BERT"):
        rows = model.get_input_embeddings().weight.shape[0]
    if not same:
        raise UserError(
            f"the checkpoint's 'tokenizer.json' gives other ids than the tokenizer that "
            f"transformers makes from 'tokenizer_config.json'; {ADVICE}"
        )
    if vocabulary[piece] >= rows:
        advice = COPY_IT
        if editable is not None:
            resize = command(RESIZE, editable, str(vocabulary[piece] + 1))
            advice = f"add the missing ones: run `{resize}`"
        raise UserError(
            f"the checkpoint's 'tokenizer.json' has the id {vocabulary[piece]} ({quoted(piece)}), "
            f"but the model has {rows} word embeddings; {advice}"
        )
    if not 0 <= model.config.pad_token_id < rows:
        raise UserError(
            f"the checkpoint's 'config.json' has pad_token_id {model.config.pad_token_id}, but "
            f"the model has {rows} word embeddings; {ADVICE}"
        )


def check_values(checkpoint: Path) -> None:
    """Read all weights once.

    Raises:
        UserError: if one is NaN, infinite or absurdly large, or not a floating-point number.
    """
    for path in weight_files(checkpoint):
        with damaged(path), safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 (not a mapping)
                values = file.get_tensor(name)
                if values.is_floating_point():
                    largest = float(values.float().abs().max()) if values.numel() else 0.0
                    if not largest < LARGEST:  # also NaN
                        wrong = f"values up to {largest:.1e}"
                        if not math.isfinite(largest):
                            wrong = "NaN or infinite values"
                        raise UserError(
                            f"the weight {quoted(name)} has {wrong}; download the checkpoint "
                            f"again, or choose another one"
                        )
                elif name.endswith(("weight", "bias")):
                    raise UserError(
                        f"the weight {quoted(name)} is {values.dtype}, not floating-point: it is "
                        f"quantized; choose another checkpoint"
                    )


def rewrite(checkpoint: Path, names: Mapping[str, str]) -> None:
    """Keep the weights that are keys of `names`, under its values, in one file."""
    tensors: dict[str, torch.Tensor] = {}
    paths = weight_files(checkpoint)
    for path in paths:
        with safe_open(path, framework="pt") as file:
            tensors |= {
                names[name]: file.get_tensor(name)
                for name in file.keys()  # noqa: SIM118 (not a mapping)
                if name in names
            }
    for path in [*paths, checkpoint / "model.safetensors.index.json"]:
        path.unlink(missing_ok=True)
    save_file(tensors, checkpoint / "model.safetensors", metadata={"format": "pt"})
