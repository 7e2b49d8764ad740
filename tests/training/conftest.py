"""Fixtures of several test files of this folder."""

from typing import Any

import pytest


@pytest.fixture
def deep_model() -> Any:
    """A classifier with three encoder layers."""
    from transformers import AutoModelForSequenceClassification, BertConfig

    config = BertConfig(
        vocab_size=50,
        hidden_size=8,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=8,
        num_labels=5,
    )
    return AutoModelForSequenceClassification.from_config(config)
