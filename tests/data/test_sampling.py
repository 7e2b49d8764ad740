"""Samples: seeded prefixes of one permutation, disjoint where promised."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yelp_stars.data import arrow
from yelp_stars.data.permutation import permutation
from yelp_stars.data.sampling import (
    Params,
    describe_labels,
    draw_subsets,
    read_labels,
    take,
)
from yelp_stars.data.sources import write_reviews
from yelp_stars.pipeline.errors import UserError

LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=200).map(np.array)
FIFTY = np.arange(50) % 5


PARAMS = Params(
    train_size=20,
    train_seed=1,
    validation_size=10,
    validation_seed=2,
    validation_from="train",
    test_size=10,
    test_seed=3,
    stratify=False,
    allow_overlap=False,
    exclude=[],
)


def draw(train, test, excluded=None, **changes):
    excluded = np.zeros(len(train), bool) if excluded is None else excluded
    return draw_subsets(train, test, PARAMS.model_copy(update=changes), excluded)


@settings(max_examples=30)
@given(labels=LABELS, seed=st.integers(0, 2**32), stratify=st.booleans())
def test_a_sample_is_a_prefix_of_one_permutation(labels, seed, stratify):
    order = permutation(labels, seed, stratify)
    assert sorted(order) == list(range(len(labels)))
    for size in (1, len(labels) // 2, len(labels)):
        if size:
            assert take(order, size).tolist() == order[:size].tolist()
    assert take(order, "all").tolist() == order.tolist()


@settings(max_examples=30)
@given(labels=LABELS, seed=st.integers(0, 99))
def test_every_prefix_of_a_stratified_order_has_the_labels_in_proportion(labels, seed):
    order = permutation(labels, seed, stratify=True)
    share = np.bincount(labels, minlength=5) / len(labels)
    for size in range(1, len(labels) + 1):
        counts = np.bincount(labels[order[:size]], minlength=5)
        assert abs(counts - share * size).max() <= 2.5


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "size"), [(42, 1000), (64, 100)])
def test_the_notebooks_rows_are_those_of_datasets(seed, size):
    from datasets import Dataset

    rows = Dataset.from_dict({"row": list(range(5000))}).shuffle(seed=seed).select(range(size))
    ours = take(permutation(np.arange(5000) % 5, seed, stratify=False), size)
    assert ours.tolist() == rows["row"][:]


@settings(max_examples=30)
@given(
    excluded=st.lists(st.booleans(), min_size=100, max_size=100).map(np.array),
    sizes=st.tuples(st.integers(1, 60), st.integers(1, 40)), stratify=st.booleans(),
    validation_from=st.sampled_from(["train", "test"]),
)  # fmt: skip
def test_validation_is_disjoint_from_train_and_excluded_rows_are_skipped_in_one_order(
    excluded, sizes, stratify, validation_from
):
    labels = np.arange(100) % 5
    values = {"stratify": stratify, "validation_from": validation_from, "allow_overlap": True}
    values |= {"train_size": sizes[0], "validation_size": sizes[1]}
    held_out = sizes[1] if validation_from == "train" else 0
    try:
        drawn = draw(labels, labels, **values, excluded=excluded)
    except UserError:
        assert 100 - excluded.sum() < max(2, sizes[0] + held_out)
        return
    before = draw(labels, labels, **values)
    assert drawn["test"].rows.tolist() == before["test"].rows.tolist()
    train, validation = drawn["train"].rows, drawn["validation"].rows
    assert not excluded[train].any()
    if validation_from == "train":
        assert not excluded[validation].any()
        assert not np.intersect1d(train, validation).size
    else:
        assert validation.tolist() == before["validation"].rows.tolist()
    order = permutation(labels, 1, stratify).tolist()
    assert train.tolist() == sorted(train.tolist(), key=order.index)
    larger = draw(labels, labels, **{**values, "train_size": "all"}, excluded=excluded)
    assert validation.tolist() == larger["validation"].rows.tolist()
    assert train.tolist() == larger["train"].rows[: len(train)].tolist()
    assert len(larger["train"].rows) == 100 - excluded.sum() - held_out


@pytest.mark.parametrize(
    ("values", "needed", "fitting"),
    [
        ({"train_size": 41}, "51 and 10", {"train_size": 40}),
        ({"test_size": 51}, "30 and 51", {"test_size": "all"}),
        ({"train_size": "all", "validation_size": 50}, "51 and 10", {"validation_size": 49}),
        ({"validation_from": "test", "validation_size": 51}, "20 and 51", {"validation_size": 50}),
    ],
)
def test_sizes_larger_than_the_data_are_reported_with_what_they_need(values, needed, fitting):
    values = {"allow_overlap": True, **values}
    with pytest.raises(UserError) as caught:
        draw(FIFTY, FIFTY, **values)
    assert f"50 train and 50 test rows, but sample needs {needed} (" in caught.value.problem
    draw(FIFTY, FIFTY, **{**values, **fitting})


@pytest.mark.parametrize("left", [0, 25])
def test_too_few_rows_after_exclusions_are_reported(left):
    with pytest.raises(UserError) as caught:
        draw(FIFTY, FIFTY, excluded=np.arange(50) >= left)
    assert f"of which sample.exclude removes {50 - left} train rows" in caught.value.problem


def test_the_rows_of_each_label_are_described():
    labels = np.array([0, 0, 2])
    assert describe_labels(labels, 4) == "by label [2, 0, 1, 0]"
    assert describe_labels(np.arange(2000) % 20, 21) == "0 to 100 for each of 21 labels"


def test_an_overlap_is_an_error_unless_it_is_allowed():
    labels = np.arange(30) % 5
    values = {"validation_from": "test", "validation_size": 20, "test_size": 20}
    with pytest.raises(UserError, match=r"1\d rows would be in validation and in test") as caught:
        draw(labels, labels, **values)
    assert caught.value.setting == "sample.validation_from"
    chosen = draw(labels, labels, **values, allow_overlap=True)
    assert chosen["validation"].split == "test"
    draw(labels, labels, **{**values, "train_size": 5, "validation_from": "train"})
    draw(labels, labels, **{**values, "validation_size": 1, "test_size": 1})  # by chance none


def test_labels_are_read_in_the_narrowest_dtype(tmp_path):
    labels = [row % 3 for row in range(2500)]
    write_reviews(tmp_path / "a.arrow", [(label, "x") for label in labels], ["a", "b", "c"])
    read = read_labels(arrow.read_mapped(tmp_path / "a.arrow"))
    assert read.tolist() == labels
    assert read.dtype == np.uint8
    arrow.write(tmp_path / "empty.arrow", arrow.read_schema(tmp_path / "a.arrow"), [])
    assert read_labels(arrow.read_mapped(tmp_path / "empty.arrow")).tolist() == []


def test_validation_rows_may_be_a_share_of_those_that_are_left():
    labels, excluded = np.arange(100) % 5, np.arange(100) < 20
    values = {"validation_size": 0.15, "train_size": "all", "test_size": "all"}
    sizes = {
        name: len(rows) for name, (_, rows) in draw(labels, labels, excluded, **values).items()
    }
    assert sizes == {"train": 68, "validation": 12, "test": 100}
    drawn = draw(labels, labels, **values | {"validation_from": "test", "allow_overlap": True})
    assert len(drawn["validation"].rows) == 15
