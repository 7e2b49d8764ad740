"""Three runs or more: one best only where the rows show it, runs of other seeds as one group."""

import itertools
import json

import pytest
import runs

from yelp_stars.commands.compare import ranking
from yelp_stars.commands.runs.revisions import Lock, Revision
from yelp_stars.comparing import paired
from yelp_stars.evaluation import intervals
from yelp_stars.pipeline.errors import UserError

PARAMS = {"train.learning_rate": 1e-4, "train.seed": 1, "sample.train_seed": 2, "train.epochs": 3}


def revision(name, gain, noise=0, code="1", rows=400, **params) -> Revision:
    changed = {key.replace("__", "."): value for key, value in params.items()}
    lock = Lock({}, {**PARAMS, **changed}, {"stages/train.py": code})
    return Revision(name, name, lock, runs.predicted(gain, rows=rows, noise=noise))


def test_the_best_is_named_if_the_rows_show_it():
    found = ranking.rank(
        [
            revision("a", 1.0, 1),
            revision("b", 3.0, 2, train__learning_rate=5e-5),
            revision("c", 1.5, 3, train__epochs=4),
        ]
    )
    assert found["verdict"].startswith("b is the best of 3: better than the next, c, by ")
    assert [row["name"] for row in found["ranking"]] == ["b", "c", "a"]
    assert found["params"] == {
        "train.epochs": [3, 4, 3], "train.learning_rate": [5e-5, 1e-4, 1e-4],
    }  # fmt: skip
    assert found["code"] == []
    json.dumps(found)


def test_the_p_values_are_those_of_mcnemar_adjusted_for_all_pairs():
    three = [
        revision(name, gain, i, train__epochs=i)
        for i, (name, gain) in enumerate((("a", 2.0), ("b", 1.6), ("c", 1.5)))
    ]
    labels = three[0].predictions.labels
    guesses = [run.predictions.predicted for run in three]
    adjusted = intervals.holm(
        [paired.compare_accuracy(labels, *pair).p for pair in itertools.combinations(guesses, 2)]
    )
    best, *others = ranking.rank(three)["ranking"]
    assert [best["name"], *(row["name"] for row in others)] == ["a", "b", "c"]
    assert [best["p"], *(row["p"] for row in others)] == [None, *adjusted[:2]]
    for row in others:
        assert row["low"] <= row["difference"] <= row["high"]
        assert row["difference"] == pytest.approx(row["accuracy"] - best["accuracy"])


def test_without_a_clear_best_those_that_may_be_as_good_are_named():
    runs_of = [revision(name, 1.0, i, train__epochs=i) for i, name in enumerate("abc")]
    found = ranking.rank([*runs_of, revision("bad", 0.0, 9, train__epochs=9)])
    assert (
        " has the highest accuracy of 4, but 400 rows do not show that it is better than "
        in (found["verdict"])
    )
    assert "bad" not in found["verdict"].split()


def test_runs_that_differ_in_seeds_are_one_group():
    found = ranking.rank(
        [
            *[revision(f"a{i}", 1.0, i, train__seed=i, sample__train_seed=i) for i in range(3)],
            *[revision(f"b{i}", 2.5, 9 + i, train__seed=i, train__epochs=9) for i in range(3)],
        ]
    )
    assert found["verdict"].startswith("b0 and 2 more is the best of 2: better than the next, a0 a")
    first, second = found["ranking"]
    assert (first["runs"], second["runs"]) == (["b0", "b1", "b2"], ["a0", "a1", "a2"])
    right = ranking.group([revision(f"a{i}", 1.0, i) for i in range(3)])[0].right.mean(axis=1)
    assert second["accuracy"] == pytest.approx(right.mean())
    assert second["standard_deviation"] == pytest.approx(right.std(ddof=1))
    assert found["params"] == {"train.epochs": [9, 3]}  # not the seeds


def test_one_run_in_two_commits_is_no_second_run():
    runs = [revision("a", 1.0, 0), revision("b", 2.0, 1), revision("again", 1.0, 0)]
    with pytest.raises(UserError) as caught:
        ranking.rank(runs)
    assert str(caught.value) == "'a' and 'again' are the same run; name one of them"
    other_seed = revision("again", 1.0, 0, train__seed=7)  # it may predict the same
    (group,) = ranking.rank([*runs[:2], other_seed])["ranking"]
    assert group["runs"] == ["a", "b", "again"]


def test_runs_of_one_group_say_what_chance_does():
    found = ranking.rank([revision(f"a{i}", 1.0, i, train__seed=i) for i in range(3)])
    assert found["verdict"].startswith("3 runs that differ only in their seeds have an accuracy of")
    assert "by chance, 95 times out of 100" in found["verdict"]
    assert found["params"] == {}


@pytest.mark.parametrize(
    "change",
    [{"code": "2"}, {"train__epochs": 4}, {"name": "b:baseline"}, {"train__seedling": 1}],
)
def test_runs_of_other_code_parameters_or_models_are_not_of_one_group(change):
    second = revision(**{"name": "b", "gain": 1.0, "noise": 1, **change})
    assert len(ranking.group([revision("a", 1.0), second])) == 2


def test_rows_in_another_order_are_the_same_rows():
    one = revision("a", 1.0)
    found = one.predictions
    turned = found._replace(
        rows=found.rows[::-1], texts=found.texts[::-1], labels=found.labels[::-1],
        logits=found.logits[::-1],
    )  # fmt: skip
    [group] = ranking.group([one, one._replace(name="b", predictions=turned)])
    assert (group.right[0] == group.right[1]).all()
