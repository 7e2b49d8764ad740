"""The weights of a checkpoint: all that a model needs, finite, without a head for labels."""

import functools
import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import FUZZ_EXAMPLES, change_json, result_or_line, thorough
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    ModernBertConfig,
    ModernBertForMaskedLM,
    PreTrainedModel,
)

from yelp_stars.checkpoint.copying import copy_text_files, weight_files
from yelp_stars.checkpoint.tokenizer import load_tokenizer
from yelp_stars.checkpoint.weights import add_weights
from yelp_stars.pipeline.errors import UserError
from yelp_stars.training.classifier import load_pretrained

WEIGHTS = "model.safetensors"
SIZES = {
    "vocab_size": 600,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}

ARCHITECTURES = [
    "albert", "deberta-v2", "distilbert", "electra", "longformer",
    "mobilebert", "modernbert", "mpnet", "nomic_bert", "rembert", "roberta", "roformer",
]  # fmt: skip


def put_weights(checkpoint: Path, weights: dict[str, torch.Tensor]) -> None:
    save_file(weights, checkpoint / WEIGHTS, metadata={"format": "pt"})


def prefixed(checkpoint: Path, prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: value for name, value in load_file(checkpoint / WEIGHTS).items()}


def save_as(checkpoint: Path, model: type[PreTrainedModel], **values: Any) -> None:
    """Replace the model of a checkpoint by another class of BERT."""
    model(BertConfig(**SIZES, **values)).save_pretrained(checkpoint)


def complete(checkpoint: Path, seed: int | None = None) -> tuple[Path, list[str]]:
    """Copy a checkpoint as the stage does; return the copy and the printed lines."""
    target = checkpoint.with_name("copy")
    shutil.rmtree(target, ignore_errors=True)
    copy_text_files(checkpoint, target)
    files = weight_files(checkpoint) if seed is None else []
    return target, add_weights(files, target, seed)


def refused(checkpoint: Path) -> UserError:
    with pytest.raises(UserError) as caught:
        complete(checkpoint)
    return caught.value


def classifier(checkpoint: Path) -> PreTrainedModel:
    return load_pretrained(
        checkpoint, ["a", "b", "c"], seed=0, attention_dropout=0.1, attention=None
    )


def assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    assert not [name for name in first if not torch.equal(first[name], second[name])]


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_weights_without_a_head_are_copied_as_they_are(checkpoint, prefix):
    put_weights(checkpoint, prefixed(checkpoint, prefix))
    target, lines = complete(checkpoint)
    assert lines == []
    for path in checkpoint.iterdir():
        assert (target / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("prefix", ["_orig_mod.module.model.bert.", "0.auto_model."])
def test_a_foreign_prefix_is_named_with_the_line_that_strips_it(checkpoint, prefix):
    expected = load_file(checkpoint / WEIGHTS)
    put_weights(checkpoint, prefixed(checkpoint, prefix))
    error = refused(checkpoint)
    assert error.problem.endswith(f"their names have the prefix '{prefix}'")
    line = error.advice.split("`")[1]
    exec(  # as a reader of the message does
        line, {"path": checkpoint / WEIGHTS, "load_file": load_file, "save_file": save_file}
    )
    target, _ = complete(checkpoint)
    assert_same(load_file(target / WEIGHTS), expected)


def drop(pattern: str):
    return lambda weights: {name: w for name, w in weights.items() if pattern not in name}


@pytest.mark.parametrize(
    ("kept", "config", "message"),
    [
        (lambda _: {}, {}, "and 19 more, the file has nothing"),
        (drop("embeddings"), {}, "the model expects 'bert.embeddings.LayerNorm.bias', "),
        (drop("query.bias"), {}, "the model expects 'bert.encoder.layer.0.attention.self.que"),
        (dict, {"num_hidden_layers": 2}, "the model expects 'bert.encoder.layer.1.attention"),
        (dict, {"num_hidden_layers": 0}, "the file has 'encoder.layer.0.attention.output.L"),
        (dict, {"vocab_size": 700}, "has the shape [600, 32], not [700, 32]"),
        (dict, {"hidden_size": 10**12}, "no model can be made from the checkpoint's 'config.json'"),
        (dict, {"model_type": "albert"}, "the model expects 'albert.encoder.albert_layer"),
    ],
)
def test_weights_of_another_model_are_reported(checkpoint, kept, config, message):
    put_weights(checkpoint, kept(load_file(checkpoint / WEIGHTS)))
    change_json(checkpoint / "config.json", **config)
    assert message in refused(checkpoint).problem


def test_a_missing_pooler_is_printed(checkpoint):
    save_as(checkpoint, BertForMaskedLM)
    target, lines = complete(checkpoint)
    assert lines == ["the checkpoint has no pooler: it will be new"]
    assert (target / WEIGHTS).read_bytes() == (checkpoint / WEIGHTS).read_bytes()
    classifier(target)


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (BertForSequenceClassification, {"num_labels": 1}),
        (BertForSequenceClassification, {"num_labels": 3, "problem_type": "regression"}),
        (BertForTokenClassification, {"num_labels": 9}),
    ],
)
def test_the_head_of_a_classifier_is_left_out(checkpoint, model, values):
    save_as(checkpoint, model, **values)
    theirs = load_file(checkpoint / WEIGHTS)
    target, lines = complete(checkpoint)
    assert "the checkpoint's own head is left out: 'classifier.bias', 'classifier.weight'" in lines
    ours = load_file(target / WEIGHTS)
    assert theirs.keys() - ours.keys() == {"classifier.bias", "classifier.weight"}
    trained = classifier(target)
    assert trained.num_labels == 3
    assert trained.config.problem_type == "single_label_classification"
    assert not torch.equal(trained.classifier.weight[:1], theirs["classifier.weight"][:1])


def test_a_layer_between_encoder_and_labels_is_kept_from_pretraining(checkpoint):
    config = ModernBertConfig(**SIZES, pad_token_id=0, bos_token_id=2, eos_token_id=3)
    ModernBertForMaskedLM(config).save_pretrained(checkpoint)
    target, lines = complete(checkpoint)
    assert lines == []
    theirs = load_file(checkpoint / WEIGHTS)["head.dense.weight"]
    assert torch.equal(classifier(target).head.dense.weight, theirs)


@pytest.mark.slow
@pytest.mark.parametrize(
    "auto",
    [AutoModelForMaskedLM, *thorough(AutoModel, AutoModelForSequenceClassification)],
)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_encoders_of_transformers_are_accepted_as_any_task_saves_them(
    checkpoint, architecture, auto
):
    names = {"embedding_size": 32, "n_layers": 1, "n_heads": 2, "dim": 32, "hidden_dim": 64}
    special = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    config = AutoConfig.for_model(architecture, **SIZES, **names, **special)
    saved = auto.from_config(config, trust_remote_code=False)
    saved.save_pretrained(checkpoint)
    target, lines = complete(checkpoint)
    model = classifier(target)
    own = auto is AutoModelForSequenceClassification
    assert any("own head is left out" in line for line in lines) == own
    ids = torch.full((2, 8), 7)
    computed = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=ids[:, 0] % 3)
    assert computed.loss.isfinite()
    theirs, ours = saved.base_model.state_dict(), model.base_model.state_dict()
    shared = theirs.keys() & ours.keys()
    assert_same({name: ours[name] for name in shared}, {name: theirs[name] for name in shared})


def test_random_weights_follow_their_seed(checkpoint):
    first, again, other = (
        (complete(checkpoint, seed)[0] / WEIGHTS).read_bytes() for seed in (1, 1, 2)
    )
    assert first == again != other


def test_shards_become_one_file_and_a_missing_one_is_reported(checkpoint, tiny_checkpoint):
    model = BertModel.from_pretrained(checkpoint, trust_remote_code=False)
    (checkpoint / WEIGHTS).unlink()
    model.save_pretrained(checkpoint, max_shard_size="20KB")
    shards = sorted(checkpoint.glob("model-0*.safetensors"))
    assert len(shards) > 2
    target, lines = complete(checkpoint)
    assert lines == []
    assert [path.name for path in target.glob("model*")] == [WEIGHTS]
    assert_same(load_file(target / WEIGHTS), load_file(tiny_checkpoint / WEIGHTS))
    shards[0].unlink()
    assert "the model expects 'bert.embeddings" in refused(checkpoint).problem


@pytest.mark.parametrize("content", [b"version https://git-lfs", b"", b"\0" * 100])
def test_damaged_weights_are_reported_with_the_usual_cause(checkpoint, content):
    (checkpoint / WEIGHTS).write_bytes(content)
    error = refused(checkpoint)
    assert f"'{checkpoint / WEIGHTS}' is not a safetensors file" in error.problem
    assert "`git lfs pull`" in error.advice


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (torch.float32, float("nan")),
        (torch.float16, float("-inf")),
        (torch.bfloat16, -1e30),
        (torch.float64, 1e11),
    ],
)
def test_a_weight_that_is_not_finite_or_absurdly_large_is_reported(checkpoint, dtype, value):
    weights = {name: w.to(dtype) for name, w in load_file(checkpoint / WEIGHTS).items()}
    put_weights(checkpoint, weights)
    complete(checkpoint)
    weights["pooler.dense.weight"][3, 5] = value
    put_weights(checkpoint, weights)
    assert "the weight 'pooler.dense.weight' has NaN, infinite" in refused(checkpoint).problem


def test_quantized_weights_are_reported(checkpoint):
    weights = load_file(checkpoint / WEIGHTS)
    weights["pooler.dense.weight"] = weights["pooler.dense.weight"].to(torch.int8)
    put_weights(checkpoint, weights)
    assert "'pooler.dense.weight' is torch.int8, not floating-point" in refused(checkpoint).problem


def test_a_token_without_an_embedding_is_reported(checkpoint):
    tokens = json.loads((checkpoint / "tokenizer.json").read_text())["added_tokens"]
    new = {**tokens[0], "id": 600, "content": "<new>"}
    change_json(checkpoint / "tokenizer.json", added_tokens=[*tokens, new])
    assert "'tokenizer.json' has the id 600 ('<new>')" in refused(checkpoint).problem


@pytest.mark.parametrize("index", [-1, 600])
def test_a_padding_token_without_an_embedding_is_reported(checkpoint, index):
    change_json(checkpoint / "config.json", pad_token_id=index)
    assert refused(checkpoint).advice == "correct it, or choose another checkpoint"


VALUES = [
    None, True, 0, 1, -1, 7, 599, 600, 1000, -(10**9), 0.5, 1e30, "", "x", "\x1b[31m\n", "0" * 5000,
    "bert", "gpt2", "/etc/passwd", "../x", [], [1], ["x"], {}, {"a": 1}, {"x": {"y": []}},
]  # fmt: skip
KEYS = [
    "_attn_implementation", "add_cross_attention", "added_tokens_decoder", "architectures",
    "chunk_size_feed_forward", "classifier_dropout", "dtype", "extra_special_tokens", "id2label",
    "layer_types", "num_labels", "problem_type", "pruned_heads", "rope_parameters", "sub_configs",
    "text_config", "tie_encoder_decoder", "tokenizer_class", "tokenizer_file", "vocab_file",
]  # fmt: skip
FILES = [
    "config.json", "config.json", "tokenizer_config.json", "tokenizer.json",
    "special_tokens_map.json", "added_tokens.json", WEIGHTS,
]  # fmt: skip


def mutate(tree: dict[str, Any], draw: random.Random) -> Any:
    """Replace, remove or add a value of a JSON file."""
    inner: Any = tree
    key = draw.choice([*list(tree)[:60], draw.choice(KEYS)])
    while draw.random() < 0.7 and isinstance(inner.get(key), dict) and inner[key]:
        inner = inner[key]
        key = draw.choice(list(inner)[:60])
    inner.pop(key, None)
    if draw.random() < 0.8:
        inner[key] = draw.choice(VALUES)
    return tree


def damage(content: bytes, draw: random.Random) -> bytes:
    """Change a byte of a safetensors file, most often of its header, and cut some files."""
    header = 8 + int.from_bytes(content[:8], "little")
    place = draw.randrange(draw.choice([8, header, len(content)]))
    damaged = content[:place] + draw.randbytes(1) + content[place + 1 :]
    return damaged[: draw.randrange(len(damaged))] if draw.random() < 0.2 else damaged


@pytest.mark.slow
@settings(max_examples=FUZZ_EXAMPLES // 5)
@given(seed=st.integers(0, 2**32))
def test_a_hostile_checkpoint_is_one_line_or_can_be_trained(
    tiny_checkpoint, tmp_path_factory, seed
):
    draw = random.Random(seed)
    checkpoint = tmp_path_factory.getbasetemp() / "hostile" / "checkpoint"
    shutil.rmtree(checkpoint.parent, ignore_errors=True)
    shutil.copytree(tiny_checkpoint, checkpoint)
    path = checkpoint / draw.choice(FILES)
    if path.name == WEIGHTS:
        path.write_bytes(damage(path.read_bytes(), draw))
    else:
        tree = json.loads(path.read_text()) if path.is_file() else {"pad_token": "[PAD]"}
        path.write_text(json.dumps(mutate(tree, draw)))
    result = result_or_line(functools.partial(complete, checkpoint))
    if isinstance(result, str):
        return
    target, _ = result
    model = classifier(target)
    tokenizer, limit = load_tokenizer(target)
    ids = tokenizer.encode("the food was good").ids[:limit]
    computed = model(input_ids=torch.tensor([ids, ids]), labels=torch.tensor([0, 2]))
    assert computed.logits.shape == (2, 3)
    assert computed.loss.isfinite()
