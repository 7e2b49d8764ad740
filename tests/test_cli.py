"""`stars`: presets and the scores of the last run."""

import json
import shutil

import pytest
from conftest import ROOT, edit, fails, run

from stars.cli import affected

ALL = "download, pretrained, tokenize, sample, train, evaluate"


@pytest.fixture
def at_quickstart(project):
    shutil.copy(ROOT / "presets" / "quickstart.yaml", project / "params.yaml")
    return project


def test_using_a_preset_says_what_will_run(repo):
    done = (repo / "params.yaml").read_text()
    said = run("stars", "use", "notebook", cwd=repo)
    assert said == f"params.yaml is now presets/notebook.yaml\n`dvc repro` will run: {ALL}\n"
    notebook = (ROOT / "presets" / "notebook.yaml").read_text()
    assert (repo / "params.yaml").read_text() == notebook
    (repo / "presets" / "mine.yaml").write_text(done)
    said = run("stars", "use", "mine", cwd=repo)
    assert said.endswith("`dvc repro` will run: nothing\n")  # its results are still there
    edit(repo, "sample", train_size=50)
    (repo / "params.yaml").rename(repo / "presets" / "fewer.yaml")
    said = run("stars", "use", "fewer", cwd=repo)
    assert said.endswith("`dvc repro` will run: sample, train, evaluate\n")


def test_a_broken_params_file_is_replaced_when_forced(repo):
    (repo / "params.yaml").write_text("train: [")
    run("stars", "use", "quickstart", "--force", cwd=repo)


def test_without_git_dvcs_reason_is_told(at_quickstart):
    assert "dvc status: " in fails("stars", "use", "notebook", cwd=at_quickstart)


def test_an_unknown_preset_is_told(at_quickstart):
    told = fails("stars", "use", "nootbook", cwd=at_quickstart)
    assert told == "no preset 'nootbook'; there are cpu, full, notebook, quickstart"


def test_a_preset_that_does_not_fit_is_told(at_quickstart):
    edit(at_quickstart, "train", seed=-1)
    shutil.copy(at_quickstart / "params.yaml", at_quickstart / "presets" / "mine.yaml")
    assert "train.seed is -1" in fails("stars", "use", "mine", cwd=at_quickstart)


def test_uncommitted_changes_are_not_lost_unless_forced(at_quickstart):
    edit(at_quickstart, "train", seed=7)
    told = fails("stars", "use", "notebook", cwd=at_quickstart)
    assert "type `stars use notebook --force` to lose them" in told


@pytest.mark.parametrize(
    ("changed", "again"),
    [
        ({"train"}, ["train", "evaluate"]),
        ({"sample"}, ["sample", "train", "evaluate"]),
        ({"download"}, ["download", "tokenize", "sample", "train", "evaluate"]),
        ({"pretrained"}, ["pretrained", "tokenize", "sample", "train", "evaluate"]),
        (set(), []),
    ],
)
def test_a_change_affects_its_stage_and_those_after_it(changed, again, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert affected(changed) == again


def test_the_scores_are_shown_with_interval_and_sample_size(finished):
    said = run("stars", "show", cwd=finished)
    scores = json.loads((finished / "metrics" / "test.json").read_text())
    assert "Test, 30 rows" in said
    low, high = scores["accuracy_low"], scores["accuracy_high"]
    assert f"{scores['accuracy']:.3f}  95 % interval {low:.3f} to {high:.3f}" in said
    assert "dvc exp run -S" in said


def test_no_scores_are_told(project):
    assert fails("stars", "show", cwd=project) == "no 'metrics/test.json' yet; type `make repro`"
