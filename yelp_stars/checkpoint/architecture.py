"""Determine the model and tokenizer of a checkpoint as transformers does; never run its code."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoConfig,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from yelp_stars.pipeline.errors import Missing, UserError
from yelp_stars.pipeline.files import refusing
from yelp_stars.pipeline.text import quoted

# BERT's name of the parameter, and that of others.
ATTENTION_DROPOUTS = ("attention_probs_dropout_prob", "attention_dropout")
# Of every model, whatever its config.json says: logits under their name, and nothing else.
OUTPUTS = {"return_dict": True, "output_attentions": False, "output_hidden_states": False}
ENCODER = "choose an encoder, such as BERT"
# Those whose probabilities are the same alone, in a padded batch and in transformers' pipeline: its
# test compares each. Left out: decoders, which read the last token; ConvBERT, FNet, YOSO, XLM and
# I-BERT, which read the padding; BigBird, which draws what a long text attends to.
ENCODERS = {
    "albert", "bert", "camembert", "data2vec-text", "deberta", "deberta-v2", "distilbert",
    "electra", "ernie", "esm", "eurobert", "gte", "jina_embeddings_v3",
    "longformer", "luke", "megatron-bert", "mobilebert", "modernbert", "mpnet", "nomic_bert",
    "rembert", "roberta", "roberta-prelayernorm", "roc_bert", "roformer", "squeezebert",
    "xlm-roberta", "xlm-roberta-xl", "xmod",
}  # fmt: skip
CORRECT = "correct it, or choose another checkpoint"


def be_quiet() -> None:
    """Hide from_pretrained's progress bar, and its report that the head is new."""
    logging.disable_progress_bar()
    logging.set_verbosity_error()


def check_folder(folder: Path) -> None:
    """Refuse a folder that is missing: transformers would ask the Hub for its name."""
    if not folder.is_dir():
        raise Missing(f"no folder {str(folder)!r}", advice="run `dvc repro` or `dvc pull`")


def load_config(checkpoint: Path, label_names: Sequence[str]) -> PreTrainedConfig:
    """Load the config as a classifier's of one label per text, whatever the checkpoint is for."""
    return read_config(
        checkpoint,
        num_labels=len(label_names),
        id2label=dict(enumerate(label_names)),
        label2id={name: label for label, name in enumerate(label_names)},
        problem_type="single_label_classification",
    )


def read_config(checkpoint: Path, **values: Any) -> PreTrainedConfig:
    """Load the config of an encoder that is in `ENCODERS`, with `values` instead of its own."""
    be_quiet()
    check_folder(checkpoint)
    with refusing("the checkpoint's 'config.json' is not valid", CORRECT):
        # Without a model_type, transformers would take it from the name of the folder.
        own, _ = PreTrainedConfig.get_config_dict(checkpoint)
        model_type = own.get("model_type")
        if not isinstance(model_type, str) or model_type not in ENCODERS:
            raise UserError(
                f"the checkpoint's 'config.json' has the model_type {quoted(model_type)}, which is "
                "not supported",
                advice=f"{ENCODER}: docs/own-data.md lists them",
            )
        config = AutoConfig.from_pretrained(
            checkpoint, trust_remote_code=False, **OUTPUTS, **values
        )
        config._attn_implementation = None  # config.json may name one to download
    if config.pad_token_id is None:
        raise UserError("this checkpoint has no padding token", advice=ENCODER)
    if getattr(config, "is_decoder", False):
        raise UserError("this checkpoint is a decoder", advice=ENCODER)
    return config


def classifier_class(config: PreTrainedConfig) -> type[PreTrainedModel]:
    """Return the class of transformers for a config that `load_config` returned."""
    return MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(config)]


def load_auto_tokenizer(checkpoint: Path, **values: Any) -> PreTrainedTokenizerBase:
    """Load the tokenizer as plain `from_pretrained` does, without truncation and padding."""
    be_quiet()
    check_folder(checkpoint)
    with refusing("the checkpoint's tokenizer files are not valid", CORRECT):
        tokenizer = AutoTokenizer.from_pretrained(checkpoint, trust_remote_code=False, **values)
        # all-MiniLM's file truncates and pads to 128 whatever its caller asks for.
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
    return tokenizer


def head_names(model: PreTrainedModel) -> set[str]:
    """Return the names of a classifier's weights that are not of its encoder."""
    encoder = f"{model.base_model_prefix}."
    return {name for name in model.state_dict() if not name.startswith(encoder)}


def lost_names(model: PreTrainedModel, info: Mapping[str, Any]) -> list[str]:
    """Return the weights of the encoder that the file should have given and has not.

    `info` is what from_pretrained reports. A pooler may be missing: many classes, such as
    BertForMaskedLM, have none.
    """
    lost = {*info["missing_keys"], *(name for name, _, _ in info["mismatched_keys"])}
    return sorted(lost - head_names(model) - missing_pooler(info))


def missing_pooler(info: Mapping[str, Any]) -> set[str]:
    """Return the names of a pooler's weights that the file has not."""
    return {name for name in info["missing_keys"] if "pooler" in name.split(".")}
