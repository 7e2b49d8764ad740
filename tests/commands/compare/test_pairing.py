"""Two runs, row by row: pairs of the same rows only, and what differs between them."""

import json
import time

import numpy as np
import pytest
import runs

from yelp_stars.commands.compare import pairing
from yelp_stars.commands.runs.revisions import Lock, Revision, read_revision
from yelp_stars.evaluation import slices
from yelp_stars.evaluation.predictions import text_hash
from yelp_stars.pipeline.errors import UserError

PARAMS = {"train.learning_rate": 1e-4, "train.seed": 1, "sample.test_seed": 42}


def revision(name, found, **params) -> Revision:
    changed = {key.replace("__", "."): value for key, value in params.items()}
    return Revision(name, name, Lock({}, {**PARAMS, **changed}, {}), found)


def subset(found, rows):
    return found._replace(
        rows=found.rows[rows],
        texts=[found.texts[row] for row in rows],
        labels=found.labels[rows],
        logits=found.logits[rows],
    )


BASE = runs.predicted(1.0, rows=100)
DIFFERENT = "were tested on different rows"


@pytest.mark.parametrize(
    ("found", "params", "problem"),
    [
        (
            subset(BASE, np.arange(60)),
            {"download__test_size": 60, "train__seed": 3},
            f"{DIFFERENT} (60 of 100 and 60 are the same: download.test_size differ)",
        ),
        (
            BASE._replace(texts=["0" * 16, *BASE.texts[1:]]),
            {},
            f"{DIFFERENT} (99 of 100 and 100 are the same)",
        ),
        (BASE._replace(rows=BASE.rows + 1), {}, f"{DIFFERENT} (0 of 100 and 100 are the same)"),
        (
            BASE._replace(labels=(BASE.labels + 1) % 3),
            {},
            "have different labels for the same texts",
        ),
        (
            BASE._replace(names=["good", "fair", "bad"]),
            {},
            "have different classes: 'bad', 'fair', 'good'; 'good', 'fair', 'bad'",
        ),
    ],
)
def test_different_rows_labels_or_classes_are_refused_by_name(found, params, problem):
    with pytest.raises(UserError) as caught:
        pairing.match(revision("a", BASE), revision("b", found, **params))
    assert caught.value.problem == f"'a' and 'b' {problem}"


def test_the_parameters_and_the_code_that_differ_are_listed_and_no_others():
    one = {"train.seed": 2, "train.learning_rate": 1e-4}
    two = {"train.seed": 2, "train.learning_rate": 5e-5, "evaluate.seed": 0}
    assert pairing.changed([one, two]) == {
        "evaluate.seed": [None, 0], "train.learning_rate": [1e-4, 5e-5],
    }  # fmt: skip
    assert pairing.changed([one, one]) == {}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    repo = runs.new_repo(tmp_path_factory.mktemp("pairing") / "repo")
    texts = [runs.text(row) for row in range(400)]
    evaluate = {"slices": {"tens": "review 0 \\d0 ", "loop": "(x+x+)+y", "broken": "("}}
    first = {"flags": {"leak": [row < 50 for row in range(400)]}, "baseline": runs.predicted(0.1)}
    runs.add_run(repo, "base", runs.predicted(1.0), texts=texts, evaluate=evaluate, **first)
    runs.add_run(repo, "better", runs.predicted(2.0, noise=1), train={"learning_rate": 5e-5})
    runs.add_run(repo, "untold", runs.predicted(1.0, seed=1))
    return repo


@pytest.fixture
def here(made, monkeypatch):
    monkeypatch.chdir(made)
    return made


def test_a_pair_is_described_by_slice_with_its_baseline(here):
    found = pairing.describe(read_revision("base"), read_revision("better"), margin=0.01, texts=0)
    assert found["verdict"].startswith("better is better than base by ")
    names = [(row["kind"], row["name"], row["n"]) for row in found["slices"]]
    assert [name for kind, name, _ in names if kind in ("class", "length")] == [
        *runs.NAMES, *slices.QUARTERS,
    ]  # fmt: skip
    assert [(kind, n) for kind, name, n in names if name in ("leak", "tens", "broken")] == [
        ("pattern", 9), ("audit", 50),
    ]  # fmt: skip
    assert found["baselines"] == {"base": pytest.approx(runs.predicted(0.1).right.mean())}
    assert found["params"]["train.learning_rate"] == [1e-4, 5e-5]
    json.dumps(found)  # numbers of Python


@pytest.mark.parametrize("count", [2, 300])
def test_patterns_of_a_foreign_run_end_soon_however_many(made, monkeypatch, count):
    monkeypatch.chdir(made)
    monkeypatch.setattr(pairing, "SECONDS", 0.05)
    texts = ["a" * 60 + f"! {runs.text(row)}" for row in range(400)]
    found = runs.predicted(1.0)._replace(texts=[*map(text_hash, texts)])
    evaluate = {"slices": {f"s{number}": "(a|aa)+$" for number in range(count)}}
    runs.add_run(made, f"slow{count}", found, texts=texts, evaluate=evaluate)
    slow = read_revision(f"slow{count}")
    started = time.monotonic()
    described = pairing.describe(slow, slow, margin=0.01, texts=0)
    assert time.monotonic() - started < 10
    assert "pattern" not in {row["kind"] for row in described["slices"]}


def test_the_flipped_texts_are_the_surest_first(here):
    found = pairing.describe(read_revision("base"), read_revision("better"), margin=0.01, texts=3)
    for kind, rows in found["texts"].items():
        assert len(rows) == min(3, found["flips"][kind])
        chances = [row["probability"] for row in rows]
        assert chances == sorted(chances, reverse=True)
        for row in rows:
            assert row["text"] == runs.text(row["row"])
            right = (row["first"] == row["label"], row["second"] == row["label"])
            expected = {"harmful": (True, False), "beneficial": (False, True)}
            assert right == expected.get(kind, (False, False))
            assert row["first"] != row["second"]


def test_texts_that_nobody_has_are_one_line(here):
    untold = read_revision("untold")
    assert pairing.describe(untold, untold, margin=0.01, texts=0)["n"] == 400
    with pytest.raises(UserError, match="has the texts of the test rows of 'untold'; run `dvc"):
        pairing.describe(untold, untold, margin=0.01, texts=1)
