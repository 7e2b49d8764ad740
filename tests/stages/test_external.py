"""The stage `external`: what the user adds reruns only what reads it."""

import hashlib
import json
import re
import tarfile
from pathlib import Path

import pytest
from helpers import FILES, ROOT, as_csv, dvc_in, put, ran, replace, run, would_run

from benchmarks.workspace import commit
from stages.external import hash_checkpoint, hash_data, main
from yelp_stars.pipeline.entrypoint import call
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.yaml_file import read_yaml

PATHS = ("data/external", "models/external", "a.json", "b.json")
READERS = {"external", "download", "pretrained"}
ROWS = as_csv([(number % 2, f"review {number}") for number in range(50)])


@pytest.fixture
def repo_with_a_file(project):
    """A repository whose download stage has read the user's own file."""
    commit(project)
    put(project, "a.csv", ROWS)
    replace(project, "download", FILES)
    dvc_in(project, "repro", "download", "pretrained")
    commit(project, "my reviews")
    return project


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_the_named_files_are_hashed_and_no_other(data_project):
    replace(data_project, "pretrained", read_yaml(ROOT / "params.yaml")["pretrained"])
    call(main, *map(Path, PATHS))
    assert [json.loads(Path(name).read_text()) for name in PATHS[2:]] == [{}, {}]
    put(data_project, "a.csv", b"a")
    put(data_project, "in/b.csv", b"b")
    put(data_project, "c.csv", b"c")
    replace(data_project, "download", {**FILES, "test_file": "in/b.csv", "test_size": None})
    call(main, *map(Path, PATHS))
    hashes = {"a.csv": sha256(b"a"), "in/b.csv": sha256(b"b")}
    assert [json.loads(Path(name).read_text()) for name in PATHS[2:]] == [hashes, {}]


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


@pytest.mark.parametrize("inside", [".", ".dvc/tmp/exps/standalone/tmpx1", ".dvc/tmp/yelp-stars"])
def test_a_missing_file_in_a_copy_of_the_project_is_reported_with_dvc_add(
    tmp_path, monkeypatch, inside
):
    folder = Path("data", "external")
    (tmp_path / inside / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / inside)
    for name, hashes, section in (
        ("a.csv", hash_data, {"train_file": "a.csv"}),
        ("tiny", hash_checkpoint, {"folder": "tiny"}),
    ):
        with pytest.raises(UserError) as caught:
            hashes(folder, section)
        has_advice = f"run `dvc add data/external/{name}` in the project" in caught.value.advice
        assert has_advice == (inside != ".")


@pytest.mark.slow
@pytest.mark.thorough
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
