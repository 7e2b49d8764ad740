"""A version is what its tag says: signature, hashes, and the same bytes when trained again."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from dvc_data.hashfile.hash import file_md5
from helpers import dvc_in, run, stars

from benchmarks.workspace import commit

pytestmark = pytest.mark.slow
TAG = "yelp-stars@v1.0.0"


@pytest.fixture
def here(repo, monkeypatch):
    monkeypatch.chdir(repo)
    return repo


@pytest.fixture
def released(here, capfd):
    assert stars("release", "v1.0.0") == 0
    capfd.readouterr()
    return here


def test_a_version_is_what_its_tag_says_and_sha256sum_reads_it(released, capfd):
    assert stars("verify", "v1.0.0") == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[1] == "signature: none"
    files = [path for path in Path("models/finetuned").rglob("*") if path.is_file()]
    assert len(lines) == 2 + len(files) + 1  # and dvc.lock; requirements.lock is not in this one
    assert all(line.endswith(": ok") for line in lines[2:])
    message = run("git", "tag", "-l", "--format=%(contents)", TAG, cwd=released)
    (released / "sums").write_text(message)
    checked = run("sha256sum", "--check", "sums", cwd=released)
    assert "models/finetuned/model.safetensors: OK" in checked


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda folder: (folder / "config.json").write_text("{}"), "config.json' differs"),
        (lambda folder: (folder / "config.json").unlink(), "config.json' is missing"),
        (lambda folder: (folder / "a.py").write_text(""), "a.py' is not in the tag"),
    ],
)
def test_a_received_folder_that_differs_is_named(released, tmp_path, change, problem):
    folder = shutil.copytree("models/finetuned", tmp_path / "received")
    assert stars("verify", "v1.0.0", "--folder", str(folder)) == 0
    (folder / "config.json").chmod(0o644)
    change(folder)
    message = stars("verify", "v1.0.0", "--folder", str(folder))
    assert f"'models/finetuned/{problem}" in message


def test_a_folder_from_the_hub_has_files_beside_the_model(released, tmp_path):
    folder = shutil.copytree("models/finetuned", tmp_path / "received")
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs\n")
    (folder / ".cache" / "huggingface").mkdir(parents=True)
    (folder / ".cache" / "huggingface" / "CACHEDIR.TAG").write_text("")
    statement = folder / "release.json"
    verify = ("verify", "v1.0.0", "--folder", str(folder))
    assert stars(*verify, "--statement", str(statement)) == 0
    assert stars(*verify) == 0
    for name in ("release.json.py", ".cache/a.py"):
        (folder / name).write_text("")
        assert f"{name}' is not in the tag" in stars(*verify)
        (folder / name).unlink()
    for content in (statement.read_text().replace("dvc", "DVC"), "{"):
        statement.write_text(content)
        assert "'release.json' differs" in stars(*verify)


def test_a_moved_tag_does_not_have_the_lock_of_its_commit(released):
    message = run("git", "tag", "-l", "--format=%(contents)", TAG, cwd=released)
    lock = released / "dvc.lock"
    lock.write_text(lock.read_text() + "\n")
    commit(released, "another lock")
    run("git", "tag", "-f", "-m", message, TAG, "HEAD", cwd=released)
    assert "'dvc.lock' differs" in stars("verify", "v1.0.0")


def test_a_tag_is_not_taken_for_another_version_nor_a_lightweight_one_for_a_release(released):
    run("git", "update-ref", "refs/tags/yelp-stars@v2.0.0", f"refs/tags/{TAG}", cwd=released)
    run("git", "tag", "yelp-stars@v3.0.0", cwd=released)
    assert f"the tag 'yelp-stars@v2.0.0' is '{TAG}' under another" in stars("verify", "v2.0.0")
    assert "the tag 'yelp-stars@v3.0.0' is not an annotated tag" in stars("verify", "v3.0.0")


@pytest.mark.parametrize("name", [".", "models/finetuned", "pipe"])
def test_a_statement_replaces_no_folder_and_no_pipe(released, name):
    os.mkfifo("pipe")
    message = stars("verify", "v1.0.0", "--statement", name)
    assert message == f"error: '{name}' is not a file; name a file to write"
    assert Path(name).is_fifo() or any(Path(name).iterdir())


def test_what_is_no_version_of_this_project_is_one_line(here):
    assert "'1.0' is not a version such as v1.0.0" in stars("verify", "1.0")
    assert "no tag 'yelp-stars@v1.0.0'; run `git fetch --tags`" in stars("verify", "v1.0.0")
    run("git", "tag", "-m", "no hashes", TAG, cwd=here)
    assert "has no hashes" in stars("verify", "v1.0.0")


def test_a_signature_is_checked_with_the_keys_that_git_trusts(here, tmp_path, capfd):
    for name in ("ours", "other"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", tmp_path / name],
            check=True,
        )
    settings = {
        "gpg.format": "ssh",
        "user.signingKey": str(tmp_path / "ours"),
        "tag.gpgSign": "true",
        "gpg.ssh.allowedSignersFile": str(tmp_path / "signers"),
    }
    for key, value in settings.items():
        run("git", "config", key, value, cwd=here)
    assert stars("release", "v1.0.0") == 0
    for name in ("ours", "other"):
        key = (tmp_path / f"{name}.pub").read_text()
        (tmp_path / "signers").write_text(f"a@example.org {key}")
        capfd.readouterr()
        outcome = stars("verify", "v1.0.0")
        if name == "ours":
            assert outcome == 0
            assert "signature: valid" in capfd.readouterr().out
        else:
            assert "verify-tag" in outcome


@pytest.mark.thorough
def test_a_version_trained_again_here_has_the_same_bytes(released, capfd):
    before = Path("models/finetuned/model.safetensors").read_bytes()
    assert stars("verify", "v1.0.0", "--rerun") == 0
    assert "trained again: byte-identical" in capfd.readouterr().out
    assert run("git", "status", "--porcelain", cwd=released) == ""
    assert Path("models/finetuned/model.safetensors").read_bytes() == before


@pytest.mark.thorough
def test_a_version_is_trained_again_in_a_fresh_clone_of_what_the_remote_has(
    here, tmp_path, capfd, monkeypatch
):
    dvc_in(here, "remote", "add", "-d", "store", "../store")  # relative to this project
    commit(here, "a remote")
    dvc_in(here, "push")
    assert stars("release", "v1.0.0") == 0
    run("git", "clone", "-q", here, tmp_path / "clone", cwd=tmp_path)
    monkeypatch.chdir(tmp_path / "clone")
    assert stars("verify", "v1.0.0", "--rerun") == 0
    assert "trained again: byte-identical" in capfd.readouterr().out
    file = file_md5(str(here / "data" / "sample" / "train.arrow"))
    for folder in (tmp_path / "store", tmp_path / "clone" / ".dvc" / "cache"):
        (folder / "files" / "md5" / file[:2] / file[2:]).unlink()
    message = stars("verify", "v1.0.0", "--rerun")
    assert "neither DVC's cache nor its remote has 'data/sample'; run `dvc push`" in message


@pytest.mark.thorough
def test_another_processor_gives_other_bytes_and_the_difference_is_said(
    released, capfd, monkeypatch
):
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    monkeypatch.setenv("MKL_ENABLE_INSTRUCTIONS", "SSE4_2")
    assert stars("verify", "v1.0.0", "--rerun") == 0
    out = capfd.readouterr().out
    assert "differ, as on another processor" in out
    assert "of the predictions are the same" in out
