"""The stage `report`: one page from the outs of the others."""

import json
import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from helpers import dvc_in, fails_here, run, would_run

from stages.report import main
from yelp_stars.pipeline.entrypoint import call

pytestmark = pytest.mark.slow

PATHS = (
    "data/raw", "data/audit.parquet", "data/sample",
    "data/predictions/baseline.parquet", "data/predictions/suspects.parquet",
    "data/predictions/test.parquet", "data/predictions/errors.parquet",
    "dvclive", "plots/training", "plots/test", "metrics/data.json", "metrics/audit.json",
    "metrics/baseline.json", "metrics/validation.json", "metrics/evaluation.json", "page.html",
)  # fmt: skip


def test_the_page_has_what_the_other_stages_found(finished_repo):
    html = (finished_repo / "reports" / "index.html").read_text("utf-8")
    evaluation = json.loads((finished_repo / "metrics" / "evaluation.json").read_text())
    accuracy = evaluation["scores"]["accuracy"]
    # 30 rows support no more decimals; the space does not break.
    assert f"{100 * accuracy['value']:.0f}\u00a0% of the test reviews" in html
    assert "on 30 reviews" in html
    for section in ("Data", "How it was trained", "Scores", "Slices", "Probabilities", "Mistakes"):
        assert f"<h2>{section}</h2>" in html
    for stage in ("download", "audit", "train", "evaluate"):
        assert re.search(rf'<th class="number">{stage}</th>', html)  # its seconds
    assert "negation" in html
    suspects = pq.read_table(finished_repo / "data" / "predictions" / "suspects.parquet")
    in_doubt = html.partition('id="labels-table"')[2]
    for row in suspects["row"].to_pylist():
        assert f'<td class="number">{row}</td>' in in_doubt
    assert "learning_rate" in html
    commit = run("git", "rev-list", "HEAD~1", cwd=finished_repo).strip()  # before the run's own
    assert f"<dt>commit</dt><dd>{commit[:7]}</dd>" in html
    assert str(finished_repo) not in html


def test_git_ignores_the_page_and_dvc_keeps_it(finished_repo):
    assert run("git", "ls-files", "reports", cwd=finished_repo).split() == ["reports/.gitignore"]
    assert (finished_repo / "reports" / "index.html").stat().st_nlink == 2


def test_other_scores_rerun_the_report_alone(repo, monkeypatch):
    monkeypatch.chdir(repo)
    (repo / "metrics" / "baseline.json").write_text("<<<<<<< HEAD\n{}")
    message = fails_here(main, *PATHS)
    assert message == "'metrics/baseline.json' is not JSON; run `dvc repro`"
    dvc_in(repo, "repro")
    assert would_run(repo) == set()


def test_a_machine_that_was_not_watched_has_a_report_without_it(repo, monkeypatch):
    monkeypatch.chdir(repo)
    shutil.rmtree(repo / "dvclive" / "plots")
    (repo / "reports" / "seconds.json").write_text("not JSON")
    call(main, *map(Path, PATHS))
    html = (repo / "page.html").read_text("utf-8")
    assert "Load of CPU" not in html
    assert "<h2>Scores</h2>" in html


def test_a_project_without_git_has_a_report_without_a_commit(repo, monkeypatch):
    monkeypatch.chdir(repo)
    assert "<dt>commit</dt>" in (repo / "reports" / "index.html").read_text("utf-8")
    shutil.rmtree(repo / ".git")
    call(main, *map(Path, PATHS))
    assert "<dt>commit</dt>" not in (repo / "page.html").read_text("utf-8")
