"""The file of `stars search`: every problem in one error; seeded trials within its bounds."""

import copy

import pytest
from helpers import ROOT
from hypothesis import given
from hypothesis import strategies as st

from yelp_stars.commands.search.space import Parameter, check_trials, draw, read_space
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.yaml_file import read_yaml

PARAMS = read_yaml(ROOT / "presets" / "quickstart.yaml")


def read(folder, text):
    (folder / "space.yaml").write_text(text)
    return read_space(folder / "space.yaml", PARAMS)


def test_the_example_of_the_guide_is_valid_for_the_quickstart_and_all_its_trials_can_run():
    example = ROOT / "docs" / "space.yaml"
    assert f"```text\n{example.read_text()}```" in (ROOT / "docs" / "search.md").read_text("utf-8")
    space = read_space(example, PARAMS)
    trials = draw(space, PARAMS, 200, seed=0)
    check_trials(PARAMS, trials)
    assert len(trials) == 201


def test_every_problem_is_in_one_error(tmp_path):
    with pytest.raises(UserError) as caught:
        read(
            tmp_path,
            "train.learning_rate: {low: 1e-4, high: 1e-5}\n"
            "train.rate: {low: 1, high: 2}\n"
            "sample.validation_seed: {low: 1, high: 2}\n"
            "train.seed: {low: 1, high: 2}\n"
            "train.warmup_steps: {low: 0, high: 1, log: true}\n"
            "train.weight_decay: {low: a, step: 3}\n"
            "train.num_train_epochs: {choices: [1]}\n"
            "train.precision: {choices: [fp32, bf16], low: 1}\n"
            "train.frozen_layers: 3\n"
            f"train.attention_dropout: {{low: 1, high: {'9' * 400}}}\n",
        )
    shown = str(caught.value)
    assert shown.splitlines()[0].endswith(": problems: 11")
    for problem in (
        "'sample.validation_seed' is not a parameter of tokenize or train that a search may change",
        "'train.rate' is not a parameter",
        "'train.seed' is not a parameter",
        "train.learning_rate is inconsistent: low should be below high",
        "train.warmup_steps is inconsistent: log requires low above 0",
        "train.weight_decay.low is 'a': should be a valid integer, or a valid number",
        "train.weight_decay.step is not a parameter",
        "train.num_train_epochs.choices is [1]: ",
        "train.precision is inconsistent: choices excludes low, high and log",
        "train.attention_dropout.high is 99999999",
        "train.frozen_layers is 3: should be a mapping of keys to values",
    ):
        assert problem in shown, problem


@pytest.mark.parametrize("text", ["", "[]"])
def test_a_file_without_parameters_is_one_line(tmp_path, text):
    with pytest.raises(UserError, match="should have 1 to 20 parameters, such as"):
        read(tmp_path, text)


def test_trials_that_cannot_run_are_reported_before_any_runs(tmp_path):
    space = read(tmp_path, "train.weight_decay: {low: -1.0, high: 1.0}\n")
    with pytest.raises(UserError) as caught:
        check_trials(PARAMS, draw(space, PARAMS, 8, seed=0))
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("of 9 trials cannot run")
    assert "train.weight_decay is -" in lines[1]


def test_the_first_trial_is_the_parameters_and_a_larger_number_begins_with_the_same(tmp_path):
    space = read(tmp_path, "train.learning_rate: {low: 1e-5, high: 1e-3, log: true}\n")
    few, many = draw(space, PARAMS, 5, seed=1), draw(space, PARAMS, 20, seed=1)
    assert few[0] == {}
    assert many[:6] == few
    assert draw(space, PARAMS, 5, seed=2) != few
    # Evenly on a logarithmic scale.
    below = sum(trial["train.learning_rate"] < 1e-4 for trial in many[1:])
    assert 9 <= below <= 11


def test_a_small_space_has_each_value_once_and_never_that_of_the_parameters(tmp_path):
    space = read(tmp_path, "train.frozen_layers: {choices: [0, 1, 2, 3]}\n")
    before = copy.deepcopy(PARAMS)
    trials = draw(space, PARAMS, 50, seed=0)
    assert sorted(trial["train.frozen_layers"] for trial in trials[1:]) == [0, 1, 3]
    assert before == PARAMS


@given(
    ends=st.tuples(st.integers(1, 1000), st.integers(1, 1000)).filter(lambda two: two[0] < two[1]),
    share=st.floats(0, 1),
    log=st.booleans(),
    whole=st.booleans(),
)
def test_a_value_is_within_its_bounds_and_of_their_type(ends, share, log, whole):
    low, high = ends if whole else (ends[0] / 7, ends[1] / 7)
    value = Parameter(low=low, high=high, log=log).at(share)
    assert low <= value <= high
    assert isinstance(value, int) == whole


@pytest.mark.parametrize("parameter", [Parameter(choices=[1, 2, 3]), Parameter(low=1, high=3)])
def test_every_choice_and_both_ends_are_drawn(parameter):
    assert {parameter.at(percent / 100) for percent in range(101)} == {1, 2, 3}
