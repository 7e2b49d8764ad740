"""The stage `external`: what the user adds reruns only what reads it."""

import json
import re
import shutil

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
from stages.external import main
from yelp_stars.pipeline.entrypoint import call
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


@pytest.mark.slow
def test_dvc_add_of_an_unchanged_file_reruns_no_stage_that_reads_it(repo_with_a_file):
    dvc_in(repo_with_a_file, "add", "data/external/a.csv", "models/external/tiny")
    put(repo_with_a_file, "notes.txt", "another file")
    assert would_run(repo_with_a_file) & READERS == {"external"}
    assert ran(dvc_in(repo_with_a_file, "repro", "download", "pretrained")) == ["external"]
    assert not would_run(repo_with_a_file) & READERS
    put(repo_with_a_file, "a.csv", ROWS + "0,one more\n")
    assert ran(dvc_in(repo_with_a_file, "repro", "download")) == ["external", "download"]


@pytest.mark.slow
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
