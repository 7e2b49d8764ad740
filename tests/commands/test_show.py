"""`stars show`: the scores of the last run, and what to do with them."""

import json
import shutil

import pyarrow as pa
import pytest
from helpers import ROOT, fails, run, stars

from yelp_stars.commands.show import MADE
from yelp_stars.data import arrow
from yelp_stars.evaluation.titles import ORDERED, SCORES


@pytest.fixture
def scored_project(data_project):
    """A clone with the committed scores, in which nothing has run: the working folder."""
    shutil.copytree(ROOT / "metrics", data_project / "metrics")
    return data_project


def test_missing_scores_are_one_line_on_stderr_and_exit_code_1(data_project):
    error = fails("stars", "show", cwd=data_project)
    assert error == "no 'metrics/test.json' yet; run `make repro`"


def test_a_fresh_clone_shows_the_committed_scores_and_says_so(scored_project, capsys):
    assert stars("show") == 0
    shown = capsys.readouterr().out
    scores = json.loads((scored_project / "metrics" / "test.json").read_text())
    assert f"Test scores, {scores['n']:,} reviews\n" in shown
    assert "These are committed scores of an earlier run: models/finetuned has no model." in shown
    assert "Run `make repro` to train one, or `dvc pull` if a remote is set up." in shown
    assert "Made" not in shown
    assert "Next" not in shown


def test_an_undefined_score_is_shown_as_such_and_one_that_needs_an_order_only_with_one(
    scored_project, capsys
):
    path = scored_project / "metrics" / "test.json"
    scores = {
        key: value for key, value in json.loads(path.read_text()).items() if key not in ORDERED
    }
    path.write_text(json.dumps({**scores, "macro_f1": None}))
    assert stars("show") == 0
    shown = capsys.readouterr().out
    assert f"  {SCORES['macro_f1']:<22}undefined\n" in shown
    assert not [key for key in ORDERED if key in SCORES and SCORES[key] in shown]


def test_few_rows_of_a_class_are_those_trained_on_and_none_are_known_in_a_fresh_clone(
    scored_project, capsys
):
    shutil.copytree(ROOT / "plots", scored_project / "plots")
    assert stars("show") == 0
    assert "Few rows of a class" not in capsys.readouterr().out
    schema = arrow.make_schema({"label": pa.int64()}, ["bad", "good"])
    (scored_project / "data" / "sample").mkdir()
    rows = pa.record_batch([[0] * 20 + [1] * 3], schema=schema)
    arrow.write(scored_project / "data" / "sample" / "train.arrow", schema, [rows])
    assert stars("show") == 0
    assert "Fewer than 10 of the rows trained on have the label 'good'" in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_that_is_not_committed_is_to_be_committed(finished_repo, monkeypatch, capsys):
    path = finished_repo / "metrics" / "test.json"
    content = path.read_text()
    monkeypatch.chdir(finished_repo)
    path.write_text(content + "\n")
    assert stars("show") == 0
    following = capsys.readouterr().out.split("\nNext")[1].splitlines()[1:]
    assert following[0].startswith('  git add -A && git commit -m "my run"  ')
    assert len(following) == 5
    path.write_text(content)


@pytest.mark.slow
def test_a_finished_run_shows_what_it_made_and_four_commands(finished_repo):
    output = run("stars", "show", cwd=finished_repo)
    scores = json.loads((finished_repo / "metrics" / "test.json").read_text())
    assert "Test scores, 30 reviews" in output
    low, high = scores["accuracy_low"], scores["accuracy_high"]
    assert f"{scores['accuracy']:.2f}  95 % interval {low:.2f} to {high:.2f}" in output
    assert "committed scores" not in output
    made, following = output.split("\nMade\n")[1].split("\nNext (first: source .venv/bin/activate)")
    paths = [line.split()[0] for line in made.splitlines()]
    assert paths == list(MADE)
    for path in paths:
        assert (finished_repo / path).exists()
    commands = [line.strip() for line in following.strip().splitlines()]
    assert len(commands) == 4
    assert [line for line in commands if line.startswith("dvc exp run -S train.learning_rate=5e-5")]
    assert [line for line in commands if line.startswith("stars params  ")]


@pytest.mark.parametrize("content", ["<<<<<<< HEAD\n{}", "[]", '{"n": 5, "majority": 1}'])
@pytest.mark.parametrize(("name", "stage"), [("test", "evaluate"), ("baseline", "baseline")])
def test_scores_that_cannot_be_read_are_one_line(scored_project, content, name, stage):
    (scored_project / "metrics" / f"{name}.json").write_text(content)
    error = stars("show")
    assert error == f"error: 'metrics/{name}.json' is damaged; run `dvc repro {stage}`"
