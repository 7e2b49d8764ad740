"""Which model a checkpoint is: a classifier of one label per text, never its code."""

import ast
import json
import shutil

import pytest
import torch
from helpers import ROOT
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM, BertForSequenceClassification

from yelp_stars.checkpoint.architecture import (
    declared_class,
    head_names,
    load_auto_tokenizer,
    load_config,
    lost_names,
    new_poolers,
)
from yelp_stars.pipeline.errors import UserError

HUGE = 10**12


@pytest.fixture
def checkpoint(tiny_checkpoint, tmp_path):
    """A copy of the checkpoint, to change at will."""
    return shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint")


def change(path, **values) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def error(checkpoint, **values) -> str:
    change(checkpoint / "config.json", **values)
    with pytest.raises(UserError) as caught:
        load_config(checkpoint, ["a", "b"])
    assert len(str(caught.value)) <= 500
    assert "\n" not in str(caught.value)
    return str(caught.value)


def calls_of(name: str) -> list[tuple[str, ast.Call]]:
    """The calls of a method in the stages and the library."""
    paths = [*ROOT.glob("stages/*.py"), *ROOT.glob("yelp_stars/**/*.py")]
    return [
        (f"{path.name} line {node.lineno}", node)
        for path in paths
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == name
    ]


@pytest.mark.parametrize("method", ["from_pretrained", "from_config"])
def test_a_checkpoints_code_is_refused_wherever_one_is_loaded(method):
    calls = calls_of(method)
    assert calls
    for where, call in calls:
        values = {keyword.arg: keyword.value for keyword in call.keywords}
        assert "trust_remote_code" in values, where
        assert ast.unparse(values["trust_remote_code"]) == "False", where


@pytest.mark.parametrize(
    "change_",
    [
        {"problem_type": "regression"},
        {"problem_type": "multi_label_classification"},
        {"problem_type": 5},
        {"id2label": {"0": "x"}, "label2id": {"x": 0}},
        {"num_labels": 9},
        {"return_dict": False},
        {"output_attentions": True, "output_hidden_states": True},
        {"attn_implementation": "someone/kernel"},
        {"_attn_implementation": "flash_attention_2"},
    ],
)
def test_the_config_is_of_a_classifier_whatever_it_was(checkpoint, change_):
    change(checkpoint / "config.json", **change_)
    config = load_config(checkpoint, ["bad", "good"])
    assert config.id2label == {0: "bad", 1: "good"}
    assert config.label2id == {"bad": 0, "good": 1}
    assert config.problem_type == "single_label_classification"
    assert (config.return_dict, config.output_attentions) == (True, False)
    assert config.output_hidden_states is False
    assert config._attn_implementation is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "nope"}, "the model_type 'nope', which transformers"),
        ({"model_type": None}, "the model_type None, which"),
        ({"model_type": ["bert"]}, "the model_type ['bert'], which"),
        ({"model_type": "vit"}, "transformers has no classifier of texts for a vit; choose an"),
        ({"model_type": "gpt2", "pad_token_id": None}, "this checkpoint has no padding token; ch"),
        ({"is_decoder": True}, "this checkpoint is a decoder; choose an encoder, such as BERT"),
        ({"hidden_size": "x"}, "is not valid (StrictDataclassFieldValidationError: Validation"),
        ({"pad_token_id": [1]}, "is not valid ("),
        ({"dtype": "foo"}, "is not valid ("),
        ({"id2label": [1]}, "is not valid ("),
        ({"id2label": {"x": 1}}, "is not valid ("),
        ({"num_labels": "x"}, "is not valid ("),
    ],
)
def test_a_config_that_is_not_of_a_classifier_is_one_line(checkpoint, values, message):
    assert message in error(checkpoint, **values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hidden_size": HUGE}, "'hidden_size' 1000000000000, above 100,000,000; correct it"),
        ({"num_hidden_layers": 10**9}, "'num_hidden_layers' 1000000000, above 500; correct it"),
        ({"num_labels": 10**9}, "'num_labels' 1000000000, above 500;"),
        ({"sizes": {"deep": [HUGE]}}, "'deep' 1000000000000, above"),
        ({"vocab_size": -HUGE}, "'vocab_size' -1000000000000, above"),
        ({"num_attention_heads": -1}, "'num_attention_heads' -1, below zero; correct it"),
        ({"hidden_size": -32}, "'hidden_size' -32, below zero; correct it"),
        ({"layer_norm_eps": float("nan")}, "'layer_norm_eps' nan, which is not finite; correct"),
        ({"hidden_dropout_prob": float("inf")}, "'hidden_dropout_prob' inf, which is not finite"),
    ],
)
def test_a_size_that_no_model_has_is_reported_before_it_is_used(checkpoint, values, message):
    assert message in error(checkpoint, **values)


def test_the_folders_name_does_not_decide_the_architecture(checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint, tmp_path / "roberta-bert")
    config = json.loads((folder / "config.json").read_text())
    del config["model_type"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="the model_type None"):
        load_config(folder, ["a", "b"])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("special_tokens_map.json", []),
        ("tokenizer_config.json", {"pad_token": {"x": 1}}),
        ("tokenizer_config.json", {"added_tokens_decoder": [1]}),
        ("tokenizer_config.json", {"added_tokens_decoder": {"x": 1}}),
        ("tokenizer_config.json", {"tokenizer_class": 5}),
        ("tokenizer.json", {}),
        ("tokenizer.json", []),
        ("tokenizer.json", {"model": {"type": "BPE"}}),
    ],
)
def test_a_damaged_tokenizer_file_is_one_line(checkpoint, name, content):
    (checkpoint / name).write_text(json.dumps(content))
    with pytest.raises(UserError) as caught:
        load_auto_tokenizer(checkpoint)
    assert str(caught.value).startswith("the checkpoint's tokenizer files are not valid (")
    assert str(caught.value).endswith("; correct it, or choose another checkpoint")


def test_the_tokenizer_is_transformers_own_without_truncation(checkpoint):
    found = load_auto_tokenizer(checkpoint, model_max_length=32)
    assert found.model_max_length == 32
    assert found.backend_tokenizer.truncation is None
    plain = AutoTokenizer.from_pretrained(checkpoint, trust_remote_code=False)
    assert found("the food was good")["input_ids"] == plain("the food was good")["input_ids"]


@pytest.fixture
def classifier():
    """A classifier without values, of one layer."""
    config = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2)
    with torch.device("meta"):
        return BertForSequenceClassification(config)


def info(missing=(), mismatched=()) -> dict[str, set]:
    """What from_pretrained reports."""
    return {"missing_keys": {*missing}, "mismatched_keys": {*mismatched}, "unexpected_keys": set()}


def test_only_the_head_may_be_new(classifier):
    head = {"classifier.weight", "classifier.bias"}
    assert head_names(classifier) == head
    assert lost_names(classifier, info(head)) == []
    lost = "bert.encoder.layer.0.output.dense.bias"
    assert lost_names(classifier, info({lost, *head})) == [lost]
    mismatched = (lost, (3,), (8,)), ("classifier.bias", (3,), (2,))
    assert lost_names(classifier, info((), mismatched)) == [lost]


@pytest.mark.parametrize(
    ("architectures", "may_be_new"),
    [
        (["BertForMaskedLM"], True),
        (["BertForTokenClassification"], True),
        (["BertModel"], False),
        (["BertForPreTraining"], False),
        (["RobertaForMaskedLM"], False),
        (["os"], False),
        (["NoSuchModel"], False),
        ([5], False),
        ([], False),
        (None, False),
    ],
)
def test_a_pooler_may_be_new_where_the_declared_architecture_has_none(
    classifier, architectures, may_be_new
):
    classifier.config.architectures = architectures
    pooler = {"bert.pooler.dense.weight", "bert.pooler.dense.bias"}
    assert new_poolers(classifier, info(pooler)) == (pooler if may_be_new else set())
    assert lost_names(classifier, info(pooler)) == ([] if may_be_new else sorted(pooler))


def test_the_declared_class_is_a_model_of_transformers(classifier):
    for name, expected in (("BertForMaskedLM", BertForMaskedLM), ("AutoModel", None), ("os", None)):
        classifier.config.architectures = [name]
        assert declared_class(classifier.config) is expected
