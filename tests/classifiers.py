"""Classifiers of each architecture, with random weights."""

import shutil
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModelForSequenceClassification, set_seed

NAMES = ["bad", "ok", "good"]
TEXTS = [
    "The soup was cold.",
    "Never again! The waiter forgot us twice, and the bread was dry.",
    "Good",
    "We will come back. " * 60,
]
SIZES = {
    "vocab_size": 600, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 64, "max_position_embeddings": 66, "initializer_range": 0.3,
    "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "embedding_size": 32,
}  # fmt: skip
# Sizes that only some architectures have, or that have another name there.
OTHERS: dict[str, dict[str, Any]] = {
    "distilbert": {"n_layers": 2, "n_heads": 2, "dim": 32, "hidden_dim": 64},
    "longformer": {"attention_window": 8},
    "luke": {"entity_vocab_size": 8},
    "mobilebert": {"intra_bottleneck_size": 16, "true_hidden_size": 16},
    "rembert": {"input_embedding_size": 16, "output_embedding_size": 16},
    "roc_bert": {"shape_vocab_size": 32},
    "xmod": {"languages": ["en_XX"], "default_language": "en_XX"},
}
COMMON = ["bert", "distilbert", "mpnet", "roberta"]


def build(folder: Path, checkpoint: Path, model_type: str = "bert", **values: Any) -> Path:
    """A classifier with random weights, large enough that its probabilities differ."""
    set_seed(0)
    sizes = SIZES | OTHERS.get(model_type, {}) | {"id2label": dict(enumerate(NAMES))} | values
    config = AutoConfig.for_model(model_type, **sizes)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(checkpoint / name, folder / name)
    return folder
