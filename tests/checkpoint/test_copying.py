"""The files of a checkpoint are copied without what could hold code."""

import os

import pytest
from helpers import change_json

from yelp_stars.checkpoint.copying import copy_text_files, weight_files
from yelp_stars.pipeline.errors import Missing, UserError


def names(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_only_files_that_cannot_hold_code_are_copied(checkpoint, tmp_path):
    expected = names(checkpoint) - {"model.safetensors"}
    for name in ("pytorch_model.bin", "optimizer.pt", "modeling.py", "weights.pkl", "README.md"):
        (checkpoint / name).write_bytes(b"code")
    (checkpoint / "1_Pooling").mkdir()
    os.mkfifo(checkpoint / "vocab.txt")
    (checkpoint / "merges.txt").mkdir()
    copy_text_files(checkpoint, tmp_path / "copy")
    assert names(tmp_path / "copy") == expected
    for name in expected:
        assert (tmp_path / "copy" / name).read_bytes() == (checkpoint / name).read_bytes()


def test_the_weights_are_one_file_or_its_shards(checkpoint):
    single = checkpoint / "model.safetensors"
    shards = [checkpoint / f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    for path in (*shards, checkpoint / "model.fp16.safetensors"):
        path.write_bytes(b"")
    assert weight_files(checkpoint) == [single]
    single.unlink()
    assert weight_files(checkpoint) == shards
    for shard in shards:
        shard.unlink()
    with pytest.raises(Missing) as caught:
        weight_files(checkpoint)
    assert caught.value.problem == f"'{checkpoint}' has no model.safetensors"
    assert "docs/own-data.md" in caught.value.advice


def test_every_missing_file_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(Missing) as caught:
        copy_text_files(tmp_path / "empty", tmp_path / "copy")
    assert caught.value.problem == (
        f"'{tmp_path / 'empty'}' has no tokenizer.json, no config.json, no tokenizer_config.json"
    )


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("auto_map", {"AutoModel": "modeling.Mine"}),
        ("auto_map", {}),
        ("quantization_config", {"quant_method": "gptq"}),
        ("transformers_weights", "pytorch_model.bin"),
        ("fusion_config", {}),
        ("distributed_config", {}),
    ],
)
def test_what_would_run_code_or_load_other_weights_is_refused(
    checkpoint, tmp_path, name, key, value
):
    change_json(checkpoint / name, **{"model_type": "mine", key: value})
    with pytest.raises(UserError) as caught:
        copy_text_files(checkpoint, tmp_path / "copy")
    assert caught.value.problem.startswith(f"'{checkpoint / name}' has '{key}': ")
    assert caught.value.advice == "choose another checkpoint"
