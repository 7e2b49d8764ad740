"""Intervals: they hold the truth with few rows and few mistakes, in the digits that n supports."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import coverage
from yelp_stars.comparing.paired import compare
from yelp_stars.evaluation import estimates, intervals
from yelp_stars.evaluation.predictions import Predictions
from yelp_stars.evaluation.titles import score_titles
from yelp_stars.scoring import metrics

FEW_MISTAKES, RARE, MANY = coverage.SETTINGS[2:]
LEAST = 0.9  # 93 % are promised; of few mistakes, a plain bootstrap held 42 %


@pytest.mark.parametrize(
    "setting", [FEW_MISTAKES, RARE, MANY], ids=["few mistakes", "a rare class", "many classes"]
)
def test_intervals_hold_the_truth_with_few_mistakes_rare_and_many_classes(setting):
    held = coverage.coverage(setting, 50, experiments=60, resamples=150)
    assert not {name: share for name, share in held.items() if share < LEAST}


def test_intervals_of_a_difference_hold_the_truth_where_few_rows_change():
    held = coverage.paired_coverage(coverage.PAIRS[0], 50, experiments=80, resamples=150)
    assert not {name: share for name, share in held.items() if share < LEAST}


def of_classes(labels, predicted, classes: int) -> Predictions:
    logits = (4 * np.eye(classes, dtype=np.float32))[predicted]
    names = [str(number) for number in range(classes)]
    return Predictions(np.arange(len(labels)), [], labels, logits, names, True)


@pytest.mark.parametrize("n", [10, 50, 1000])
@pytest.mark.parametrize("name", ["macro_f1", "mae", "quadratic_kappa", "loss", "accuracy"])
def test_without_a_mistake_an_interval_has_a_width(name, n):
    labels = np.arange(n) % 5
    found = estimates.details(of_classes(labels, labels, 5), coverage.FITTED, resamples=200, seed=0)
    score = found["scores"][name]
    assert score["low"] <= score["value"] <= score["high"]
    assert score["low"] < score["high"]
    area, width = found["risk_coverage"]["area"], found["ranges"]["mean_width"]
    for other in (area, width, *(row["f1"] for row in found["per_class"])):
        assert other["low"] < other["high"]


@given(rows=st.integers(1, 5000), part=st.floats(0, 1))
@settings(max_examples=100)
def test_ends_are_rounded_outwards_and_not_by_more_than_a_digit(rows, part):
    found = intervals.proportion(round(part * rows), rows)
    low, high = metrics.wilson(round(part * rows), rows)
    digit = 10.0 ** -metrics.decimals(rows)
    assert low - digit < found["low"] <= low + 1e-9
    assert high - 1e-9 <= found["high"] < high + digit
    assert found["low"] <= found["value"] <= found["high"]


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30), st.floats(-5, 5), st.integers(1, 99))
@settings(max_examples=100)
def test_the_interval_of_any_resamples_holds_the_score(resampled, exact, n):
    low, high = intervals.interval(exact, np.array(resampled), n)
    assert min(exact, *resampled) <= low <= exact <= high <= max(exact, *resampled)


def test_few_rows_have_percentiles_farther_out_and_a_bias_is_taken_back():
    drawn = np.linspace(0, 1, 1001)  # around 0.5
    few, many = (intervals.interval(0.5, drawn, n) for n in (5, 100_000))
    assert many == pytest.approx([0.025, 0.975], abs=1e-4)
    assert few[0] < 0.01
    assert few[1] > 0.99
    low, high = intervals.interval(0.55, drawn, 100_000)  # resamples are lower by 0.05
    assert (low, high) == pytest.approx((0.025, 1.0), abs=1e-4)
    assert np.isnan(intervals.interval(np.nan, drawn, 9)).all()  # undefined, whatever was drawn


def test_macro_f1_is_the_same_everywhere_where_a_class_has_no_rows():
    rng = np.random.default_rng(0)
    labels = rng.integers(5, size=300)  # of six classes
    predicted = np.where(rng.random(300) < 0.7, labels, rng.integers(6, size=300))
    model = of_classes(labels, predicted, 6)
    expected = estimates.metrics.f1(metrics.confusion_matrix(labels, predicted, 6))
    assert np.isnan(expected[5])
    of_test = metrics.scores(model.logits, labels)["macro_f1"]
    found = estimates.details(model, coverage.FITTED, resamples=200, seed=0)
    compared = compare(labels, model.logits, model.logits, ordered=True, resamples=50).scores
    assert of_test == compared["macro_f1"].first == pytest.approx(expected[:5].mean())
    assert found["scores"]["macro_f1"]["value"] == round(of_test, 3)
    rows = {row["label"]: row["recall"]["n"] for row in found["per_class"]}
    assert score_titles(rows)["macro_f1"] == "macro-F1 of 5 of 6 classes"
    assert found["per_class"][5]["f1"] == {"value": None, "low": None, "high": None, "n": 300}


def test_resamples_draw_rows_with_replacement_and_repeat_for_a_seed_in_chunks_of_any_size():
    def draw(seed, **options):
        found = intervals.resample(
            lambda rows, odd: {"rows": rows, "odd": odd}, 50, 300, seed, odd=5, **options
        )
        return found["rows"], found["odd"]

    first, odd = draw(7)
    assert first.shape == odd.shape == (300, 50)
    for other, again in zip(draw(7, width=intervals.CHUNK // 7), (first, odd), strict=True):
        assert (other == again).all()
    assert (first != draw(8)[0]).any()
    # One row of a draw is odd, on average: Poisson, and of any kind.
    assert (odd >= 0).sum(axis=1).mean() == pytest.approx(1, abs=0.2)
    assert set(np.unique(odd)) == {-1, 0, 1, 2, 3, 4}
    assert ((first >= 0) & (first < 50)).all()
    distinct = np.mean([len(set(rows)) for rows in first])
    assert distinct == pytest.approx(50 * (1 - (1 - 1 / 50) ** 50), abs=0.5)


@pytest.mark.filterwarnings("error")
def test_resamples_in_which_a_number_is_undefined_do_not_count():
    resampled = np.array([[1.0, np.nan, np.nan], [2.0, 5.0, np.nan], [3.0, 7.0, np.nan]])
    low, high = intervals.interval(np.array([2.0, 6.0, np.nan]), resampled, 1000)
    assert (low[0], high[0]) == pytest.approx((1.05, 2.95), abs=0.01)
    assert (low[1], high[1]) == pytest.approx((5.05, 6.95), abs=0.01)
    assert np.isnan([low[2], high[2]]).all()


def test_a_proportion_has_wilsons_interval_in_the_digits_of_its_rows():
    # Newcombe 1998, table I: 81 of 263, and 0 of 20.
    found = intervals.proportion(81, 263)
    assert found == {"value": 0.308, "low": 0.255, "high": 0.367, "n": 263}
    assert intervals.proportion(0, 20) == {"value": 0.0, "low": 0.0, "high": 0.17, "n": 20}
    assert intervals.proportion(0, 0) == {"value": None, "low": None, "high": None, "n": 0}
    found = intervals.estimate(np.nan, np.nan, 0.26, 10)
    assert found == {"value": None, "low": None, "high": 0.3, "n": 10}


def test_holms_correction_of_a_worked_example():
    # R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    assert intervals.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert intervals.holm([]) == []
