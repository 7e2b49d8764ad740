"""Slices: rows where they belong, a warning where there is a reason, and seldom without one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from yelp_stars.evaluation import slices
from yelp_stars.evaluation.slices import Slice


@given(st.lists(st.integers(1, 32), min_size=1, max_size=80))
@settings(max_examples=30)
def test_every_row_is_in_one_quarter_by_its_length(lengths):
    quarters = slices.by_length(["é" * length for length in lengths])
    assert np.sum([part.inside for part in quarters], axis=0).tolist() == [1] * len(lengths)
    longest = -1
    for part in quarters:
        inside = np.array(lengths)[part.inside]
        if len(inside):
            assert inside.min() > longest
            assert part.meaning == f"{inside.min()} to {inside.max()} characters"
            longest = inside.max()
    cut_off = slices.truncated(np.array(lengths), 32)
    assert cut_off.inside.tolist() == [length == 32 for length in lengths]


def test_distinct_lengths_are_quartered_evenly():
    lengths = np.random.default_rng(0).permutation(100).tolist()
    found = slices.by_length(["x" * length for length in lengths])
    assert [int(part.inside.sum()) for part in found] in ([25, 25, 25, 25], [26, 25, 25, 24])


def of(inside) -> Slice:
    return Slice("pattern", "a", "b", np.array(inside, bool))


def test_a_slice_is_scored_with_its_rest():
    correct = np.array([1, 1, 0, 0, 1], bool)
    (found,) = slices.score(correct, [of([1, 1, 1, 0, 0])])
    assert (found["accuracy"]["value"], found["accuracy"]["n"]) == (0.7, 3)
    assert (found["accuracy_of_the_rest"]["value"], found["accuracy_of_the_rest"]["n"]) == (0.5, 2)
    assert not found["worse"]


def test_a_slice_of_all_rows_or_of_none_is_not_worse():
    for found in slices.score(np.zeros(9, bool), [of([1] * 9), of([0] * 9)]):
        assert (found["p_worse"], found["worse"]) == (1.0, False)
        assert {found["accuracy"]["n"], found["accuracy_of_the_rest"]["n"]} == {0, 9}


def test_p_values_are_fishers_times_the_number_of_slices():
    rng = np.random.default_rng(0)
    correct, inside = rng.random(200) < 0.7, rng.random(200) < 0.3
    correct[inside] &= rng.random(inside.sum()) < 0.6
    counts = [[(correct & part).sum(), (~correct & part).sum()] for part in (inside, ~inside)]
    alone = fisher_exact(counts, alternative="less").pvalue
    found = slices.score(correct, [of(inside), of(~inside)])
    assert found[0]["p_worse"] == pytest.approx(2 * alone, rel=0.05)
    assert found[0]["worse"]
    assert not found[1]["worse"]


def test_of_models_without_a_weakness_at_most_5_percent_have_a_slice_called_worse():
    rng, alarms = np.random.default_rng(0), 0
    for _ in range(150):
        correct = rng.random(400) < 0.6
        parts = [of(rng.random(400) < share) for share in (0.25, 0.25, 0.25, 0.1, 0.02)]
        alarms += any(row["worse"] for row in slices.score(correct, parts))
    assert alarms / 150 <= 0.05


def test_flags_and_patterns_are_slices_by_name():
    flags = {name: np.array([True, False]) for name in ("leak", "near_duplicate", "short")}
    assert [part.name for part in slices.by_flag(flags)] == ["leak", "near_duplicate"]
    (found,) = slices.by_pattern({"price": np.array([False, True])})
    assert (found.kind, found.name, found.meaning) == (
        "pattern",
        "price",
        "the text matches evaluate.slices.price",
    )
