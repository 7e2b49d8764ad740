"""Conformal sets: as an independent loop finds them, covering as promised."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from yelp_stars.scoring import conformal


def slow_masses(probabilities: list[float], ordered: bool) -> list[float]:
    """The mass before each class, as the papers say it: one class after the other."""
    best = max(range(len(probabilities)), key=lambda label: (probabilities[label], -label))
    inside, masses = [best], {best: 0.0}
    while len(inside) < len(probabilities):
        left = [label for label in range(len(probabilities)) if label not in inside]
        if ordered:
            left = [label for label in left if label in (min(inside) - 1, max(inside) + 1)]
        following = max(left, key=lambda label: (probabilities[label], -label))
        masses[following] = sum(probabilities[label] for label in inside)
        inside.append(following)
    return [masses[label] for label in range(len(probabilities))]


@given(
    weights=st.lists(st.integers(0, 9), min_size=1, max_size=7).filter(any),
    ordered=st.booleans(),
)
@settings(max_examples=100)
def test_sets_are_those_of_an_independent_loop(weights, ordered):
    probabilities = np.array([weights]) / sum(weights)
    masses = slow_masses(probabilities[0].tolist(), ordered)
    assert conformal.masses(probabilities, ordered)[0] == pytest.approx(masses)
    inside = conformal.sets(probabilities, ordered, 0.601)[0]
    assert inside.tolist() == [mass <= 0.601 for mass in masses]


@pytest.mark.parametrize(("n", "rank"), [(9, 9), (10, 10), (19, 18), (69, 63), (100, 91)])
def test_the_threshold_is_the_mass_of_rank_90_percent_of_n_plus_1(n, rank):
    masses = np.random.default_rng(0).permutation(np.arange(1, n + 1) / 1000)
    assert conformal.threshold(masses, 0.9) == rank / 1000


@pytest.mark.parametrize("n", [0, 8])
def test_fewer_rows_than_a_promise_needs_let_in_every_class(n):
    assert conformal.threshold(np.zeros(n), 0.9) == 1.0
    assert conformal.sets(np.array([[0.0, 1.0, 0.0]]), True, 1.0).all()


def test_the_threshold_is_rounded_up():
    assert conformal.threshold(np.full(50, 1 / 3), 0.9) == 0.333334


def drawn(rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """An overconfident model of stars with an accuracy of about 60 %, and labels."""
    center = rng.integers(5, size=(rows, 1)) + rng.normal(scale=0.6, size=(rows, 1))
    logits = -((np.arange(5) - center) ** 2)
    truth = softmax(0.6 * logits, axis=1).cumsum(axis=1)
    return softmax(logits, axis=1), (truth > rng.random((rows, 1))).argmax(axis=1)


@pytest.mark.parametrize(
    ("ordered", "order"),
    [(True, [0, 1, 2, 3, 4]), (False, [2, 0, 3, 1, 4])],
)
def test_over_300_splits_the_sets_cover_90_percent(ordered, order):
    rng, covered = np.random.default_rng(0), []
    for _ in range(300):
        probabilities, labels = drawn(rng, 400)
        # Another order of the classes: the probabilities have several peaks.
        probabilities, labels = probabilities[:, order], np.argsort(order)[labels]
        masses = conformal.masses(probabilities, ordered)[np.arange(400), labels]
        limit = conformal.threshold(masses[:200], 0.9)
        covered.append((masses[200:] <= limit).mean())
    assert np.mean(covered) == pytest.approx(0.9, abs=0.01)
