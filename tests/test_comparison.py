"""`stars compare`: revisions and experiments of a real repository, one line for each mistake."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from helpers import ROOT, fails, run

from benchmarks.workspace import commit
from yelp_stars import comparison
from yelp_stars.analysis import predictions
from yelp_stars.analysis.predictions import Predictions
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.yaml_file import dump_yaml

pytestmark = pytest.mark.slow


def predicted(gain: float, rows: int = 400, seed: int = 0, names=("bad", "fair", "good")):
    """A model of 3 classes that knows more for a larger `gain`."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, rows)
    logits = rng.normal(size=(rows, 3))
    logits[np.arange(rows), labels] += gain
    texts = [predictions.text_hash(f"review {seed} {row}") for row in range(rows)]
    return Predictions(np.arange(rows), texts, labels, logits.astype(np.float32), list(names), True)


def save(repo, found: Predictions, message: str, **params) -> None:
    """Commit predictions as DVC does after a run, with their parameters."""
    (repo / "params.yaml").write_text(dump_yaml({"train": params}))
    for name in ("test", "baseline"):
        path = repo / "data" / "predictions" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        predictions.write(found if name == "test" else predicted(0.0), path)
    run("dvc", "commit", "-q", "-f", cwd=repo)
    commit(repo, message)


@pytest.fixture(scope="module")
def repo(tmp_path_factory):
    """Four runs: `base`, `better`, `other` (other test rows) and `early` (no predictions)."""
    repo = tmp_path_factory.mktemp("compare") / "repo"
    (repo / "stages").mkdir(parents=True)
    (repo / "stages" / "__init__.py").touch()
    outs = ["data/predictions/test.parquet", "data/predictions/baseline.parquet"]
    stage = {"cmd": "true", "params": ["train"], "outs": outs}
    (repo / "dvc.yaml").write_text(dump_yaml({"stages": {"evaluate": stage}}))
    (repo / "params.yaml").write_text(dump_yaml({"train": {"learning_rate": 1.0}}))
    run("git", "init", "-q", cwd=repo)
    run("dvc", "init", "-q", cwd=repo)
    commit(repo, "early")
    run("git", "tag", "early", cwd=repo)
    for tag, found, rate in (
        ("base", predicted(1.0), 1e-4),
        ("better", predicted(2.0), 5e-5),
        ("other", predicted(1.0, seed=1), 1e-4),
        ("nominal", predicted(1.0, names=("a", "b", "c")), 1e-4),
        ("latest", predicted(1.5), 3e-5),
    ):
        save(repo, found, tag, learning_rate=rate, seed=1)
        run("git", "tag", tag, cwd=repo)
    return repo


def compare(repo, *arguments: str) -> str:
    return run("stars", "compare", *arguments, cwd=repo)


def test_the_better_run_is_named_first_with_what_changed(repo):
    output = compare(repo, "base", "better")
    assert output.startswith("better is better than base by ")
    assert "train.learning_rate: 0.0001 -> 5e-05" in output
    assert "train.seed" not in output
    for title in ("accuracy", "macro-F1", "mean error in stars", "quadratic kappa", "log loss"):
        assert f"\n{title} " in output


def test_a_revision_is_compared_with_the_workspace_an_experiment_and_a_baseline(repo):
    assert compare(repo, "latest", "workspace").startswith(
        "latest and workspace predict the same label for each of 400 rows"
    )
    commit_of = run("git", "rev-parse", "better", cwd=repo).strip()
    run("git", "update-ref", f"refs/exps/ab/{commit_of}/my-exp", commit_of, cwd=repo)
    run("dvc", "exp", "list", cwd=repo)  # what the message about an unknown name advises
    assert compare(repo, "base", "my-exp").startswith("my-exp is better than base by ")
    assert compare(repo, "base:baseline", "base").startswith("base is better than base:baseline")


def test_json_and_markdown_have_the_same_numbers(repo):
    found = json.loads(compare(repo, "base", "better", "--json"))
    assert (found["first"], found["second"], found["n"]) == ("base", "better", 400)
    accuracy = found["scores"]["accuracy"]
    assert accuracy["low"] < accuracy["difference"] < accuracy["high"]
    assert accuracy["difference"] == pytest.approx(accuracy["second"] - accuracy["first"])
    assert found["params"] == {"train.learning_rate": [1e-4, 5e-5]}
    lines = compare(repo, "base", "better", "--markdown").splitlines()
    assert lines[0].startswith("better is better than base by ")
    row = next(line for line in lines if line.startswith("| accuracy |"))
    assert f"| {accuracy['first']:.3f} | {accuracy['second']:.3f} |" in row


def test_more_than_two_runs_are_ranked(repo):
    output = compare(repo, "base", "latest", "better").splitlines()
    names = [line.split()[0] for line in output[1:4]]
    assert names == ["better", "latest", "base"]
    found = json.loads(compare(repo, "base", "latest", "better", "--json"))
    assert found["ranking"][0]["p"] is None
    assert all(0 <= row["p"] <= 1 for row in found["ranking"][1:])


@pytest.mark.parametrize(
    ("condition", "code"),
    [("accuracy < -0.01", 0), ("accuracy > 0.01", 3), ("loss<0", 3), ("mae > 1.5", 0)],
)
def test_a_condition_on_the_difference_decides_the_exit_code(repo, condition, code):
    command = ["stars", "compare", "base", "better", "--fail-if", condition]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True)
    assert done.returncode == code
    assert ("holds: exit code 3" in done.stderr) == (code == 3)


@pytest.mark.parametrize(
    "condition",
    [
        "accuracy",
        "accuracy < x",
        "__import__('os') < 1",
        "accuracy < 1; x",
        "f1 < 1",
        "",
        "loss <= 1",
    ],
)
def test_anything_but_a_condition_is_one_line(condition):
    with pytest.raises(UserError, match="is not a condition; write one of accuracy, macro_f1"):
        comparison.parse_condition(condition)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["base"], "name two revisions, such as `stars compare main workspace`"),
        (["base", "base"], "'base' is there twice; name two revisions"),
        (["base", "base^0"], "'base', 'base^0' are the same commit; name two different ones"),
        (["base", "none"], "no revision or experiment 'none'; run `dvc exp list`"),
        (["base", "x\x1b[31m"], r"no revision or experiment 'x\x1b[31m'; run `dvc exp list`"),
        (["base", "-x"], None),
        (["base", "base:x"], "'base:x' is not a revision, nor one with :baseline after it"),
        (
            ["base", "early"],
            "'early' has no data/predictions/test.parquet in DVC's cache or remote",
        ),
        (["base", "other"], "'base' and 'other' were tested on other rows (0 of 400 and 400 are"),
        (
            ["base", "nominal"],
            "'base' and 'nominal' have other classes: 'bad', 'fair', 'good'; 'a'",
        ),
    ],
)
def test_what_cannot_be_compared_is_one_line(repo, names, message):
    if message is None:
        run("stars", "compare", *names, cwd=repo, ok=False)
    else:
        assert fails("stars", "compare", *names, cwd=repo).startswith(message)


def test_predictions_that_the_cache_lacks_come_from_the_remote_or_are_one_line(repo, tmp_path):
    clone, store = tmp_path / "clone", tmp_path / "store"
    run("git", "clone", "-q", str(repo), str(clone), cwd=tmp_path)
    run("dvc", "remote", "add", "-q", "--local", "-d", "store", str(store), cwd=clone)
    message = fails("stars", "compare", "base", "better", cwd=clone).splitlines()[-1]
    assert "'base' has no data/predictions/test.parquet in DVC's cache or remote" in message
    shutil.copytree(repo / ".dvc" / "cache", store)  # as `dvc push` fills a remote
    checkout, pull = re.findall("`([^`]+)`", message)[:2]
    run(*checkout.split(), cwd=clone)
    run(*pull.split(), cwd=clone)
    run("git", "checkout", "-q", "-", cwd=clone)
    assert compare(clone, "base", "better").startswith("better is better than base")  # pulled


def test_in_a_shallow_clone_the_advice_brings_the_revision(repo, tmp_path):
    url = f"file://{repo}"
    run("git", "clone", "-q", "--depth", "1", url, str(tmp_path / "clone"), cwd=tmp_path)
    message = fails("stars", "compare", "base", "HEAD", cwd=tmp_path / "clone")
    assert message == (
        "no revision or experiment 'base'; this clone is shallow: run `git fetch --unshallow`"
    )
    run("git", "fetch", "--unshallow", cwd=tmp_path / "clone")
    message = fails("stars", "compare", "base", "HEAD", cwd=tmp_path / "clone")
    assert "in DVC's cache or remote" in message


def test_names_and_values_mean_nothing_to_markdown():
    described = {
        "verdict": "a|b", "first": "<b>x</b>", "second": "`y`", "scores": {},
        "params": {"a.b": ("[link](http://x)", None)},
    }  # fmt: skip
    text = comparison.markdown(described)
    assert "<b>" not in text.replace("\\<b\\>", "")
    assert "\\[link\\]" in text
    assert "a\\|b" in text


def test_a_comparison_from_the_cache_imports_no_torch(repo):
    code = (
        "import sys\nfrom yelp_stars import comparison\n"
        "comparison.run(['base', 'better'], margin=0.01, as_json=True, as_markdown=False, "
        "fail_if=None)\nassert not {'torch', 'transformers', 'datasets'} & {*sys.modules}\n"
    )
    run("python", "-c", code, cwd=repo, PYTHONPATH=str(ROOT))
