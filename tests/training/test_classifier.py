"""The classifier: a checkpoint in fp32 with a new head, frozen layers."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    MPNetConfig,
    MPNetForSequenceClassification,
    PreTrainedModel,
)

from yelp_stars.pipeline.errors import Damaged, UserError
from yelp_stars.training.classifier import (
    POOLER_SCALE,
    add_mean_pooling,
    freeze,
    load_pretrained,
)


def load(pretrained: Path, names: list[str], seed: int = 0, **values) -> PreTrainedModel:
    values = {"attention_dropout": 0.0, "attention": None, **values}
    return load_pretrained(pretrained, names, seed=seed, **values)


@pytest.fixture
def pretrained(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint, to change at will."""
    return shutil.copytree(tiny_checkpoint, tmp_path / "pretrained")


def test_a_checkpoint_in_half_precision_is_loaded_in_fp32(pretrained):
    AutoModel.from_pretrained(pretrained, dtype=torch.bfloat16).save_pretrained(pretrained)
    assert AutoModel.from_pretrained(pretrained, dtype="auto").dtype == torch.bfloat16
    assert load(pretrained, ["a", "b"]).dtype == torch.float32


def test_the_seed_draws_the_head_and_the_checkpoint_gives_the_rest(pretrained):
    first, again, other = (load(pretrained, list("abcde"), seed) for seed in (1, 1, 2))
    theirs = AutoModel.from_pretrained(pretrained).state_dict()
    for name, weights in first.state_dict().items():
        assert torch.equal(weights, again.state_dict()[name])
        if name.startswith("bert."):
            assert torch.equal(weights, theirs[name.removeprefix("bert.")])
    assert not torch.allclose(first.classifier.weight, other.classifier.weight)


def test_labels_and_dropout_are_those_of_the_params_whatever_the_checkpoint_had(pretrained):
    config = json.loads((pretrained / "config.json").read_text())
    config |= {"problem_type": "regression", "id2label": {"0": "x"}, "label2id": {"x": 0}}
    (pretrained / "config.json").write_text(json.dumps(config))
    model = load(pretrained, ["a", "b", "c"], attention_dropout=0.25)
    assert model.config.problem_type == "single_label_classification"
    assert model.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert model.config.label2id == {"a": 0, "b": 1, "c": 2}
    assert model.bert.encoder.layer[0].attention.self.dropout.p == 0.25
    ids = torch.tensor([[2, 7, 3]])
    assert model(input_ids=ids, labels=torch.tensor([2])).loss.isfinite()


def test_weights_that_are_not_in_the_file_are_reported_not_drawn(pretrained):
    path = pretrained / "model.safetensors"
    half = dict(sorted(load_file(path).items())[::2])
    save_file(half, path, metadata={"format": "pt"})
    with pytest.raises(Damaged, match="lacks 'bert"):
        load(pretrained, ["a", "b"])


def test_a_damaged_tokenizer_is_reported_before_the_training(pretrained):
    (pretrained / "tokenizer.json").write_text("[]")
    with pytest.raises(UserError, match="the checkpoint's tokenizer files are not valid"):
        load(pretrained, ["a", "b"])


@pytest.mark.parametrize(
    ("embeddings", "layers", "prefixes"),
    [
        (False, 0, ()),
        (True, 1, ("bert.embeddings.", "bert.encoder.layer.0.")),
        (True, 3, ("bert.embeddings.", "bert.encoder.layer.")),
        (False, 1, ("bert.encoder.layer.0.",)),
    ],
)
def test_the_embeddings_and_the_lowest_layers_are_frozen(deep_model, embeddings, layers, prefixes):
    freeze(deep_model, embeddings=embeddings, layers=layers)
    frozen = {name for name, weights in deep_model.named_parameters() if not weights.requires_grad}
    every = {name for name, _ in deep_model.named_parameters()}
    assert frozen == {name for name in every if name.startswith(prefixes)}


def test_more_frozen_layers_than_the_checkpoint_has_are_reported(deep_model):
    with pytest.raises(UserError) as raised:
        freeze(deep_model, embeddings=True, layers=4)
    assert raised.value.setting == "train.frozen_layers"
    assert "3 or less" in raised.value.advice


def test_the_pooler_reads_the_normalized_mean_of_all_tokens(tiny_checkpoint, tmp_path):
    model = AutoModelForSequenceClassification.from_pretrained(tiny_checkpoint, num_labels=3).eval()
    layers = model.config.num_hidden_layers
    add_mean_pooling(model)
    model.save_pretrained(tmp_path)
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert plain.config.num_hidden_layers == layers + 1
    ids = torch.tensor([[2, 7, 9, 3], [2, 8, 3, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    hidden = AutoModel.from_pretrained(tiny_checkpoint).eval()(ids, mask).last_hidden_state
    means = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    means = torch.nn.functional.layer_norm(means, means.shape[-1:])
    pooled = plain.bert(ids, mask).pooler_output
    similarity = torch.nn.functional.cosine_similarity(pooled, torch.tanh(POOLER_SCALE * means))
    assert (similarity > 0.999).all(), similarity


def test_mpnet_reads_the_same_mean_but_for_its_position_bias():
    torch.manual_seed(0)
    config = MPNetConfig(
        vocab_size=50, hidden_size=16, num_attention_heads=2, intermediate_size=32,
        num_hidden_layers=2, num_labels=3,
    )  # fmt: skip
    model = MPNetForSequenceClassification(config).eval()
    ids = torch.tensor([[2, 7, 9, 3], [2, 8, 3, 1]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    torch.nn.init.zeros_(model.mpnet.encoder.relative_attention_bias.weight)
    hidden = model.mpnet(ids, mask).last_hidden_state
    means = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    means = torch.nn.functional.layer_norm(means, means.shape[-1:])
    add_mean_pooling(model)
    first = model.mpnet(ids, mask).last_hidden_state[:, 0]
    assert (torch.nn.functional.cosine_similarity(first, means) > 0.999).all()
    assert torch.allclose(model.classifier.dense(first), POOLER_SCALE * first, atol=1e-6)


def test_another_architecture_keeps_its_own_summary(tiny_checkpoint):
    encoder = AutoModel.from_pretrained(tiny_checkpoint)
    layers = encoder.config.num_hidden_layers
    add_mean_pooling(encoder)
    assert encoder.config.num_hidden_layers == layers
