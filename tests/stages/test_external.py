"""The stage `external`: what the user adds reruns only what reads it."""

import hashlib
import json
import re
import shutil
import tarfile

import pytest
from helpers import (
    FILES,
    ROOT,
    as_csv,
    dvc_in,
    fails_here,
    put,
    ran,
    replace,
    run,
    would_run,
)

from benchmarks.workspace import commit
from stages.external import hash_checkpoint, hash_data, main
from yelp_stars.pipeline.entrypoint import call
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.yaml_file import read_yaml

PATHS = ("data/external", "models/external", "a.json", "b.json")
READERS = {"external", "download", "pretrained"}
ROWS = as_csv([(number % 2, f"review {number}") for number in range(50)])


@pytest.fixture
def repo_with_a_file(repo):
    """A repository whose download stage has read the user's own file."""
    put(repo, "a.csv", ROWS)
    replace(repo, "download", FILES)
    dvc_in(repo, "repro", "download")
    commit(repo, "my reviews")
    return repo


def test_hashes_are_written_and_the_folders_of_other_sources_are_not_read(data_project):
    replace(data_project, "pretrained", read_yaml(ROOT / "params.yaml")["pretrained"])
    call(main, *(data_project / path for path in PATHS))
    assert json.loads((data_project / "a.json").read_text()) == {}
    assert json.loads((data_project / "b.json").read_text()) == {}
    put(data_project, "a.csv", ROWS)
    replace(data_project, "download", FILES)
    call(main, *(data_project / path for path in PATHS))
    assert list(json.loads((data_project / "a.json").read_text())) == ["a.csv"]


def test_a_missing_file_is_one_line_and_leaves_nothing(data_project):
    replace(data_project, "download", FILES)
    message = fails_here(main, *PATHS)
    assert message == "no file 'data/external/a.csv'; 'data/external' holds nothing"
    assert not (data_project / "a.json").exists()
    assert not (data_project / "b.json").exists()


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


@pytest.mark.parametrize("inside", [".", ".dvc/tmp/exps/standalone/tmpx1", ".dvc/tmp/yelp-stars"])
def test_a_missing_file_in_a_copy_of_the_project_is_reported_with_dvc_add(
    tmp_path, monkeypatch, inside
):
    (tmp_path / inside / "data" / "external").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / inside)
    folder = (tmp_path / inside / "data" / "external").relative_to(tmp_path / inside)
    for name, hash_it in (
        ("a.csv", lambda: hash_data(folder, {"train_file": "a.csv"})),
        ("tiny", lambda: hash_checkpoint(folder, {"folder": "tiny"})),
    ):
        with pytest.raises(UserError) as caught:
            hash_it()
        has_advice = f"run `dvc add data/external/{name}` in the project" in caught.value.advice
        assert has_advice == (inside != ".")


@pytest.mark.slow
def test_dvc_add_of_an_unchanged_file_reruns_no_stage_that_reads_it(repo_with_a_file):
    dvc_in(repo_with_a_file, "add", "data/external/a.csv", "models/external/tiny")
    put(repo_with_a_file, "notes.txt", "another file")
    assert would_run(repo_with_a_file) & READERS == {"external"}
    assert ran(dvc_in(repo_with_a_file, "repro", "download", "pretrained")) == ["external"]
    assert not would_run(repo_with_a_file) & READERS
    put(repo_with_a_file, "a.csv", ROWS + "0,one more\n")
    assert ran(dvc_in(repo_with_a_file, "repro", "download")) == ["external", "download"]


@pytest.mark.thorough
def test_a_file_that_a_temporary_experiment_lacks_is_there_after_the_advice(repo_with_a_file):
    dvc_in(repo_with_a_file, "add", "models/external/tiny")
    commit(repo_with_a_file, "my checkpoint")
    experiment = ("dvc", "exp", "run", "--temp", "-S", "download.test_size=6", "download")
    output = run(*experiment, cwd=repo_with_a_file, ok=False)
    assert "'data/external' holds nothing in this copy of the project" in output
    advice = re.findall(r"run `(dvc add [^`]+)`", output)
    assert advice == ["dvc add data/external/a.csv"]
    dvc_in(repo_with_a_file, *advice[0].split()[1:])
    commit(repo_with_a_file, "track my reviews")
    assert "test: 6 reviews, 2 labels" in run(*experiment, cwd=repo_with_a_file)
    shutil.rmtree(repo_with_a_file / "data" / "external")  # the user's own file is in the cache
    run("git", "checkout", "data/external", cwd=repo_with_a_file)
    dvc_in(repo_with_a_file, "checkout", "data/external/a.csv.dvc")
    found = (repo_with_a_file / "data" / "external" / "a.csv").read_bytes()
    assert found == ROWS.encode()
