"""The whole pipeline under DVC: what runs, what does not, what a user then sees."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, edit, lay_out, run

from stars.params import read_yaml

DATA = ("data/raw", "data/tokenized", "data/sample")


def outs(repo: Path) -> dict[str, str]:
    """Path -> hash of every out in dvc.lock."""
    stages = read_yaml(repo / "dvc.lock")["stages"]
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage["outs"]}


def ran(said: str) -> list[str]:
    lines = [line for line in said.splitlines() if line.startswith("Running stage '")]
    return [line.split("'")[1] for line in lines]


def would_run(repo: Path) -> set[str]:
    return set(json.loads(run("dvc", "status", "--json", cwd=repo)))


def test_the_pipeline_ends_in_a_model_its_scores_and_its_curves(finished):
    scores = json.loads((finished / "metrics" / "test.json").read_text())
    assert scores["n"] == 30
    assert (finished / "models" / "finetuned" / "model.safetensors").is_file()
    assert (finished / "plots" / "training" / "training.svg").is_file()
    assert (finished / "plots" / "test" / "confusion.svg").is_file()


def test_afterwards_dvc_and_git_are_clean(finished):
    assert would_run(finished) == set()
    assert run("git", "status", "--porcelain", cwd=finished) == ""


def test_a_second_repro_runs_nothing(repo):
    assert ran(run("dvc", "repro", cwd=repo)) == []


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("stages/sample.py", {"sample"}),
        ("stages/download.py", {"download"}),
        ("stars/builtin.py", {"download", "train"}),
        ("stars/pictures.py", {"train", "evaluate"}),
        ("corpus/sentences.tsv", {"download", "train"}),
    ],
)
def test_an_edit_changes_exactly_the_stages_that_use_the_file(repo, file, stages):
    with (repo / file).open("a") as edited:
        edited.write("# a comment\n" if file.endswith("py") else "train\tany\t1\tNo.\n")
    assert would_run(repo) == stages


@pytest.mark.parametrize(
    ("section", "values", "stages"),
    [
        ("train", {"learning_rate": 5e-4}, {"train"}),
        ("train", {"num_train_epochs": 1.0}, set()),  # 1 and 1.0 are the same
        ("download", {"seed": 1}, {"download"}),
        ("pretrained", {"source": "random", "seed": 1}, {"pretrained"}),
    ],
)
def test_a_parameter_changes_exactly_the_stage_of_its_section(repo, section, values, stages):
    edit(repo, section, **values)
    assert would_run(repo) == stages


def test_a_comment_in_sample_runs_sample_alone_as_its_result_is_the_same(repo):
    with (repo / "stages" / "sample.py").open("a") as edited:
        edited.write("# a comment\n")
    before = outs(repo)
    assert ran(run("dvc", "repro", cwd=repo)) == ["sample"]
    assert outs(repo) == before


def test_other_reviews_run_everything_but_the_checkpoint(repo):
    edit(repo, "download", seed=1)
    said = run("dvc", "repro", cwd=repo)
    assert ran(said) == ["download", "tokenize", "sample", "train", "evaluate"]


def test_data_outs_are_the_same_bytes_in_another_clone_with_other_threads(
    finished, tmp_path, tiny_checkpoint
):
    other = lay_out(tmp_path / "elsewhere", tiny_checkpoint)
    run("git", "init", "-q", cwd=other)
    run("git", "add", "dvc.yaml", cwd=other)
    run("git", "commit", "-qm", "start", cwd=other)
    threads = {"RAYON_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    run("dvc", "repro", "sample", cwd=other, **threads)
    one = lay_out(tmp_path / "one", tiny_checkpoint)
    run("git", "init", "-q", cwd=one)
    run("git", "add", "dvc.yaml", cwd=one)
    run("git", "commit", "-qm", "start", cwd=one)
    run("dvc", "repro", "sample", cwd=one, RAYON_NUM_THREADS="1")
    hashes = [{path: outs(repo)[path] for path in DATA} for repo in (finished, other, one)]
    assert hashes[0] == hashes[1] == hashes[2]
    same = [(repo / "metrics" / "data.json").read_bytes() for repo in (finished, other, one)]
    assert len(set(same)) == 1


def test_a_second_clone_pulls_and_has_nothing_to_do(finished, tmp_path):
    run("dvc", "remote", "add", "-d", "store", str(tmp_path / "store"), cwd=finished)
    try:
        run("dvc", "push", cwd=finished)
        run("git", "clone", "-q", str(finished), str(tmp_path / "clone"), cwd=tmp_path)
        shutil.copy(finished / ".dvc" / "config", tmp_path / "clone" / ".dvc" / "config")
        # What a user keeps in input/ is not in git: the checkpoint comes along by hand.
        source = finished / "input" / "checkpoint" / "tiny"
        shutil.copytree(source, tmp_path / "clone" / "input" / "checkpoint" / "tiny")
        run("dvc", "pull", cwd=tmp_path / "clone")
        assert would_run(tmp_path / "clone") == set()
        assert ran(run("dvc", "repro", cwd=tmp_path / "clone")) == []
    finally:
        run("git", "checkout", "-q", ".dvc/config", cwd=finished)


def test_an_experiment_changes_a_parameter_and_can_be_compared(repo):
    said = run("dvc", "exp", "run", "-S", "train.learning_rate=2e-5", "-n", "slower", cwd=repo)
    assert ran(said) == ["train", "evaluate"]
    table = run("dvc", "exp", "show", "--csv", cwd=repo).splitlines()
    header = table[0].split(",")
    row = dict(zip(header, next(line for line in table if "slower" in line).split(",")))
    assert row["train.learning_rate"] == "2e-05"
    assert 0 <= float(row["metrics/test.json:accuracy"]) <= 1
    params = json.loads(run("dvc", "params", "diff", "--json", cwd=repo))["params.yaml"]
    assert list(params) == ["train.learning_rate"]
    assert (params["train.learning_rate"]["old"], params["train.learning_rate"]["new"]) == (
        0.001,
        2e-5,
    )
    metrics = json.loads(run("dvc", "metrics", "diff", "--json", cwd=repo))
    assert "loss" in metrics["metrics/test.json"]
    run("dvc", "plots", "show", cwd=repo)
    page = (repo / "dvc_plots" / "index.html").read_text("utf-8")
    for title in ("Loss", "Validation accuracy", "Learning rate", "Confusion matrix"):
        assert title in page


def test_a_fresh_clone_shows_the_metrics_of_the_last_commit(finished, tmp_path):
    run("git", "clone", "-q", str(finished), str(tmp_path / "clone"), cwd=tmp_path)
    shown = json.loads(run("dvc", "metrics", "show", "--json", cwd=tmp_path / "clone"))
    assert shown[""]["data"]["metrics/test.json"]["data"]["n"] == 30


def test_every_out_is_stored_once(finished):
    for folder in ("data", "models", "predictions"):
        files = [
            path
            for path in (finished / folder).rglob("*")
            if path.suffix in (".arrow", ".safetensors")
        ]
        assert files
        assert all(path.stat().st_nlink == 2 for path in files)  # here and in DVC's cache


def test_without_git_make_says_what_to_type(tmp_path):
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "installed").touch()
    done = subprocess.run(
        ["make", "repro"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "type: git init && git add -A && git commit" in done.stdout
