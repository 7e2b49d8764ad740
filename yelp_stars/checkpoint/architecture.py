"""Which model and which tokenizer a checkpoint is, as transformers loads them; never its code."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoConfig,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from yelp_stars.checkpoint.refusing import Refusing
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import quoted

# Keys whose numbers become modules, and the largest of them; the largest of any other key.
MODULES = re.compile(r"layer|depth|block|group|^num_(?!\w*(buckets|embeddings|positions|tokens))")
MOST_MODULES = 500
LARGEST = 10**8
# BERT's name of the parameter, and that of others.
ATTENTION_DROPOUTS = ("attention_probs_dropout_prob", "attention_dropout")
# Of every model, whatever its config.json says: logits under their name, and nothing else.
OUTPUTS = {"return_dict": True, "output_attentions": False, "output_hidden_states": False}
ADVICE = "correct it, or choose another checkpoint"


def be_quiet() -> None:
    """Hide from_pretrained's progress bar, and its report that the head is new."""
    logging.disable_progress_bar()
    logging.set_verbosity_error()


def load_config(checkpoint: Path, label_names: Sequence[str]) -> PreTrainedConfig:
    """The config of a classifier of one label per text, whatever the checkpoint was made for.

    Raises:
        UserError: if it is not valid, or its architecture is not supported.
    """
    be_quiet()
    with Refusing("the checkpoint's 'config.json' is not valid", ADVICE):
        # Without a model_type, transformers would take it from the name of the folder.
        values, _ = PreTrainedConfig.get_config_dict(checkpoint)
        check_numbers(values)
        model_type = values.get("model_type")
        if not isinstance(model_type, str) or model_type not in CONFIG_MAPPING:
            raise UserError(
                f"the checkpoint's 'config.json' has the model_type {quoted(model_type)}, which "
                f"transformers {transformers.__version__} does not know; {ADVICE}"
            )
        AutoConfig.from_pretrained(checkpoint, trust_remote_code=False)
        config = AutoConfig.from_pretrained(
            checkpoint,
            trust_remote_code=False,
            num_labels=len(label_names),
            id2label=dict(enumerate(label_names)),
            label2id={name: label for label, name in enumerate(label_names)},
            problem_type="single_label_classification",
            **OUTPUTS,
        )
        config._attn_implementation = None  # config.json may name one to download
        supported = type(config) in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING
    if not supported:
        raise UserError(
            f"transformers has no classifier of texts for a {model_type}; choose an encoder, such "
            f"as BERT"
        )
    if config.pad_token_id is None:
        raise UserError("this checkpoint has no padding token; choose an encoder, such as BERT")
    if getattr(config, "is_decoder", False):
        raise UserError("this checkpoint is a decoder; choose an encoder, such as BERT")
    if not any(hasattr(config, name) for name in ATTENTION_DROPOUTS):
        raise UserError(
            f"the config of this {config.model_type} has none of {', '.join(ATTENTION_DROPOUTS)}; "
            f"choose an encoder, such as BERT"
        )
    return config


def check_numbers(config: Mapping[str, Any]) -> None:
    """Report a number that no model has, before transformers makes that many layers.

    Raises:
        UserError: with its key.
    """
    for key, number in numbers(config):
        most = MOST_MODULES if MODULES.search(key) else LARGEST
        if isinstance(number, int) and abs(number) > most:
            problem = f"above {most:,}"
        elif number < 0 and (MODULES.search(key) or "size" in key):
            problem = "below zero"
        elif not math.isfinite(number):
            problem = "which is not finite"
        else:
            continue
        raise UserError(
            f"the checkpoint's 'config.json' has {quoted(key)} {quoted(number)}, {problem}; "
            f"{ADVICE}"
        )


def numbers(value: Any, key: str = "") -> Iterator[tuple[str, int | float]]:
    """The numbers in a JSON value, each with the nearest key."""
    if isinstance(value, (int, float)):
        yield key, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from numbers(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers(inner, key)


def classifier_class(config: PreTrainedConfig) -> type[PreTrainedModel]:
    """The class of transformers for a config that `load_config` returned."""
    found: type[PreTrainedModel] = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(config)]
    return found


def load_auto_tokenizer(checkpoint: Path, **values: Any) -> PreTrainedTokenizerBase:
    """The tokenizer as plain `from_pretrained` loads it, without truncation and padding.

    Raises:
        UserError: if one of its files is damaged.
    """
    be_quiet()
    with Refusing("the checkpoint's tokenizer files are not valid", ADVICE):
        tokenizer = AutoTokenizer.from_pretrained(checkpoint, trust_remote_code=False, **values)
        # all-MiniLM's file truncates and pads to 128 whatever its caller asks for.
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
    return tokenizer


def head_names(model: PreTrainedModel) -> set[str]:
    """The names of a classifier's weights that are not of its encoder."""
    encoder = f"{model.base_model_prefix}."
    return {name for name in model.state_dict() if not name.startswith(encoder)}


def lost_names(model: PreTrainedModel, info: Mapping[str, Any]) -> list[str]:
    """The weights of the encoder that the file should have given; `info` is from_pretrained's.

    A pooler may be new where the architecture that the config declares has none.
    """
    lost = {*info["missing_keys"], *(name for name, _, _ in info["mismatched_keys"])}
    lost -= head_names(model)
    poolers = new_poolers(model, info)
    return sorted(lost - poolers)


def new_poolers(model: PreTrainedModel, info: Mapping[str, Any]) -> set[str]:
    """The weights of a pooler that the checkpoint has not, and need not have.

    The architecture that its config declares has none, such as BertForMaskedLM.
    """
    poolers = {name for name in info["missing_keys"] if is_of_pooler(name)}
    declared = declared_class(model.config)
    if not poolers or declared is None or declared.config_class is not type(model.config):
        return set()
    with torch.device("meta"):
        expected = declared(model.config).state_dict()
    return set() if any(map(is_of_pooler, expected)) else poolers


def is_of_pooler(name: str) -> bool:
    return "pooler" in name.split(".")


def declared_class(config: PreTrainedConfig) -> type[PreTrainedModel] | None:
    """The class that saved the checkpoint, according to its config."""
    names = config.architectures
    name = str(names[0]) if isinstance(names, list) and names else ""
    found = getattr(transformers, name, None)
    is_model = isinstance(found, type) and issubclass(found, PreTrainedModel)
    return found if is_model else None
