"""`stars compare`: real runs of DVC, a verdict first, one line for each mistake."""

import json
import re
import shlex
import shutil
import sys

import pytest
import runs
from helpers import dvc_in, run, stars

from yelp_stars.commands.compare import command
from yelp_stars.pipeline.errors import UserError


@pytest.fixture(scope="module")
def repo(tmp_path_factory):
    """`base`, `better`, `other` (other rows), then `latest`."""
    repo = runs.new_repo(tmp_path_factory.mktemp("comparison") / "repo")
    texts = [runs.text(row) for row in range(400)]
    runs.add_run(repo, "base", runs.predicted(1.0), texts=texts, baseline=runs.predicted(0.2))
    runs.add_run(repo, "better", runs.predicted(2.0, noise=1), train={"learning_rate": 5e-5})
    runs.add_run(repo, "other", runs.predicted(1.0, seed=1), sample={"test_seed": 7})
    runs.add_run(repo, "latest", runs.predicted(1.5), texts=texts, train={"learning_rate": 3e-5})
    return repo


@pytest.fixture
def compare(repo, monkeypatch, capsys):
    """Run `stars compare` in this process; returns what it prints."""
    monkeypatch.chdir(repo)

    def call(*arguments: str) -> str:
        assert stars("compare", *arguments) == 0
        return capsys.readouterr().out

    return call


def test_the_better_run_is_named_first_with_what_changed(compare):
    output = compare("base", "better")
    assert output.startswith("better is better than base by ")
    assert re.search(r"\ntrain.learning_rate +0.0001 +5e-05\n", output)
    assert "train.seed" not in output
    for title in ("accuracy", "macro-F1", "mean error in classes", "quadratic kappa", "log loss"):
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
    lines = compare("base", "better", "--markdown").splitlines()
    assert lines[0] == found["verdict"]
    row = next(line for line in lines if line.startswith("| accuracy "))
    assert row.split()[3:6:2] == [f"{accuracy['first']:.3f}", f"{accuracy['second']:.3f}"]


def test_more_than_two_runs_are_ranked(compare):
    output = compare("base", "latest", "better").splitlines()
    assert output[0].startswith("better is the best of 3: better than the next, latest, by ")
    assert [line.split()[0] for line in output[4:7]] == ["better", "latest", "base"]
    found = json.loads(compare("base", "latest", "better", "--json"))
    assert found["params"] == {"train.learning_rate": [5e-5, 3e-5, 1e-4]}
    assert compare("base", "latest", "better", "--markdown").startswith(output[0])


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
def test_a_condition_on_the_difference_decides_the_exit_code(
    repo, monkeypatch, capsys, condition, code
):
    monkeypatch.chdir(repo)
    assert stars("compare", "base", "better", "--fail-if", condition) == code
    assert capsys.readouterr().err == (f"{condition} holds: exit code 3\n" if code else "")


@pytest.mark.parametrize(
    "condition",
    [
        "accuracy", "__import__('os') < 1", "accuracy < 1; x", "f1 < 1", "", "loss <= 1",
        "accuracy.mid < 0",
        "accuracy < 1e5", "accuracy < \u0661", "accuracy < 1" * 999, "accuracy\n< 1\n\n; x",
    ],
)  # fmt: skip
def test_anything_but_a_condition_is_refused_with_an_example(condition):
    with pytest.raises(UserError) as caught:
        command.parse_condition(condition)
    advised = re.search("such as '(.+)'", caught.value.advice)[1]
    assert command.parse_condition(advised) == ("accuracy", "<", -0.01)


def described(difference, low=-1.0, high=1.0):
    return {"scores": {"accuracy": {"difference": difference, "low": low, "high": high}}}


def test_a_difference_of_exactly_one_point_is_not_below_it():
    condition = command.parse_condition("accuracy < -0.01")
    for right in range(10, 1001):
        assert not command.is_met(condition, described((right - 10) / 1000 - right / 1000))
        assert command.is_met(condition, described((right - 11) / 1000 - right / 1000))


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        ("accuracy.high < 0", False), ("accuracy.high < 0.01", True), ("accuracy.low>-0.05", False),
        ("accuracy.low > -0.06", True),
    ],
)  # fmt: skip
def test_a_condition_may_be_on_an_end_of_the_interval(condition, met):
    found = described(-0.02, -0.05, 0.005)
    assert command.is_met(command.parse_condition(condition), found) == met


def test_a_condition_on_a_score_that_is_undefined_is_refused():
    with pytest.raises(UserError, match="mae is undefined here"):
        command.is_met(("mae", "<", 0.0), {"scores": {}})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["base"], "name two revisions, such as `stars compare main workspace`"),
        (["base", "base"], "'base', 'base' are the same commit; name different ones"),
        (["base", "base^0"], "'base', 'base^0' are the same commit; name different ones"),
        (["base", "other"], "'base' and 'other' were tested on different rows (0 of 400 and"),
        (["base", "better", "other"], "'base' and 'other' were tested on different rows"),
        (["base", "better", "--json", "--markdown"], "--json and --markdown exclude each other"),
        (["base", "better", "latest", "--texts", "1"], "--texts and --fail-if need exactly two"),
        (["base", "better", "--fail-if", "x"], "'x' is not a condition"),
    ],
)
def test_what_cannot_be_compared_is_one_line(compare, arguments, message):
    output = stars("compare", *arguments)
    assert output.startswith(f"error: {message}")
    assert "\n" not in output


@pytest.mark.slow
def test_a_comparison_needs_no_torch(repo):
    code = "import sys\nfrom yelp_stars import cli\ntry: cli.main()\nfinally: print(*sys.modules)"
    command = (sys.executable, "-c", code, "compare", "base", "better", "--texts", "1")
    imported = run(*command, cwd=repo).splitlines()[-1].split()
    assert not {"torch", "transformers", "datasets", "matplotlib", "sklearn"} & {*imported}


@pytest.mark.slow
def test_experiments_and_baselines_of_a_pipeline_are_compared_by_name(
    second_run, monkeypatch, capsys
):
    monkeypatch.chdir(second_run)
    assert stars("compare", "HEAD", "slower") == 0
    output = capsys.readouterr().out
    assert " 30 rows" in output
    assert re.search(r"\ntrain.learning_rate +0", output)
    assert stars("compare", "HEAD:baseline", "HEAD") == 0
    assert "No parameters differ." in capsys.readouterr().out
    assert stars("compare", "slower", "workspace", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "slower and workspace predict the same label for each of 30 rows"
    assert {row["kind"] for row in found["slices"]} >= {"class", "length"}
    assert 0 <= found["baselines"]["slower"] <= 1


@pytest.mark.thorough
def test_predictions_that_the_cache_lacks_come_from_the_remote_or_are_one_line(
    experimented, tmp_path, monkeypatch, capsys
):
    clone, store = tmp_path / "clone", tmp_path / "store"
    run("git", "clone", "-q", str(experimented), str(clone), cwd=tmp_path)
    run("git", "fetch", "-q", "origin", "refs/exps/*:refs/exps/*", cwd=clone)
    monkeypatch.chdir(clone)
    dvc_in(clone, "remote", "add", "-q", "--local", "-d", "store", str(store))
    assert "; run `dvc push` where it ran; or " in stars("compare", "HEAD", "slower")
    shutil.copytree(experimented / ".dvc" / "cache", store)  # as `dvc push` fills a remote
    capsys.readouterr()
    assert stars("compare", "HEAD", "slower") == 0
    assert " 30 rows" in capsys.readouterr().out
    # In processes of their own: DVC remembers what its cache had.
    assert "\nlongest quarter " not in run("stars", "compare", "HEAD", "slower", cwd=clone)
    output = run("stars", "compare", "HEAD", "slower", "--texts", "1", cwd=clone)
    assert "\nlongest quarter " in output  # pulled, because they were asked for


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
