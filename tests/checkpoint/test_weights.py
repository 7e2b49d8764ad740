"""What `pretrained` accepts can be trained: every weight of the model, and its tokenizer."""

import copy
import json
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import FUZZ_EXAMPLES, TOKENIZER_FILES
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
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    ModernBertConfig,
    ModernBertForMaskedLM,
    PreTrainedModel,
)

from yelp_stars.checkpoint.copying import copy_checkpoint
from yelp_stars.checkpoint.tokenizer import load_tokenizer
from yelp_stars.checkpoint.weights import complete_checkpoint
from yelp_stars.pipeline.errors import UserError
from yelp_stars.training.classifier import load_classifier

WEIGHTS = "model.safetensors"
NOT_THOSE = "the checkpoint's weights are not those of the "
CORRECT = "; correct it, or choose another checkpoint"
SIZES = {
    "vocab_size": 600,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}


@pytest.fixture
def checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint, to change at will."""
    return shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint")


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def put_weights(checkpoint: Path, weights: dict[str, torch.Tensor]) -> None:
    save_file(weights, checkpoint / WEIGHTS, metadata={"format": "pt"})


def prefixed(checkpoint: Path, prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: value for name, value in load_file(checkpoint / WEIGHTS).items()}


def save_as(checkpoint: Path, model: type[PreTrainedModel], **values: Any) -> None:
    """Replace the model of a checkpoint by another class of BERT."""
    model(BertConfig(**SIZES, **values)).save_pretrained(checkpoint)


def complete(checkpoint: Path, seed: int | None = None) -> tuple[Path, list[str]]:
    """Copy and complete a checkpoint as the stage does: the copy, and what is printed."""
    copy = checkpoint.with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    copy_checkpoint(checkpoint, copy, weights=seed is None)
    return copy, complete_checkpoint(copy, checkpoint, seed)


def error(checkpoint: Path) -> str:
    with pytest.raises(UserError) as caught:
        complete(checkpoint)
    message = str(caught.value)
    assert len(message) <= 500
    assert message.isprintable()
    return message


def classifier(checkpoint: Path) -> PreTrainedModel:
    return load_classifier(
        checkpoint, ["a", "b", "c"], seed=0, attention_dropout=0.1, attention=None
    )


def encoder(checkpoint: Path) -> dict[str, torch.Tensor]:
    weights = classifier(checkpoint).state_dict()
    return {name: value for name, value in weights.items() if not name.startswith("classifier.")}


def assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    assert not [name for name in first if not torch.equal(first[name], second[name])]


# --- Names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_a_checkpoint_without_a_head_is_copied_byte_by_byte(checkpoint, prefix):
    put_weights(checkpoint, prefixed(checkpoint, prefix))
    copy, lines = complete(checkpoint)
    assert lines == []
    for path in checkpoint.iterdir():
        assert (copy / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    "prefix",
    [
        "module.",
        "_orig_mod.",
        "0.auto_model.",
        "auto_model.",
        "model.",
        "model.bert.",
        "module.model.",
        "module.bert.",
        "_orig_mod.module.model.bert.",
        "base_model.model.bert.",
    ],
)
def test_the_prefix_of_a_wrapper_is_removed(checkpoint, prefix):
    expected = encoder(checkpoint)
    put_weights(checkpoint, prefixed(checkpoint, prefix))
    copy, lines = complete(checkpoint)
    assert len(lines) == 1
    assert lines[0].startswith(f"weights renamed as in the model: '{prefix}")
    assert_same(encoder(copy), expected)
    plain, found = AutoModelForSequenceClassification.from_pretrained(
        copy, output_loading_info=True, trust_remote_code=False
    )
    assert found["missing_keys"] == {"classifier.weight", "classifier.bias"}
    assert not found["unexpected_keys"]
    assert plain.num_labels == 2


@pytest.mark.parametrize("prefix", ["foo.", "query.bert.", "encoder.", "model." * 5, "x.module."])
def test_another_prefix_is_reported_with_the_names_of_both_sides(checkpoint, prefix):
    put_weights(checkpoint, prefixed(checkpoint, prefix))
    message = error(checkpoint)
    assert message.startswith(
        f"{NOT_THOSE}bert in its 'config.json': the model expects "
        f"'bert.embeddings.LayerNorm.bias', 'bert.embeddings.LayerNorm.weight' and "
    )
    assert f"the file has '{prefix}embeddings" in message
    assert message.endswith(CORRECT)


def test_a_prefix_stays_if_not_everything_fits_without_it(checkpoint):
    weights = prefixed(checkpoint, "module.")
    del weights["module.encoder.layer.0.output.dense.bias"]
    put_weights(checkpoint, weights)
    assert "the file has 'module.embeddings" in error(checkpoint)


def test_two_names_that_would_become_one_are_reported(checkpoint):
    weights = prefixed(checkpoint, "module.")
    weights["module.module.embeddings.LayerNorm.bias"] = torch.zeros(32)
    weights["embeddings.LayerNorm.bias"] = torch.zeros(32)
    put_weights(checkpoint, weights)
    assert NOT_THOSE in error(checkpoint)


def test_the_old_names_of_norms_are_transformers_own(checkpoint):
    expected = encoder(checkpoint)
    weights = load_file(checkpoint / WEIGHTS)
    old = {name.replace("LayerNorm.weight", "LayerNorm.gamma"): w for name, w in weights.items()}
    put_weights(
        checkpoint, {name.replace("LayerNorm.bias", "LayerNorm.beta"): w for name, w in old.items()}
    )
    copy, lines = complete(checkpoint)
    assert lines == []
    assert_same(encoder(copy), expected)


# --- Which weights are there ----------------------------------------------------------------------


def drop(pattern: str):
    return lambda weights: {name: w for name, w in weights.items() if pattern not in name}


@pytest.mark.parametrize(
    ("kept", "config", "message"),
    [
        (lambda _: {}, {}, "and 21 more, the file has nothing; correct"),
        (lambda w: dict(list(w.items())[::2]), {}, "the model expects 'bert.embeddings.LayerNorm"),
        (drop("embeddings"), {}, "the model expects 'bert.embeddings.LayerNorm.bias', "),
        (drop("pooler"), {}, "the model expects 'bert.pooler.dense.bias', 'bert.pooler.dense.wei"),
        (drop("query.bias"), {}, "the model expects 'bert.encoder.layer.0.attention.self.query"),
        (dict, {"num_hidden_layers": 2}, "the model expects 'bert.encoder.layer.1.attention.out"),
        (dict, {"num_hidden_layers": 0}, "': the file has 'encoder.layer.0.attention.output.La"),
        (dict, {"vocab_size": 700}, "has the shape [600, 32], not [700, 32]; correct it"),
        (dict, {"hidden_size": 64}, "has the shape [32], not [64]; correct it"),
        (dict, {"max_position_embeddings": 512}, "has the shape [64, 32], not [512, 32]; correct"),
        (dict, {"intermediate_size": 8}, "has the shape [64], not [8]; correct it"),
        (dict, {"model_type": "gpt2"}, "those of the gpt2 in its 'config.json': the model expects"),
        (dict, {"model_type": "distilbert"}, "the model expects 'distilbert.transformer.layer.0."),
        (dict, {"model_type": "albert"}, "the model expects 'albert.encoder.albert_layer_groups"),
        (dict, {"model_type": "electra"}, "the model expects 'electra.embeddings_project.bias'"),
    ],
)  # fmt: skip
def test_weights_of_another_model_are_reported(checkpoint, kept, config, message):
    put_weights(checkpoint, kept(load_file(checkpoint / WEIGHTS)))
    change(checkpoint / "config.json", **config)
    assert message in error(checkpoint)


@pytest.mark.parametrize("model_type", ["roberta", "xlm-roberta", "camembert", "data2vec-text"])
def test_a_model_with_the_same_names_is_recognized_by_what_the_config_declares(
    checkpoint, model_type
):
    change(checkpoint / "config.json", model_type=model_type)
    assert f"has the model_type '{model_type}', but architectures names 'BertModel'" in error(
        checkpoint
    )


def test_a_missing_pooler_is_printed_where_the_architecture_has_none(checkpoint):
    save_as(checkpoint, BertForMaskedLM)
    copy, lines = complete(checkpoint)
    assert lines == ["no pooler, as usual for BertForMaskedLM: it will be new"]
    assert (copy / WEIGHTS).read_bytes() == (checkpoint / WEIGHTS).read_bytes()
    change(checkpoint / "config.json", architectures=["BertForPreTraining"])
    assert "the model expects 'bert.pooler.dense.bias'" in error(checkpoint)


def test_a_head_for_pretraining_is_ignored_as_it_always_was(checkpoint):
    save_as(checkpoint, BertForPreTraining)
    copy, lines = complete(checkpoint)
    assert lines == []
    assert (copy / WEIGHTS).read_bytes() == (checkpoint / WEIGHTS).read_bytes()


# --- Its own head ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "values", "prefix"),
    [
        (BertForSequenceClassification, {"num_labels": 3}, ""),
        (BertForSequenceClassification, {"num_labels": 2}, ""),
        (BertForSequenceClassification, {"num_labels": 2}, "module."),
        (BertForSequenceClassification, {"num_labels": 1}, ""),
        (BertForSequenceClassification, {"num_labels": 3, "problem_type": "regression"}, ""),
        (
            BertForSequenceClassification,
            {"num_labels": 4, "problem_type": "multi_label_classification"},
            "",
        ),
        (BertForTokenClassification, {"num_labels": 9}, ""),
    ],
)
def test_the_head_of_a_classifier_is_left_out(checkpoint, model, values, prefix):
    save_as(checkpoint, model, **values)
    pooler = {
        "bert.pooler.dense.weight": torch.zeros(32, 32),
        "bert.pooler.dense.bias": torch.zeros(32),
    }
    theirs = {**pooler, **load_file(checkpoint / WEIGHTS)}
    put_weights(checkpoint, {prefix + name: value for name, value in theirs.items()})
    copy, lines = complete(checkpoint)
    assert "the checkpoint's own head is left out: 'classifier.bias', 'classifier.weight'" in lines
    ours = load_file(copy / WEIGHTS)
    assert set(theirs) - set(ours) == {"classifier.bias", "classifier.weight"}
    trained = classifier(copy)
    assert trained.num_labels == 3
    assert trained.config.problem_type == "single_label_classification"
    assert not torch.equal(trained.classifier.weight[:1], theirs["classifier.weight"][:1])
    ids = torch.tensor([[2, 7, 3]])
    assert trained(input_ids=ids, labels=torch.tensor([2])).loss.isfinite()


def test_the_head_of_another_task_stays_where_it_is_not_in_the_way(checkpoint):
    save_as(checkpoint, BertForQuestionAnswering)
    copy, lines = complete(checkpoint)
    assert lines == ["no pooler, as usual for BertForQuestionAnswering: it will be new"]
    assert "qa_outputs.weight" in load_file(copy / WEIGHTS)


def test_a_layer_between_encoder_and_labels_is_kept_from_pretraining(checkpoint):
    config = ModernBertConfig(**SIZES, pad_token_id=0, bos_token_id=2, eos_token_id=3)
    ModernBertForMaskedLM(config).save_pretrained(checkpoint)
    copy, lines = complete(checkpoint)
    assert lines == []
    theirs = load_file(checkpoint / WEIGHTS)["head.dense.weight"]
    assert torch.equal(classifier(copy).head.dense.weight, theirs)


# --- Architectures --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "auto", [AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification]
)
@pytest.mark.parametrize(
    "architecture",
    [
        "albert",
        "big_bird",
        "camembert",
        "convbert",
        "deberta",
        "deberta-v2",
        "distilbert",
        "electra",
        "ernie",
        "longformer",
        "mobilebert",
        "modernbert",
        "mpnet",
        "nomic_bert",
        "rembert",
        "roberta",
        "roformer",
        "xlm-roberta",
    ],
)
def test_encoders_of_transformers_are_accepted_as_any_task_saves_them(
    checkpoint, architecture, auto
):
    names = {"embedding_size": 32, "n_layers": 1, "n_heads": 2, "dim": 32, "hidden_dim": 64}
    special = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    config = AutoConfig.for_model(architecture, **SIZES, **names, **special)
    saved = auto.from_config(config, trust_remote_code=False)
    saved.save_pretrained(checkpoint)
    copy, lines = complete(checkpoint)
    model = classifier(copy)
    own = auto is AutoModelForSequenceClassification
    assert any("own head is left out" in line for line in lines) == own
    ids = torch.full((2, 8), 7)
    computed = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=ids[:, 0] % 3)
    assert computed.loss.isfinite()
    theirs, ours = saved.base_model.state_dict(), model.base_model.state_dict()
    assert_same(
        {name: ours[name] for name in theirs if name in ours},
        {name: theirs[name] for name in theirs if name in ours},
    )


def test_a_model_without_word_embeddings_is_reported(checkpoint):
    config = AutoConfig.for_model("canine", **SIZES, pad_token_id=0)
    AutoModel.from_config(config, trust_remote_code=False).save_pretrained(checkpoint)
    message = error(checkpoint)
    assert message.startswith("no word embeddings are found in the model (NotImplementedError: ")
    assert message.endswith("; choose an encoder, such as BERT")


# --- Bounds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [100, 900, 5_000, 200_000])
@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "tokenizer.json"])
def test_nesting_is_one_line_or_harmless(checkpoint, name, depth):
    text = (checkpoint / name).read_text().rstrip().removesuffix("}")
    (checkpoint / name).write_text(f'{text}, "deep": {"[" * depth}{"]" * depth}}}')
    refused = ""
    try:
        copy, _ = complete(checkpoint)
        classifier(copy)
    except UserError as caught:
        refused = str(caught)
    assert len(refused) <= 500
    assert refused or depth < 1_000


@pytest.mark.slow
@pytest.mark.parametrize(
    "value", [[0] * 300_000, "x" * 900_000, {str(number): number for number in range(50_000)}]
)
def test_a_large_config_is_one_line_or_harmless(checkpoint, value):
    change(checkpoint / "config.json", large=value)
    copy, _ = complete(checkpoint)
    assert classifier(copy).num_labels == 3


# --- Shards ---------------------------------------------------------------------------------------


@pytest.fixture
def sharded(checkpoint: Path) -> Path:
    model = BertModel.from_pretrained(checkpoint, trust_remote_code=False)
    (checkpoint / WEIGHTS).unlink()
    model.save_pretrained(checkpoint, max_shard_size="20KB")
    assert len(list(checkpoint.glob("model-0*.safetensors"))) > 2
    return checkpoint


def test_sharded_weights_are_those_of_one_file(sharded, tiny_checkpoint):
    copy, lines = complete(sharded)
    assert lines == []
    assert_same(encoder(copy), encoder(tiny_checkpoint))


def test_shards_with_a_prefix_become_one_file(sharded, tiny_checkpoint):
    for path in sharded.glob("model-0*.safetensors"):
        save_file({f"module.{n}": w for n, w in load_file(path).items()}, path, {"format": "pt"})
    copy, lines = complete(sharded)
    assert len(lines) == 1
    assert {path.name for path in copy.glob("*model*")} == {WEIGHTS}
    assert_same(encoder(copy), encoder(tiny_checkpoint))


@pytest.mark.parametrize(
    ("weight_map", "message"),
    [
        (None, "'model.safetensors.index.json' names no files; download it again"),
        ({}, "names no files"),
        ({"a": 5}, "has no file 5, which its 'model.safetensors.index.json' names"),
        ({"a": "model-9.safetensors"}, "has no file 'model-9.safetensors', which its"),
        ({"a": "../other/model.safetensors"}, "has no file '../other/model.safetensors', which"),
        ({"a": "\x1b[31m"}, "has no file '\\x1b[31m', which"),
    ],
)
def test_an_index_that_names_no_file_of_the_checkpoint_is_reported(sharded, weight_map, message):
    change(sharded / "model.safetensors.index.json", weight_map=weight_map)
    assert message in error(sharded)


def test_a_missing_shard_is_reported(sharded):
    first = min(sharded.glob("model-0*.safetensors"))
    first.unlink()
    assert f"has no file '{first.name}', which its" in error(sharded)


# --- Values and the tokenizer ---------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_weight_that_is_not_finite_is_reported(checkpoint, dtype, value):
    weights = {name: w.to(dtype) for name, w in load_file(checkpoint / WEIGHTS).items()}
    put_weights(checkpoint, weights)
    complete(checkpoint)
    weights["pooler.dense.weight"][3, 5] = value
    put_weights(checkpoint, weights)
    assert error(checkpoint) == (
        "the weight 'pooler.dense.weight' has NaN or infinite values; download the checkpoint "
        "again, or choose another one"
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_weight_with_a_flipped_exponent_is_reported(checkpoint, dtype):
    weights = {name: w.to(dtype) for name, w in load_file(checkpoint / WEIGHTS).items()}
    weights["pooler.dense.weight"][3, 5] = -1e30
    put_weights(checkpoint, weights)
    assert error(checkpoint).startswith("the weight 'pooler.dense.weight' has values up to 1.0e+30")


def test_quantized_weights_are_reported(checkpoint):
    weights = load_file(checkpoint / WEIGHTS)
    weights["pooler.dense.weight"] = weights["pooler.dense.weight"].to(torch.int8)
    put_weights(checkpoint, weights)
    assert "'pooler.dense.weight' is torch.int8, not floating-point: it is quan" in error(
        checkpoint
    )


def add_token(checkpoint: Path, index: int) -> None:
    tokenizer = json.loads((checkpoint / "tokenizer.json").read_text())
    token = {**tokenizer["added_tokens"][0], "id": index, "content": "<new>"}
    change(checkpoint / "tokenizer.json", added_tokens=[*tokenizer["added_tokens"], token])


@pytest.mark.slow
def test_a_token_without_an_embedding_is_reported_with_a_command_that_adds_it(checkpoint):
    add_token(checkpoint, 600)
    message = error(checkpoint)
    assert message.startswith(
        "the checkpoint's 'tokenizer.json' has the id 600 ('<new>'), but the model has 600 word "
        "embeddings; add the missing ones: run `python -c "
    )
    subprocess.run(["bash", "-c", message.split("`")[1]], check=True)
    copy, _ = complete(checkpoint)
    assert classifier(copy).get_input_embeddings().weight.shape == (601, 32)


@pytest.mark.parametrize("index", [5000, -1, 600])
def test_a_padding_token_without_an_embedding_is_reported(checkpoint, index):
    change(checkpoint / "config.json", pad_token_id=index)
    assert error(checkpoint).endswith(CORRECT)


def test_a_tokenizer_of_another_kind_is_reported(checkpoint):
    change(checkpoint / "tokenizer_config.json", tokenizer_class="RobertaTokenizer")
    assert error(checkpoint) == (
        "the checkpoint's 'tokenizer.json' gives other ids than the tokenizer that transformers "
        f"makes from 'tokenizer_config.json'{CORRECT}"
    )


def test_random_weights_follow_their_seed(checkpoint):
    found = [(complete(checkpoint, seed)[0] / WEIGHTS).read_bytes() for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]


# --- Fuzz -----------------------------------------------------------------------------------------

VALUES = [
    None, True, False, 0, 1, -1, 2, 7, 64, 599, 600, 1000, 10**7, 10**12, -(10**9), 0.5, 1e30,
    float("nan"), float("inf"), "", "x", "\x1b[31m\n", "0" * 5000, "bert", "gpt2", "roberta",
    "/etc/passwd", "../x", [], [1], [[]], ["x"], {}, {"a": 1}, {"x": {"y": []}},
]  # fmt: skip
KEYS = [
    "_attn_implementation", "_name_or_path", "add_cross_attention", "add_prefix_space",
    "added_tokens_decoder", "additional_special_tokens", "architectures", "attn_implementation",
    "auto_map", "backend", "chat_template", "chunk_size_feed_forward", "classifier_dropout",
    "configuration_files", "distributed_config", "do_lower_case", "dtype", "extra_special_tokens",
    "fusion_config", "id2label", "is_decoder", "label2id", "layer_types", "model_input_names",
    "num_labels", "output_hidden_states", "padding_side", "per_layer_config", "problem_type",
    "pruned_heads", "quantization_config", "return_dict", "rope_parameters", "sub_configs",
    "text_config", "tie_encoder_decoder", "tokenizer_class", "tokenizer_file", "torch_dtype",
    "transformers_weights", "vocab_file",
]  # fmt: skip
FILES = [
    "config.json", "config.json", "tokenizer_config.json", "tokenizer.json",
    "special_tokens_map.json", "added_tokens.json", WEIGHTS,
]  # fmt: skip


def locations(value: Any, keys: tuple = ()) -> list[tuple]:
    """The keys that lead to each value in a JSON value, without most of a vocabulary."""
    found = [keys]
    if isinstance(value, dict):
        for key in list(value)[:60]:
            found += locations(value[key], (*keys, key))
    elif isinstance(value, list):
        for index in range(min(len(value), 5)):
            found += locations(value[index], (*keys, index))
    return found


def mutate(tree: dict[str, Any], draw: random.Random) -> Any:
    """Replace, remove or add some values of a JSON file."""
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        keys = draw.choice(locations(tree))
        if draw.random() < 0.35:
            tree[draw.choice(KEYS)] = copy.deepcopy(draw.choice(VALUES))
        elif not keys:
            return copy.deepcopy(draw.choice([tree, *VALUES]))
        else:
            inner: Any = tree
            for key in keys[:-1]:
                inner = inner[key]
            if draw.random() < 0.2:
                del inner[keys[-1]]
            else:
                inner[keys[-1]] = copy.deepcopy(draw.choice(VALUES))
    return tree


def damage(content: bytes, draw: random.Random, within: int) -> bytes:
    """Change some bytes of a file's beginning, and cut some files."""
    damaged = bytearray(content)
    for _ in range(draw.choice([1, 2, 8])):
        damaged[draw.randrange(min(len(damaged), draw.choice([8, within, len(damaged)])))] = (
            draw.randrange(256)
        )
    return bytes(damaged[: draw.randrange(len(damaged))] if draw.random() < 0.2 else damaged)


@pytest.mark.slow
@settings(max_examples=FUZZ_EXAMPLES)
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
        content = path.read_bytes()
        header = 8 + int.from_bytes(content[:8], "little")
        path.write_bytes(damage(content, draw, within=header))
    else:
        tree = json.loads(path.read_text()) if path.is_file() else {"pad_token": "[PAD]"}
        content = json.dumps(mutate(tree, draw)).encode()
        path.write_bytes(damage(content, draw, len(content)) if draw.random() < 0.1 else content)
    refused, copied = "", checkpoint
    try:
        copied, _ = complete(checkpoint)
    except UserError as caught:
        refused = str(caught)
    if refused:
        assert len(refused) <= 500
        assert refused.isprintable()
        return
    model = classifier(copied)
    tokenizer, most = load_tokenizer(*(copied / name for name in TOKENIZER_FILES))
    ids = tokenizer.encode("the food was good").ids[:most]
    computed = model(input_ids=torch.tensor([ids, ids]), labels=torch.tensor([0, 2]))
    assert computed.logits.shape == (2, 3)
    assert computed.loss.isfinite()
    model.save_pretrained(copied)
