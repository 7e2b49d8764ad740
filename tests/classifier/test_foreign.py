"""Classifiers from elsewhere: the numbers of transformers' pipeline, or one line."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from classifiers import COMMON, NAMES, TEXTS, build
from helpers import change_json, thorough
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from yelp_stars import load_classifier
from yelp_stars.checkpoint.architecture import ENCODERS
from yelp_stars.pipeline.errors import UserError

pytestmark = pytest.mark.slow


def theirs(folder: Path, texts: list[str]) -> np.ndarray:
    """Probabilities of transformers' pipeline for each text alone, (texts, labels)."""
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    classify = pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
    found = [classify([text], truncation=True, top_k=None)[0] for text in texts]
    return np.array(
        [[next(x["score"] for x in row if x["label"] == name) for name in NAMES] for row in found]
    )


def ours(folder: Path, texts: list[str]) -> np.ndarray:
    classify = load_classifier(folder, precision="fp32")
    assert classify.label_names == NAMES
    alone = np.concatenate([classify.scores([text]).probabilities for text in texts])
    together = classify.scores(texts).probabilities
    assert np.abs(alone - together).max() < 1e-5
    return together


@pytest.mark.parametrize("model_type", [*COMMON, *thorough(*sorted(ENCODERS - {*COMMON}))])
def test_each_architecture_has_the_probabilities_of_transformers(
    tiny_checkpoint, tmp_path, model_type
):
    folder = build(tmp_path / "model", tiny_checkpoint, model_type)
    expected = theirs(folder, TEXTS)
    assert np.abs(ours(folder, TEXTS) - expected).max() < 1e-5
    assert np.ptp(expected, axis=0).max() > 1e-3  # they depend on the text


@pytest.mark.parametrize("model_type", [*COMMON, *thorough(*sorted(ENCODERS - {*COMMON}))])
def test_each_architecture_computes_in_bf16_on_a_cpu(
    tiny_checkpoint, tmp_path, monkeypatch, model_type
):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    # The norms of MobileBERT let random weights of the usual size explode.
    size = {"initializer_range": 0.05} if model_type == "mobilebert" else {}
    folder = build(tmp_path / "model", tiny_checkpoint, model_type, **size)
    single, half = (
        load_classifier(folder, precision=precision).scores(TEXTS).probabilities
        for precision in ("fp32", "bf16")
    )
    assert 0 < np.abs(single - half).max() < 0.05
    ordered = np.sort(single, axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > 0.1
    assert (single.argmax(axis=1) == half.argmax(axis=1))[clear].all()


def half(folder: Path, dtype: torch.dtype) -> None:
    weights = load_file(folder / "model.safetensors")
    weights = {name: weight.to(dtype) for name, weight in weights.items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    change_json(folder / "config.json", dtype=str(dtype).removeprefix("torch."))


def shard(folder: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="40KB")
    assert len([*folder.glob("model-*.safetensors")]) > 1


def edit_tokenizer(**values: Any) -> Any:
    return lambda folder: change_json(folder / "tokenizer.json", **values)


CUT = {"direction": "Left", "max_length": 8, "strategy": "LongestFirst", "stride": 0}
PADDING = {
    "strategy": "BatchLongest", "direction": "Left", "pad_to_multiple_of": None, "pad_id": 0,
    "pad_type_id": 0, "pad_token": "[PAD]",
}  # fmt: skip


def lower_case(folder: Path) -> None:
    """Say so in tokenizer_config.json only, beside the vocabulary of a slow tokenizer."""
    words = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    (folder / "vocab.txt").write_text("\n".join(sorted(words, key=words.__getitem__)) + "\n")
    change_json(
        folder / "tokenizer_config.json", do_lower_case=True, tokenizer_class="BertTokenizer"
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: half(folder, torch.float16),
        lambda folder: half(folder, torch.bfloat16),
        shard,
        lower_case,
        lambda folder: change_json(folder / "tokenizer_config.json", truncation_side="left"),
        edit_tokenizer(truncation=CUT),
        lambda folder: change_json(folder / "tokenizer_config.json", model_max_length=16),
        lambda folder: change_json(folder / "config.json", problem_type=None),
        lambda folder: change_json(folder / "config.json", function_to_apply="softmax"),
        lambda folder: change_json(folder / "config.json", output_attentions=True),
    ],
    ids=[
        "fp16", "bf16", "shards", "lower-case", "cut-left", "cut-left-2", "short",
        "no-problem-type", "softmax", "attentions",
    ],
)  # fmt: skip
def test_a_classifier_saved_in_another_way_has_the_same_numbers(tiny_checkpoint, tmp_path, change):
    folder = build(tmp_path / "model", tiny_checkpoint)
    change(folder)
    assert np.abs(ours(folder, TEXTS) - theirs(folder, TEXTS)).max() < 1e-5


def rename(folder: Path, name: str, to: str) -> None:
    (folder / to).parent.mkdir(exist_ok=True)
    (folder / name).rename(folder / to)


def put_nan(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"][1] = float("nan")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def add_a_word(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["soup"])
    tokenizer.save_pretrained(folder)


def type_ids(folder: Path) -> None:
    path = folder / "tokenizer.json"
    post = json.loads(path.read_text())["post_processor"]
    for piece in post["single"]:
        next(iter(piece.values()))["type_id"] = 1
    change_json(path, post_processor=post)


def point_outside(folder: Path) -> None:
    shard(folder)
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())["weight_map"]
    change_json(path, weight_map={**index, "classifier.bias": "../other.safetensors"})


def config(**values: Any) -> Any:
    return lambda folder: change_json(folder / "config.json", **values)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (shutil.rmtree, "no folder '"),
        (lambda f: (shutil.rmtree(f), f.write_text("x")), "is a file, not a folder"),
        (lambda f: (f / "tokenizer.json").unlink(), "has no tokenizer.json"),
        (lambda f: rename(f, "tokenizer.json", "vocab.txt"), "has no tokenizer.json"),
        (lambda f: rename(f, "model.safetensors", "pytorch_model.bin"), "no model.safetensors"),
        (lambda f: rename(f, "model.safetensors", "model.fp16.safetensors"), "no model.safet"),
        (lambda f: rename(f, "model.safetensors", "onnx/model.onnx"), "has no model.safetensors"),
        (lambda f: (f / "adapter_config.json").touch(), "is an adapter without its model"),
        (config(id2label={"0": "score"}), "has one output: it is a regression"),
        (config(problem_type="regression"), "is for the problem_type 'regression'"),
        (config(problem_type="multi_label_classification"), "for the problem_type 'multi_label_cl"),
        (config(function_to_apply="none"), "has the function_to_apply 'none', not 'softmax'"),
        (config(id2label={"1": "bad", "2": "ok", "3": "good"}), "with the ids [1, 2, 3]"),
        (config(id2label={"0": "bad", "1": "ok", "3": "good"}), "with the ids [0, 1, 3]"),
        (config(id2label={"0": "bad", "1": "ok", "2": "bad"}), "has two labels 'bad'"),
        (config(id2label={"0": "caf\u00e9", "1": "ok", "2": "cafe\u0301"}), "has two labels 'caf"),
        (config(id2label={"0": "a", "1": "ok", "2": "a "}), "has two labels 'a'"),
        (config(id2label={"0": "a", "1": "ok", "2": ""}), "has a label without a name"),
        (config(id2label={"0": "a", "1": "ok", "2": None}), "has a label without a name"),
        (config(id2label={"0": "a", "1": "ok", "2": "\ud800"}), "has a label without a name"),
        (point_outside, "has an index of weights that names other files"),
        (type_ids, "gives a text other token types than 0"),
        (edit_tokenizer(padding=PADDING), "pads texts on the left"),
        (
            edit_tokenizer(
                post_processor=None,
                normalizer={"type": "Replace", "pattern": {"String": "a"}, "content": ""},
            ),
            "the tokenizer of '",
        ),
        (config(id2label={"0": "bad", "1": "ok"}), "(2 labels)"),
        (config(id2label=None), "(2 labels)"),
        (config(id2label=["bad"]), "'config.json' is not valid"),
        (config(num_labels=2), "(2 labels)"),
        (config(model_type="xlnet"), "has the model_type 'xlnet', which is not supported"),
        (config(model_type="bart"), "has the model_type 'bart', which is not supported"),
        (config(model_type="gpt2"), "has the model_type 'gpt2', which is not supported"),
        (config(model_type="convbert"), "has the model_type 'convbert', which is not supported"),
        (config(model_type=None), "has the model_type None, which is not supported"),
        (config(is_decoder=True), "this checkpoint is a decoder"),
        (config(pad_token_id=None), "this checkpoint has no padding token"),
        (config(auto_map={"AutoModel": "x.Y"}), "has 'auto_map': the checkpoint needs its own"),
        (config(quantization_config={"bits": 4}), "has 'quantization_config': quantized"),
        (config(num_hidden_layers=3), "lacks 'bert.encoder.layer.2."),
        (put_nan, "the model's logits are not finite"),
        (add_a_word, "has the id 600 ('soup'), but the model has 600 word embeddings"),
        (
            lambda f: change_json(f / "tokenizer_config.json", padding_side="left"),
            "pads texts on the left",
        ),
    ],
)
def test_what_is_no_classifier_of_one_label_per_text_is_one_line(
    tiny_checkpoint, tmp_path, change, problem
):
    folder = build(tmp_path / "model", tiny_checkpoint)
    change(folder)
    with pytest.raises(UserError) as caught:
        load_classifier(folder, precision="fp32")(["The soup was cold."])
    assert problem in str(caught.value)
    assert caught.value.advice
    assert "\n" not in str(caught.value)
