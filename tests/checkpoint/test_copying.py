"""Checkpoints: copied without what could hold code, and with what an old one needs."""

import json
import os
import shutil
import subprocess

import numpy as np
import pytest
from safetensors.numpy import save_file

from yelp_stars.checkpoint.copying import command, copy_checkpoint, weight_files
from yelp_stars.pipeline.errors import UserError


@pytest.fixture
def checkpoint(tokenizer_files, tmp_path):
    """A folder with the files of a checkpoint; its weights are of no model."""
    shutil.copytree(tokenizer_files, tmp_path / "checkpoint")
    save_file({"weight": np.zeros(3, np.float32)}, tmp_path / "checkpoint" / "model.safetensors")
    return tmp_path / "checkpoint"


def error(source, target, **values) -> str:
    with pytest.raises(UserError) as caught:
        copy_checkpoint(source, target, **values)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def names(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_only_files_that_cannot_hold_code_are_copied(checkpoint, tmp_path):
    expected = names(checkpoint)
    for name in ("pytorch_model.bin", "optimizer.pt", "modeling.py", "weights.pkl", "README.md"):
        (checkpoint / name).write_bytes(b"code")
    (checkpoint / "1_Pooling").mkdir()
    copy_checkpoint(checkpoint, tmp_path / "copy")
    assert names(tmp_path / "copy") == expected
    for name in expected:
        assert (tmp_path / "copy" / name).read_bytes() == (checkpoint / name).read_bytes()


def test_sharded_weights_are_copied(checkpoint, tmp_path):
    (checkpoint / "model.safetensors").unlink()
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    for name in shards:
        save_file({name: np.zeros(3, np.float32)}, checkpoint / name)
    index = {"weight_map": {name: name for name in shards}}
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps(index))
    copy_checkpoint(checkpoint, tmp_path / "copy")
    assert names(tmp_path / "copy") == names(checkpoint)
    assert [path.name for path in weight_files(tmp_path / "copy")] == shards


def test_weights_under_another_name_are_not_those_of_the_model(checkpoint, tmp_path):
    (checkpoint / "model.safetensors").rename(checkpoint / "model.fp16.safetensors")
    assert error(checkpoint, tmp_path / "copy") == (
        "the checkpoint has no 'model.safetensors'; choose another checkpoint"
    )


def test_what_is_not_a_file_is_not_copied(checkpoint, tmp_path):
    os.mkfifo(checkpoint / "vocab.txt")
    (checkpoint / "merges.txt").mkdir()
    copy_checkpoint(checkpoint, tmp_path / "copy")
    assert names(tmp_path / "copy") == names(checkpoint) - {"vocab.txt", "merges.txt"}


def test_weights_are_left_out_on_request(checkpoint, tmp_path):
    copy_checkpoint(checkpoint, tmp_path / "copy", weights=False)
    assert names(tmp_path / "copy") == names(checkpoint) - {"model.safetensors"}


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_checkpoint_without_a_required_file_is_reported(checkpoint, tmp_path, missing):
    (checkpoint / missing).unlink()
    assert error(checkpoint, tmp_path / "copy") == (
        f"'{checkpoint}' has no {missing}; choose another checkpoint"
    )


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.safetensors"])
def test_no_command_is_named_for_files_that_are_not_the_users(checkpoint, tmp_path, missing):
    (checkpoint / missing).unlink()
    (checkpoint / "vocab.txt").write_bytes(b"old")
    assert error(checkpoint, tmp_path / "copy", editable=False) == (
        f"'{checkpoint}' has no {missing}; choose another checkpoint, or copy this one to "
        f"models/external and set pretrained.source to 'folder'"
    )


def test_every_missing_file_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    assert (
        "has no config.json, no tokenizer.json, no tokenizer_config.json, no model.safetensors;"
    ) in error(tmp_path / "empty", tmp_path / "copy")


@pytest.mark.parametrize("content", [b"version https://git-lfs", b"", b"\0" * 100])
def test_damaged_weights_are_reported_with_the_usual_cause(checkpoint, tmp_path, content):
    (checkpoint / "model.safetensors").write_bytes(content)
    assert error(checkpoint, tmp_path / "copy") == (
        f"'{checkpoint / 'model.safetensors'}' is not a safetensors file; if it is a git-lfs "
        f"pointer, run `git lfs pull` there"
    )


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]
)
@pytest.mark.parametrize(
    "content", [b"version https://git-lfs", b"", b"[]", b"\xff", b"[" * 100_000, b"null"]
)
def test_a_damaged_json_file_is_reported(checkpoint, tmp_path, name, content):
    (checkpoint / name).write_bytes(content)
    message = f"the checkpoint's {name!r} is not a JSON object, or too large; download it again"
    assert error(checkpoint, tmp_path / "copy") == message


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("auto_map", {"AutoModel": "modeling.Mine"}, "the checkpoint needs code of its own, which"),
        ("auto_map", {}, "the checkpoint needs code of its own, which never runs here"),
        ("auto_map", "x", "the checkpoint needs code of its own, which never runs here"),
        ("quantization_config", {"quant_method": "gptq"}, "quantized weights cannot be trained"),
        ("transformers_weights", "pytorch_model.bin", "the weights would be read in another way"),
        ("fusion_config", {}, "the weights would be read in another way"),
        ("distributed_config", {}, "the weights would be read in another way"),
    ],
)
def test_what_would_run_code_or_load_other_weights_is_refused(
    checkpoint, tmp_path, name, key, value, problem
):
    content = json.loads((checkpoint / name).read_text())
    (checkpoint / name).write_text(json.dumps({**content, "model_type": "mine", key: value}))
    message = error(checkpoint, tmp_path / "copy")
    assert message.startswith(f"'{checkpoint / name}' has '{key}': {problem}")
    assert message.endswith("; choose another checkpoint")


def test_a_command_quotes_what_a_shell_would_read(tmp_path):
    hostile = ["a b", "$(touch x)", "`touch x`", "'", '"', ";touch x", "é\n"]
    line = command("import sys; print(sys.argv[1:])", *hostile)
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == f"{hostile}\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("missing", "old", "advice"),
    [
        ({"model.safetensors"}, {"pytorch_model.bin"}, "convert its weights: run `python -c "),
        (
            {"model.safetensors"},
            {"pytorch_model-00001-of-00002.bin"},
            "convert its weights: run `python -c ",
        ),
        ({"tokenizer.json"}, {"vocab.txt"}, "convert its tokenizer: run `python -c "),
        (
            {"tokenizer.json", "tokenizer_config.json"},
            {"vocab.json", "merges.txt"},
            "convert its tokenizer: run `python -c ",
        ),
        ({"tokenizer_config.json"}, set(), "convert its tokenizer: run `python -c "),
        ({"tokenizer.json"}, {"spiece.model"}, "choose another checkpoint"),
        ({"model.safetensors"}, {"tf_model.h5"}, "choose another checkpoint"),
        ({"config.json"}, {"pytorch_model.bin"}, "choose another checkpoint"),
    ],
)
def test_an_old_checkpoint_is_reported_with_what_converts_it(
    checkpoint, tmp_path, missing, old, advice
):
    for name in missing:
        (checkpoint / name).unlink()
    for name in old:
        (checkpoint / name).write_bytes(b"old")
    message = error(checkpoint, tmp_path / "copy")
    assert f"; {advice}" in message
    assert len(message) <= 500
    assert all(f"no {name}" in message for name in missing)
