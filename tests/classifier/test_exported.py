"""Exported models: the numbers of their originals, and nothing of anybody's file is obeyed."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from classifiers import NAMES, TEXTS, build
from helpers import change_json, run, thorough
from onnx import TensorProto, helper, numpy_helper

from yelp_stars import load_classifier
from yelp_stars.classifier.transformer import Transformer
from yelp_stars.pipeline.errors import UserError

pytestmark = pytest.mark.slow
TRIED = [
    "albert", "bert", "deberta-v2", "distilbert", "electra", "modernbert", "roberta", "xlm-roberta",
]  # fmt: skip
CONFIG = {"id2label": dict(enumerate(NAMES)), "pad_token_id": 0, "max_position_embeddings": 64}


@pytest.mark.parametrize("model_type", thorough("mpnet", *TRIED))
def test_each_architecture_has_the_logits_of_its_original(tiny_checkpoint, tmp_path, model_type):
    folder = build(tmp_path / "model", tiny_checkpoint, model_type)
    change_json(folder / "tokenizer_config.json", truncation_side="left")
    original = load_classifier(folder, precision="fp32")
    expected = original.scores(TEXTS)
    exported = shutil.copytree(folder, tmp_path / "exported")
    (exported / "model.safetensors").unlink()
    Transformer(folder, "fp32", None).write_onnx(exported / "model.onnx")
    classify = load_classifier(exported)
    found = classify.scores(TEXTS)
    assert np.abs(found.logits - expected.logits).max() < 1e-4
    assert (found.truncated == expected.truncated).all()
    assert (classify.label_names, classify.cut) == (original.label_names, original.cut)
    assert classify.scores([]).logits.shape == (0, 3)
    alone = np.concatenate([classify.scores([text]).logits for text in TEXTS])
    assert np.abs(alone - found.logits).max() < 1e-4


# --- A file of anybody's --------------------------------------------------------------------------


def tensor(array: Any, name: str) -> Any:
    return numpy_helper.from_array(np.asarray(array), name)


def graph(**changes: Any) -> Any:
    """A classifier by a bag of embeddings: 600 tokens, as many logits as there are `NAMES`."""
    rng = np.random.default_rng(0)
    embeddings = tensor(rng.normal(size=(600, 8)).astype(np.float32), "embeddings")
    head = tensor(rng.normal(size=(8, len(NAMES))).astype(np.float32), "head")
    nodes = [
        helper.make_node("Gather", ["embeddings", "input_ids"], ["each"]),
        helper.make_node("Cast", ["attention_mask"], ["weights"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["weights", "last"], ["column"]),
        helper.make_node("Mul", ["each", "column"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "tokens"], ["bag"], keepdims=0),
        helper.make_node("MatMul", ["bag", "head"], ["logits"]),
    ]
    sizes = ["texts", "tokens"]
    parts = {
        "nodes": nodes,
        "inputs": {"input_ids": sizes, "attention_mask": sizes},
        "input_type": TensorProto.INT64,
        "output_type": TensorProto.FLOAT,
        "outputs": ["texts", len(NAMES)],
        "weights": [embeddings, head, tensor([-1], "last"), tensor([1], "tokens")],
        **changes,
    }
    made = helper.make_graph(
        parts["nodes"],
        "bag",
        [
            helper.make_tensor_value_info(name, parts["input_type"], shape)
            for name, shape in parts["inputs"].items()
        ],
        [helper.make_tensor_value_info("logits", parts["output_type"], parts["outputs"])],
        parts["weights"],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.example", 1)]
    return helper.make_model(made, opset_imports=opsets, ir_version=10)


def outside(location: str, name: str = "embeddings", **more: str) -> Any:
    """The same graph with one of its weights in another file."""
    model = graph()
    (weight,) = (each for each in model.graph.initializer if each.name == name)
    size = len(weight.raw_data)
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "length": str(size), **more}.items():
        weight.external_data.add(key=key, value=value)
    return model


def in_a_branch(location: str) -> Any:
    """The same in a graph inside of an operator."""
    hidden = outside(location, "head").graph.initializer[1]
    made = helper.make_tensor_value_info("made", TensorProto.FLOAT, [8, len(NAMES)])
    branch = helper.make_graph(
        [helper.make_node("Constant", [], ["made"], value=hidden)], "branch", [], [made]
    )
    model = graph()
    del model.graph.initializer[1]
    choose = helper.make_node("If", ["yes"], ["head"], then_branch=branch, else_branch=branch)
    model.graph.node.insert(0, choose)
    model.graph.initializer.append(tensor(True, "yes"))
    return model


def write(folder: Path, checkpoint: Path, model: Any) -> Path:
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(checkpoint / name, folder / name)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder


@pytest.mark.parametrize(("side", "truncation"), [("right", "head"), ("left", "tail")])
def test_a_graph_of_anybodys_is_computed(tokenizer_files, tmp_path, side, truncation):
    model = graph()
    folder = write(tmp_path / "model", tokenizer_files, model)
    change_json(folder / "tokenizer_config.json", truncation_side=side)
    classify = load_classifier(folder)
    embeddings, head = map(numpy_helper.to_array, model.graph.initializer[:2])
    expected = [embeddings[ids].sum(axis=0) @ head for ids in classify.encode(TEXTS).ids]
    assert np.abs(classify.scores(TEXTS).logits - np.array(expected)).max() < 1e-3
    assert classify.cut[1:] == (truncation, False)


def as_own_format(folder: Path) -> None:
    """ONNX Runtime's own format, which other parsers of it read."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "model.ort")
    onnxruntime.InferenceSession(folder / "model.onnx", options, ["CPUExecutionProvider"])
    (folder / "model.ort").rename(folder / "model.onnx")


def rewrite(**changes: Any) -> Any:
    return lambda folder: (folder / "model.onnx").write_bytes(graph(**changes).SerializeToString())


def put(model: Any) -> Any:
    return lambda folder: (folder / "model.onnx").write_bytes(model.SerializeToString())


def config(**values: Any) -> Any:
    return lambda folder: change_json(folder / "config.json", **values)


ELSEWHERE = "keeps weights in another file"
SIZES = ["texts", "tokens"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (put(outside("/etc/passwd")), ELSEWHERE),
        (put(outside("../secret")), ELSEWHERE),
        (put(outside("secret")), ELSEWHERE),  # beside the model
        (put(outside("*/_ORT_MEM_ADDR_/*", offset="4096")), ELSEWHERE),
        (put(in_a_branch("../secret")), ELSEWHERE),
        (as_own_format, "cannot be loaded"),
        (lambda folder: (folder / "model.onnx").write_bytes(b""), "cannot be loaded"),
        (lambda folder: (folder / "model.onnx").write_bytes(b"\0" * 100), "cannot be loaded"),
        (
            rewrite(
                nodes=[helper.make_node("Own", ["input_ids"], ["logits"], domain="com.example")]
            ),
            "cannot be loaded",
        ),
        (rewrite(inputs={"input_ids": SIZES, "attention_mask": [1, 8]}), "of any size"),
        (
            rewrite(inputs=dict.fromkeys(("input_ids", "attention_mask", "types"), SIZES)),
            "does not take",
        ),
        (config(id2label={"0": "bad", "1": "ok"}), "not 2 logits in fp32"),
        (config(id2label={"0": "bad", "1": "ok", "2": "bad"}), "has two labels 'bad'"),
        (config(id2label={"0": "bad", "1": "ok", "3": "good"}), "with the ids [0, 1, 3]"),
        (config(id2label=["bad", "ok", "good"]), "is damaged"),
        (config(id2label={"x": "bad"}), "is damaged"),
        (config(pad_token_id=None), "is damaged"),
        (config(pad_token_id="0"), "is damaged"),
        (config(pad_token_id=600), "cannot compute a text"),
        (config(problem_type="regression"), "is for the problem_type 'regression'"),
        (config(auto_map={"AutoModel": "x.Y"}), "has 'auto_map': the checkpoint needs its own"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "has no tokenizer.json"),
        (rewrite(weights=[]), "cannot be loaded"),
    ],
)
def test_what_is_no_exported_classifier_is_one_line(tokenizer_files, tmp_path, change, problem):
    (tmp_path / "secret").write_bytes(b"\0" * 4 * 600 * 8)
    folder = write(tmp_path / "model", tokenizer_files, graph())
    shutil.copyfile(tmp_path / "secret", folder / "secret")
    change(folder)
    with pytest.raises(UserError) as caught:
        load_classifier(folder)(["The soup was cold."])
    assert problem in str(caught.value)
    assert caught.value.advice
    assert "\n" not in str(caught.value)


def test_logits_that_are_not_finite_are_one_line(tokenizer_files, tmp_path):
    model = graph()
    head = np.full((8, len(NAMES)), np.nan, np.float32)
    model.graph.initializer[1].CopyFrom(tensor(head, "head"))
    with pytest.raises(UserError, match="logits are not finite"):
        load_classifier(write(tmp_path / "model", tokenizer_files, model))


def test_it_computes_in_fp32_only(tokenizer_files, tmp_path):
    folder = write(tmp_path / "model", tokenizer_files, graph())
    with pytest.raises(UserError, match="an exported model computes in fp32") as caught:
        load_classifier(folder, precision="bf16")
    assert caught.value.setting == "precision"
    assert load_classifier(folder, precision="fp32").engine.precision == "fp32"


def test_a_folder_that_also_has_safetensors_is_computed_by_pytorch(tiny_checkpoint, tmp_path):
    folder = build(tmp_path / "model", tiny_checkpoint)
    (folder / "model.onnx").write_bytes(b"x")
    assert isinstance(load_classifier(folder, precision="fp32").engine, Transformer)


def test_the_number_of_threads_and_of_texts_beside_a_text_changes_nothing(
    tokenizer_files, tmp_path
):
    folder = write(tmp_path / "model", tokenizer_files, graph())
    texts = [text * number for number in range(1, 9) for text in TEXTS]
    one, three = (load_classifier(folder, threads=n).scores(texts).logits for n in (1, 3))
    assert np.abs(one - three).max() < 1e-4


def test_it_uses_the_cores_that_the_process_may_use(tokenizer_files, tmp_path, monkeypatch):
    folder = write(tmp_path / "model", tokenizer_files, graph())
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 3, 4}, raising=False)
    assert load_classifier(folder).engine.cores == 3
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS
    assert load_classifier(folder).engine.cores == os.cpu_count()


def test_onnxruntime_sends_nothing_and_leaves_nothing(tokenizer_files, tmp_path):
    folder = write(tmp_path / "model", tokenizer_files, graph())
    home = tmp_path / "home"
    home.mkdir()
    code = """
import os, sys
from yelp_stars import load_classifier
load_classifier(sys.argv[1])(["The soup was cold."])
assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
maps = open("/proc/self/maps").read() if os.path.exists("/proc/self/maps") else ""
"""
    variables = {"HOME": str(home), "CI": "", "ORT_DISABLE_TELEMETRY": "0"}
    variables |= dict.fromkeys(("XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"), "")
    run(sys.executable, "-c", code, str(folder), cwd=home, **variables)
    assert list(home.rglob("*")) == []
