"""The workflow of pull requests: what it may do, and the comment that it writes."""

import re

import pytest
from helpers import ROOT, edit, follow, run

from benchmarks.workspace import commit
from yelp_stars.pipeline.yaml_file import read_yaml

pytestmark = pytest.mark.thorough

WORKFLOW = read_yaml(ROOT / ".github" / "workflows" / "ci.yml")
STEPS = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")


def test_it_may_read_and_only_comment_on_pull_requests():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    granted = {name: job.get("permissions") for name, job in WORKFLOW["jobs"].items()}
    assert granted == {
        "test": None,
        "compare": {"contents": "read", "pull-requests": "write"},
    }
    assert "pull_request_target" not in str(WORKFLOW)  # a fork's code with the token of this one


def test_actions_are_pinned_by_their_commit():
    used = [step["uses"] for step in STEPS if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", name) for name in used)


def test_no_text_of_a_pull_request_is_put_into_a_script():
    scripts = [step["run"] for step in STEPS if "run" in step]
    assert scripts
    assert not [script for script in scripts if "${{" in script]


def test_it_runs_the_tests_and_checks_that_make_has():
    targets = [word for step in STEPS for word in re.findall(r"make (\w+)", step.get("run", ""))]
    assert {"test", "lint"} <= set(targets)
    assert all(re.search(rf"^{target}:", MAKEFILE, re.M) for target in targets)


def test_the_comment_has_metrics_parameters_and_the_comparison(second_run, tmp_path):
    run("git", "switch", "-qc", "feature", cwd=second_run)
    edit(second_run, "evaluate", slices={"@octocat": "<b>|# ![x](https://example.org)"})
    commit(second_run, "another learning rate")
    (script,) = [step["run"] for step in STEPS if step.get("name") == "Compare"]
    summary = tmp_path / "summary.md"
    follow(script, second_run, BASE="main", GITHUB_STEP_SUMMARY=str(summary))
    comment = (second_run / "comment.md").read_text("utf-8")
    assert summary.read_text("utf-8") == comment
    assert "train.learning_rate" in comment
    assert "Not compared" not in comment
    metrics, parameters, compared = comment.split("### ")[1:]
    assert re.match(r"Metrics\n\n    Path .*\n    metrics/\S+ ", metrics)
    assert re.match(r"Parameters\n\n    Path .*\n    params.yaml ", parameters)
    assert "accuracy" in compared
    mentioned = [line for line in comment.splitlines() if "octocat" in line]
    assert mentioned
    assert all(line.startswith("    ") or "@octocat" not in line for line in mentioned)
