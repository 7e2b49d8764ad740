"""Which model a checkpoint is: a classifier of one label per text, never its code."""

import ast
import json

import pytest
from helpers import ROOT, change_json
from transformers import AutoTokenizer

from yelp_stars.checkpoint.architecture import load_auto_tokenizer, load_config
from yelp_stars.pipeline.errors import Damaged, UserError


def test_a_checkpoints_code_is_refused_wherever_one_is_loaded():
    calls = [
        ast.unparse(node)
        for path in [*ROOT.glob("stages/*.py"), *ROOT.glob("yelp_stars/**/*.py")]
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith((".from_pretrained", ".from_config"))
    ]
    assert len(calls) > 4
    assert [call for call in calls if "trust_remote_code=False" not in call] == []


@pytest.mark.parametrize(
    "values",
    [
        {"problem_type": "multi_label_classification"},
        {"id2label": {"0": "x"}, "label2id": {"x": 0}},
        {"num_labels": 9, "return_dict": False, "output_hidden_states": True},
        {"attn_implementation": "someone/kernel"},
        {"_attn_implementation": "flash_attention_2"},
    ],
)
def test_the_config_is_of_a_classifier_whatever_it_was(checkpoint, values):
    change_json(checkpoint / "config.json", **values)
    config = load_config(checkpoint, ["bad", "good"])
    assert config.id2label == {0: "bad", 1: "good"}
    assert config.label2id == {"bad": 0, "good": 1}
    assert config.problem_type == "single_label_classification"
    assert (config.return_dict, config.output_hidden_states) == (True, False)
    assert config._attn_implementation is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "nope"}, "the model_type 'nope', which is not supported"),
        ({"model_type": ["bert"]}, "the model_type ['bert'], which"),
        ({"model_type": "vit"}, "the model_type 'vit', which is not supported"),
        ({"pad_token_id": None}, "this checkpoint has no padding token"),
        ({"model_type": "gpt2"}, "the model_type 'gpt2', which is not supported"),
        ({"is_decoder": True}, "this checkpoint is a decoder"),
        ({"hidden_size": "x"}, "is not valid (StrictDataclassFieldValidationError: Validation"),
        ({"pad_token_id": [1]}, "is not valid ("),
    ],
)
def test_a_config_that_is_not_of_a_classifier_is_one_line(checkpoint, values, message):
    change_json(checkpoint / "config.json", **values)
    with pytest.raises(UserError) as caught:
        load_config(checkpoint, ["a", "b"])
    assert message in caught.value.problem
    assert caught.value.advice.startswith(("choose", "correct"))


def test_the_folders_name_does_not_decide_the_architecture(checkpoint):
    folder = checkpoint.rename(checkpoint.with_name("roberta-bert"))
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
        ("tokenizer_config.json", {"added_tokens_decoder": {"x": 1}}),
        ("tokenizer.json", {"model": {"type": "BPE"}}),
    ],
)
def test_a_damaged_tokenizer_file_is_one_line(checkpoint, name, content):
    (checkpoint / name).write_text(json.dumps(content))
    with pytest.raises(Damaged) as caught:
        load_auto_tokenizer(checkpoint)
    assert caught.value.problem.startswith("the checkpoint's tokenizer files are not valid (")


def test_the_tokenizer_is_transformers_own_without_truncation(checkpoint):
    loaded = load_auto_tokenizer(checkpoint, model_max_length=32)
    assert loaded.model_max_length == 32
    assert loaded.backend_tokenizer.truncation is None
    plain = AutoTokenizer.from_pretrained(checkpoint, trust_remote_code=False)
    assert loaded("the food was good")["input_ids"] == plain("the food was good")["input_ids"]
