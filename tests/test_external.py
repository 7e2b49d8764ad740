"""Hashes of the user's files: exactly those that params.yaml names."""

import hashlib
import tarfile

import pytest
from helpers import put

from yelp_stars.external import hash_checkpoint, hash_data
from yelp_stars.pipeline.errors import UserError


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_the_named_files_are_hashed_and_no_other(tmp_path):
    folder = put(tmp_path, "a.csv", b"a").parent
    put(tmp_path, "in/b.csv", b"b")
    put(tmp_path, "c.csv", b"c")
    names = {"train_file": "a.csv", "test_file": "in/b.csv"}
    assert hash_data(folder, names) == {"a.csv": sha256(b"a"), "in/b.csv": sha256(b"b")}
    assert hash_data(folder, {"train_file": "a.csv", "test_file": None}) == {"a.csv": sha256(b"a")}
    assert hash_data(folder, {"source": "synthetic"}) == {}


def test_of_a_file_in_an_archive_the_archive_is_hashed(tmp_path):
    folder = put(tmp_path, "a.csv", b"a").parent
    with tarfile.open(folder / "a.tgz", "w:gz") as tar:
        tar.add(folder / "a.csv", "a.csv")
    names = {"train_file": "a.tgz/a.csv", "test_file": "a.tgz/b.csv"}
    assert hash_data(folder, names) == {"a.tgz": sha256((folder / "a.tgz").read_bytes())}


def test_all_files_of_the_named_checkpoint_are_hashed(tmp_path):
    for name in ("tiny/config.json", "tiny/in/x", "other/config.json", "tiny.dvc"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(name)
    expected = {name: sha256(name.encode()) for name in ("tiny/config.json", "tiny/in/x")}
    assert hash_checkpoint(tmp_path, {"folder": "tiny"}) == expected
    assert hash_checkpoint(tmp_path, {"source": "package"}) == {}


@pytest.mark.parametrize(
    "inside", [".", ".dvc/tmp/exps/standalone/tmpx1", ".dvc/tmp/exps/tmp2", ".dvc/tmp/yelp-stars"]
)
def test_a_missing_file_in_a_copy_of_the_project_is_reported_with_dvc_add(
    tmp_path, monkeypatch, inside
):
    (tmp_path / inside / "data" / "external").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / inside)
    folder = (tmp_path / inside / "data" / "external").relative_to(tmp_path / inside)
    with pytest.raises(UserError) as caught:
        hash_data(folder, {"train_file": "a.csv"})
    with pytest.raises(UserError) as model:
        hash_checkpoint(folder, {"folder": "tiny"})
    advice = "run `dvc add data/external/a.csv` in the project, commit, and start the experiment"
    assert str(caught.value).startswith("no file 'data/external/a.csv'; 'data/external' holds noth")
    assert (advice in str(caught.value)) == (inside != ".")
    assert ("run `dvc add data/external/tiny` in" in str(model.value)) == (inside != ".")
