"""Samples: seeded prefixes of one permutation, disjoint where promised."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.sample import Params, draw, shuffled, take
from stars.stage import UserError

LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=200).map(np.array)


def params(**changes) -> Params:
    return Params(
        **{
            "train_size": 20,
            "train_seed": 1,
            "validation_size": 10,
            "validation_seed": 2,
            "validation_from": "train",
            "test_size": 10,
            "test_seed": 3,
            "stratify": False,
            "allow_overlap": False,
            **changes,
        }
    )


@given(labels=LABELS, seed=st.integers(0, 2**32), stratify=st.booleans())
def test_a_sample_is_a_prefix_of_one_permutation(labels, seed, stratify):
    order = shuffled(labels, seed, stratify)
    assert sorted(order) == list(range(len(labels)))
    for size in (1, len(labels) // 2, len(labels)):
        if size:
            assert take(order, size, "train").tolist() == order[:size].tolist()
    assert take(order, "all", "train").tolist() == order.tolist()


@given(labels=LABELS, seed=st.integers(0, 99))
def test_every_prefix_of_a_stratified_order_has_the_labels_in_proportion(labels, seed):
    order = shuffled(labels, seed, stratify=True)
    share = np.bincount(labels, minlength=5) / len(labels)
    for size in range(1, len(labels) + 1):
        counts = np.bincount(labels[order[:size]], minlength=5)
        assert abs(counts - share * size).max() <= 2.5


@pytest.mark.parametrize(("seed", "size"), [(42, 1000), (64, 100)])
def test_the_notebooks_rows_are_those_of_datasets(seed, size):
    from datasets import Dataset

    rows = Dataset.from_dict({"row": list(range(5000))}).shuffle(seed=seed).select(range(size))
    ours = take(shuffled(np.arange(5000) % 5, seed, stratify=False), size, "train")
    assert ours.tolist() == rows["row"][:]


@given(
    train_size=st.integers(1, 60), validation_size=st.integers(1, 40),
    seeds=st.tuples(st.integers(0, 9), st.integers(0, 9)), stratify=st.booleans(),
)  # fmt: skip
def test_validation_is_disjoint_from_train_and_the_same_for_any_size(
    train_size, validation_size, seeds, stratify
):
    labels = np.arange(100) % 5
    chosen, other = (
        draw(
            labels,
            labels,
            params(
                train_size=size,
                validation_size=validation_size,
                train_seed=seeds[0],
                validation_seed=seeds[1],
                stratify=stratify,
            ),
        )
        for size in (train_size, "all")
    )
    train, validation = chosen["train"][1], chosen["validation"][1]
    assert not np.intersect1d(train, validation).size
    assert validation.tolist() == other["validation"][1].tolist()
    assert train.tolist() == other["train"][1][:train_size].tolist()
    assert len(other["train"][1]) == 100 - validation_size


def test_sizes_larger_than_the_data_are_told():
    labels = np.arange(50) % 5
    with pytest.raises(UserError, match=r"sample.train_size is 45, but only 40 rows are left"):
        draw(labels, labels, params(train_size=45))
    with pytest.raises(UserError, match=r"sample.test_size is 51, but only 50 rows"):
        draw(labels, labels, params(test_size=51))
    with pytest.raises(UserError, match="no row is left to train on"):
        draw(labels, labels, params(train_size="all", validation_size=50))


def test_an_overlap_is_refused_unless_asked_for():
    labels = np.arange(30) % 5
    values = {"validation_from": "test", "validation_size": 20, "test_size": 20}
    with pytest.raises(UserError, match=r"1\d rows would be in validation and in test; set"):
        draw(labels, labels, params(**values))
    chosen = draw(labels, labels, params(**values, allow_overlap=True))
    assert chosen["validation"][0] == "test"
