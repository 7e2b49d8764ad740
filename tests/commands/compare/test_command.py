"""`stars compare`: real runs of DVC, a verdict first, one line for each mistake."""

import json
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import runs
from helpers import dvc_in, fails, run, stars

from benchmarks.workspace import commit
from yelp_stars.commands.compare import command
from yelp_stars.data.sources import write_reviews
from yelp_stars.evaluation import predictions
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.yaml_file import dump_yaml


@pytest.fixture(scope="module")
def repo(tmp_path_factory):
    """`base`, `better`, `other` (other rows), `nominal` (other classes), seeds, then `latest`."""
    repo = runs.new_repo(tmp_path_factory.mktemp("comparison") / "repo")
    run("git", "tag", "early", cwd=repo)
    texts = [runs.text(row) for row in range(400)]
    half = {"learning_rate": 5e-5}
    runs.add_run(repo, "base", runs.predicted(1.0), texts=texts, baseline=runs.predicted(0.2))
    runs.add_run(repo, "better", runs.predicted(2.0, noise=1), train=half)
    other = {"test_seed": 7}
    runs.add_run(repo, "other", runs.predicted(1.0, seed=1), sample=other)
    runs.add_run(repo, "nominal", runs.predicted(1.0, names=("a", "b", "c")))
    for seed in (2, 3):
        runs.add_run(repo, f"base{seed}", runs.predicted(1.0, noise=seed), train={"seed": seed})
        changed = {**half, "seed": seed}
        runs.add_run(repo, f"better{seed}", runs.predicted(2.0, noise=seed), train=changed)
    runs.add_run(repo, "latest", runs.predicted(1.5), texts=texts, train={"learning_rate": 3e-5})
    return repo


@pytest.fixture
def compare(repo, monkeypatch, capsys):
    """Run `stars compare` in this process; returns what it prints."""
    monkeypatch.chdir(repo)

    def call(*arguments: str, code: object = 0) -> str:
        assert stars("compare", *arguments) == code
        return capsys.readouterr().out

    return call


def test_the_better_run_is_named_first_with_what_changed(compare):
    output = compare("base", "better")
    assert output.startswith("better is better than base by ")
    assert re.search(r"\ntrain.learning_rate +0.0001 +5e-05\n", output)
    assert "train.seed" not in output
    for title in ("accuracy", "macro-F1", "mean error in stars", "quadratic kappa", "log loss"):
        assert f"\n{title} " in output
    assert "Accuracy of the baseline of base: 0." in output
    assert re.search(r"\nlongest quarter +\d+ ", output)


def test_a_run_is_compared_with_the_workspace_and_with_its_baseline(compare):
    assert compare("latest", "workspace").startswith(
        "latest and workspace predict the same label for each of 400 rows"
    )
    assert compare("base:baseline", "base").startswith("base is better than base:baseline by ")


def test_json_and_markdown_have_the_same_numbers(compare):
    found = json.loads(compare("base", "better", "--json"))
    assert (found["first"], found["second"], found["n"]) == ("base", "better", 400)
    accuracy = found["scores"]["accuracy"]
    assert accuracy["low"] < accuracy["difference"] < accuracy["high"]
    assert accuracy["difference"] == pytest.approx(accuracy["second"] - accuracy["first"])
    assert found["params"] == {"train.learning_rate": [1e-4, 5e-5]}
    lines = compare("base", "better", "--markdown").splitlines()
    assert lines[0] == found["verdict"]
    row = next(line for line in lines if line.startswith("| accuracy "))
    assert row.split()[3:6:2] == [f"{accuracy['first']:.3f}", f"{accuracy['second']:.3f}"]


def test_more_than_two_runs_are_ranked(compare):
    output = compare("base", "latest", "better").splitlines()
    assert output[0].startswith("better is the best of 3: better than the next, latest, by ")
    assert [line.split()[0] for line in output[4:7]] == ["better", "latest", "base"]
    found = json.loads(compare("base", "latest", "better", "--json"))
    assert found["ranking"][0]["p"] is None
    assert all(0 <= row["p"] <= 1 for row in found["ranking"][1:])
    assert found["params"] == {"train.learning_rate": [5e-5, 3e-5, 1e-4]}
    assert compare("base", "latest", "better", "--markdown").startswith(output[0])


def test_runs_of_several_seeds_are_compared_as_groups(compare):
    output = compare("base", "base2", "base3", "better", "better2", "better3")
    assert output.startswith(
        "better and 2 more is the best of 2: better than the next, base and 2 more, by "
    )
    assert "train.seed" not in output
    assert re.search(r"\nbase and 2 more +3 +0\.\d{3} +0\.\d{3} ", output)


def test_texts_of_the_rows_that_changed_are_printed_on_request(compare):
    output = compare("base", "better", "--texts", "2")
    for title in ("Became wrong", "Became right", "Wrong in another way"):
        assert f"\n{title}\n\n- row " in output
    assert output.count("\n  review 0 ") == 6
    found = json.loads(compare("base", "better", "--texts", "1", "--json"))
    assert [len(rows) for rows in found["texts"].values()] == [1, 1, 1]


@pytest.mark.parametrize(
    ("condition", "code"),
    [("accuracy < -0.01", 0), ("accuracy > 0.01", 3), ("loss<0", 3), (" mae > +1.5 ", 0)],
)
def test_a_condition_on_the_difference_decides_the_exit_code(compare, capsys, condition, code):
    compare("base", "better", "--fail-if", condition, code=code)


@pytest.mark.parametrize(
    "condition",
    [
        "accuracy", "accuracy < x", "__import__('os') < 1", "accuracy < 1; x", "f1 < 1", "",
        "loss <= 1", "accuracy < 1e5", "accuracy < nan", "accuracy < \u0661", "accuracy < 1" * 999,
        "accuracy < .5", "p < 0.05", "ACCURACY < 1", "accuracy\n< 1\n\n; x",
    ],
)  # fmt: skip
def test_anything_but_a_condition_is_refused_with_an_example(condition):
    with pytest.raises(UserError) as caught:
        command.parse_condition(condition)
    assert len(str(caught.value)) <= 500
    advised = re.search("such as '(.+)'", caught.value.advice)[1]
    assert command.parse_condition(advised) == ("accuracy", "<", -0.01)


def test_a_condition_on_a_score_that_is_undefined_is_refused():
    with pytest.raises(UserError, match="mae is undefined here"):
        command.is_met(("mae", "<", 0.0), {"scores": {}})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["base"], "name two revisions, such as `stars compare main workspace`"),
        (["base", "base"], "'base' is there twice; name different revisions"),
        (["base", "base^0"], "'base', 'base^0' are the same commit; name different ones"),
        (["base", "none"], "no revision or experiment 'none'; run `dvc exp list`"),
        (["base", "base:x"], "'base:x' is not a revision, nor one with :baseline after it"),
        (["base", "early"], "'early' has no data/predictions/test.parquet in its dvc.lock"),
        (
            ["base", "other"],
            "'base' and 'other' were tested on different rows (0 of 400 and 400 are the same: "
            "sample.test_seed differ)",
        ),
        (["base", "nominal"], "'base' and 'nominal' have different classes: 'bad', 'fair', 'good'"),
        (["base", "better", "other"], "'base' and 'other' were tested on different rows"),
        (["base", "better", "--margin", "0"], "--margin 0.0 is not a share between 0 and 1"),
        (["base", "better", "--margin", "1"], "--margin 1.0 is not a share between 0 and 1"),
        (["base", "better", "--json", "--markdown"], "--json and --markdown exclude each other"),
        (["base", "better", "latest", "--texts", "1"], "--texts and --fail-if need exactly two"),
        (
            ["base", "better", "latest", "--fail-if", "accuracy < 0"],
            "--texts and --fail-if need exactly two revisions",
        ),
        (["base", "better", "--fail-if", "x"], "'x' is not a condition"),
    ],
)
def test_what_cannot_be_compared_is_one_line(compare, arguments, message):
    output = stars("compare", *arguments)
    assert isinstance(output, str)
    assert output.startswith(f"error: {message}")
    assert "\n" not in output
    assert len(output) <= 507


@pytest.mark.slow
def test_a_failed_condition_is_said_on_standard_error_without_torch(repo):
    command = ["compare", "base", "better", "--texts", "1", "--fail-if", "accuracy > 0"]
    code = "import sys\nfrom yelp_stars import cli\ntry: cli.main()\nfinally: print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, *command], cwd=repo, capture_output=True, text=True
    )
    assert done.returncode == 3
    assert done.stderr == "accuracy > 0 holds: exit code 3\n"
    heavy = {"torch", "transformers", "datasets", "matplotlib", "sklearn"}
    assert not heavy & {*done.stdout.splitlines()[-1].split()}


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A pipeline whose stage writes predictions: `first`, then two experiments of DVC."""
    repo = tmp_path_factory.mktemp("real") / "repo"
    (repo / "stages").mkdir(parents=True)
    (repo / "stages" / "__init__.py").touch()
    (repo / "data" / "predictions").mkdir(parents=True)
    (repo / "data" / "predictions" / ".gitignore").write_text("*.parquet\n")
    for gain in (1, 2):
        predictions.write(runs.predicted(gain), repo / f"gain{gain}.parquet")
    reviews = [(label, runs.text(row)) for row, label in enumerate(runs.predicted(1).labels)]
    write_reviews(repo / "reviews.arrow", reviews, list(runs.NAMES))
    out = "data/predictions/test.parquet"
    (repo / "data" / ".gitignore").write_text("/raw\n")
    (repo / "predict.py").write_text(
        "import shutil, yaml\nfrom pathlib import Path\n"
        "gain = yaml.safe_load(Path('params.yaml').read_text())['train']['gain']\n"
        f"shutil.copy(f'gain{{gain}}.parquet', '{out}')\n"
        "Path('data/raw').mkdir()\nshutil.copy('reviews.arrow', 'data/raw/test.arrow')\n"
    )
    stage = {"cmd": "python predict.py", "params": ["train"], "outs": [out, "data/raw"]}
    (repo / "dvc.yaml").write_text(dump_yaml({"stages": {"evaluate": stage}}))
    (repo / "params.yaml").write_text(dump_yaml({"train": {"gain": 1, "seed": 1}}))
    run("git", "init", "-q", "-b", "main", cwd=repo)
    dvc_in(repo, "init", "-q")
    dvc_in(repo, "repro")
    commit(repo, "first")
    for name, change in (("good", "train.gain=2"), ("alike", "train.seed=2")):
        dvc_in(repo, "exp", "run", "-n", name, "-S", change)
    return repo


@pytest.mark.slow
def test_experiments_of_dvc_are_compared_by_name(real, monkeypatch, capsys):
    monkeypatch.chdir(real)
    assert stars("compare", "main", "good") == 0
    output = capsys.readouterr().out
    assert output.startswith("good is better than main by ")
    assert re.search(r"\ntrain.gain +1 +2\n", output)
    assert stars("compare", "good", "alike") == 0
    assert re.search(r"\ntrain.seed +1 +2\n", capsys.readouterr().out)
    assert stars("compare", "main", "none").endswith("run `dvc exp list`")
    assert "good" in dvc_in(real, "exp", "list")


@pytest.mark.thorough
def test_predictions_that_the_cache_lacks_come_from_the_remote_or_are_one_line(
    real, tmp_path, monkeypatch, capsys
):
    clone, store = tmp_path / "clone", tmp_path / "store"
    run("git", "clone", "-q", str(real), str(clone), cwd=tmp_path)
    run("git", "fetch", "-q", "origin", "refs/exps/*:refs/exps/*", cwd=clone)
    monkeypatch.chdir(clone)
    message = fails("stars", "compare", "main", "good", cwd=clone)
    assert message.startswith("'main' has no data/predictions/test.parquet in DVC's cache or remot")
    dvc_in(clone, "remote", "add", "-q", "--local", "-d", "store", str(store))
    assert stars("compare", "main", "good") == f"error: {message}"
    assert "; run `dvc push` where it ran; or " in message
    shutil.copytree(real / ".dvc" / "cache", store)  # as `dvc push` fills a remote
    capsys.readouterr()
    assert stars("compare", "main", "good") == 0
    output = capsys.readouterr().out.splitlines()
    assert any(line.startswith("good is better than main by ") for line in output)
    # In processes of their own: DVC remembers what its cache had.
    assert "\nlongest quarter " not in run("stars", "compare", "main", "good", cwd=clone)
    output = run("stars", "compare", "main", "good", "--texts", "1", cwd=clone)
    assert "\n  review 0 " in output  # pulled, because they were asked for


@pytest.mark.slow
def test_a_finished_run_is_better_or_not_than_its_baseline(finished_repo, monkeypatch, capsys):
    monkeypatch.chdir(finished_repo)
    assert stars("compare", "HEAD:baseline", "HEAD", "--texts", "1") == 0
    output = capsys.readouterr().out
    assert "30 rows" in output
    assert "No parameter differs." in output
    assert stars("compare", "HEAD", "workspace", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "HEAD and workspace predict the same label for each of 30 rows"
    assert {row["kind"] for row in found["slices"]} >= {"class", "length"}
    assert 0 <= found["baselines"]["HEAD"] <= 1


@pytest.mark.thorough
def test_the_advice_about_missing_texts_brings_them(finished_repo, tmp_path, monkeypatch, capsys):
    copy = tmp_path / "repo"
    shutil.copytree(finished_repo, copy, symlinks=True)
    shutil.rmtree(copy / "data" / "raw")
    for name in copy.glob(".dvc/cache/files/md5/*/*.dir"):
        if b"test.arrow" in name.read_bytes():
            name.unlink()
    monkeypatch.chdir(copy)
    command = ("compare", "HEAD:baseline", "HEAD", "--texts", "1")
    message = stars(*command)
    run(*shlex.split(re.search("`([^`]+)`", message)[1]), cwd=copy)
    assert stars(*command) == 0
    assert re.search(r"\n- row \d+, ", capsys.readouterr().out)
