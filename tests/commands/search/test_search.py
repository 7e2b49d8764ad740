"""`stars search`: bad trials stop early, the winner is chosen on validation rows and says so."""

import json
import re
import shlex

import numpy as np
import pytest
from helpers import dvc_in, soak, stars

from yelp_stars.commands.search import search
from yelp_stars.commands.search.repeats import Repeats
from yelp_stars.pipeline.yaml_file import read_yaml


def found(*accuracies: float) -> search.Found:
    """Finalists with these accuracies, best first; the last one has the current parameters."""
    trials = [*range(1, len(accuracies)), search.OWN]
    finals = {
        trial: Repeats([f"search-{trial}-{seed}" for seed in (1, 2)], np.full(2, accuracy), 500)
        for trial, accuracy in zip(trials, accuracies, strict=True)
    }
    return search.Found({}, finals, [])


def test_a_third_of_the_trials_has_three_times_the_rows():
    assert search.plan(12, 2, 2000) == [(222, 4), (666, 2)]
    assert search.plan(27, 1, 27000) == [(1000, 9), (3000, 3), (9000, 1)]
    assert search.plan(12, 2, 200) == [(search.FEWEST, 4), (66, 2)]
    assert search.plan(12, 2, 9) == [(9, 4), (9, 2)]
    assert search.plan(2, 2, 2000) == []


def test_of_equal_trials_the_first_stays():
    assert search.best({0: 0.5, 1: 0.6, 2: 0.6, 3: 0.7}, 2) == [3, 1]
    assert search.best({4: 0.5, 2: 0.5}, 9) == [2, 4]


def test_the_winner_has_an_interval_and_a_warning():
    shown = search.verdict(found(0.8, 0.7), [{}, {"train.learning_rate": 3e-5}, {}])
    assert shown.startswith("Winner: train.learning_rate=3e-05\n")
    assert "0.800 (95 % interval 0.763 to 0.833), mean of 2 seeds on 500 rows" in shown
    assert "chosen on these rows, as the best of 2 trials: expect less on others" in shown


def test_the_parameters_as_they_are_can_win():
    shown = search.verdict(found(0.8), [{}])
    assert shown.startswith("Winner: the current parameters\n")
    assert "stars compare" not in shown


@pytest.mark.slow
@pytest.mark.thorough
def test_a_winner_is_compared_and_taken_over_by_the_commands_that_are_printed(toy_project, capfd):
    (toy_project / "space.yaml").write_text("train.learning_rate: {choices: [3e-5, 1e-4]}\n")
    command = ("search", "space.yaml", "--trials", "1", "--finalists", "1", "--seeds", "2")
    assert stars(*command) == 0
    first = capfd.readouterr().out
    names = re.findall(r"^(search-\S+), in a copy", first, re.M)
    assert len(names) == len(set(names)) == 4  # 1e-4 is that of the parameters
    assert "Winner: train.learning_rate=3e-05\n" in first
    assert stars(*command) == 0
    second = capfd.readouterr().out
    assert "in a copy" not in second
    assert second.split("\ntrial  ")[1] == first.split("\ntrial  ")[1]
    # A comparison of two groups on the test rows, and the winner.
    compare, apply = re.findall(r"^  ((?:stars compare|dvc exp apply) .*)", first, re.M)
    assert stars(*shlex.split(compare)[1:], "--json") == 0
    ranking = json.loads(capfd.readouterr().out)["ranking"]
    assert [len(row["runs"]) for row in ranking] == [2, 2]
    message = stars(*command, "-S", "train.learning_rate=0.9")
    assert message == "error: train.learning_rate is in 'space.yaml' and set by -S; choose one"
    dvc_in(toy_project, *shlex.split(apply)[1:])
    assert read_yaml(toy_project / "params.yaml")["train"]["learning_rate"] == 3e-5


@pytest.mark.slow
@soak
def test_bad_trials_stop_early_and_one_that_fails_is_out(toy_project, capfd):
    space = "train.learning_rate: {choices: [0.1, 3e-5, 0.7]}\n"  # it fails with 0.7
    (toy_project / "space.yaml").write_text(space)
    command = ("search", "space.yaml", "--trials", "3", "--finalists", "1", "--seeds", "2")
    assert stars(*command) == 0
    first = capfd.readouterr().out
    assert first.count(", in a copy") == 8  # four trials, then two with two seeds
    assert "Winner: train.learning_rate=3e-05\n" in first
    table = re.sub(" +\n", "\n", first)
    assert re.search(r"^\d +0\.7 +failed$", table, re.M)
    assert re.search(r"^\d +0\.1 +0\.\d{3}$", table, re.M)
    assert stars(*command) == 0
    second = capfd.readouterr().out
    assert second.count(", in a copy") == 1  # what failed may succeed now
    assert second.split("\ntrial  ")[1] == first.split("\ntrial  ")[1]
    message = stars(*command, "-S", "train.weight_decay=-1")
    assert message.startswith("error: params.yaml: train.weight_decay is -1: ")
