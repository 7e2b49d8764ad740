"""The verdict of a report: right about the baseline, leaks, slices and probabilities."""

import numpy as np
import pytest

from yelp_stars.evaluation import estimates
from yelp_stars.evaluation.intervals import proportion, written
from yelp_stars.evaluation.predictions import Predictions
from yelp_stars.report import findings
from yelp_stars.report.findings import Finding
from yelp_stars.scoring.calibration import Calibration

NAMES = ["1 star", "2 stars", "3 stars"]
FITTED = Calibration(1.0, 0.9, 0.9, 50, 1.0, 0.9, 0.1, 0.05, True)


def predicted(labels, guesses) -> Predictions:
    logits = np.eye(3, dtype=np.float32)[guesses] * 4
    rows = np.arange(len(labels))
    return Predictions(rows, [""] * len(labels), np.asarray(labels), logits, NAMES, True)


def scored(name: str, right: int, n: int, worse: bool = False, kind: str = "pattern") -> dict:
    return {
        "kind": kind, "name": name, "meaning": "m", "accuracy": proportion(right, n),
        "accuracy_of_the_rest": proportion(90, 100), "p_worse": 0.01 if worse else 1.0,
        "worse": worse,
    }  # fmt: skip


LABELS = np.arange(300) % 3
WRONG = (LABELS + 1) % 3


@pytest.mark.parametrize(
    ("model", "baseline", "status", "sentence"),
    [
        (LABELS, WRONG, "good", "The model is better than the baseline (TF-IDF) by 100.0 points"),
        (WRONG, LABELS, "poor", "The baseline (TF-IDF) is better than the model by 100.0 points"),
        (
            LABELS,
            LABELS,
            "fair",
            "The baseline (TF-IDF) and the model predict the same label for each of 300",
        ),
    ],
)
def test_the_model_is_compared_with_the_baseline(model, baseline, status, sentence):
    found = findings.against_baseline(
        predicted(LABELS, model), predicted(LABELS, baseline), "TF-IDF"
    )
    assert found.status == status
    assert found.text.startswith(sentence)
    assert bool(found.advice) == (status != "good")


@pytest.mark.parametrize(
    ("leaked", "status"), [(0, "good"), (1, "fair"), (2, "fair"), (32, "poor"), (1000, "poor")]
)
def test_leaks_are_counted_and_scored_apart(leaked, status):
    audit = {"test": {"rows": 1000, "leak": {"rows": leaked}}}
    parts = [scored("leak", 4, 5, kind="audit")]
    found = findings.leaks(audit, parts, near=True, excluded=False)
    assert found.status == status
    if leaked:
        verb = "is" if leaked == 1 else "are"
        assert f"{leaked:,} of 1,000 test reviews ({leaked / 10:.1f} %) {verb} in" in found.text
        assert "0.8 [0.3, 1.0]; on the rest: 0.90 [0.82, 0.95]" in found.text
        assert found.advice == "Add leaks to sample.exclude to train without them."


def test_leaks_that_the_sample_excludes_need_no_advice():
    audit = {"test": {"rows": 1000, "leak": {"rows": 32}}}
    found = findings.leaks(audit, [], near=True, excluded=True)
    assert (found.status, found.advice) == ("good", "")
    assert "sample.exclude kept those out of training" in found.text


def test_no_near_duplicate_is_denied_that_the_audit_did_not_look_for():
    audit = {"test": {"rows": 1000, "leak": {"rows": 0}}}
    texts = [findings.leaks(audit, [], near=near, excluded=False).text for near in (True, False)]
    assert texts[0] == "None of 1,000 test reviews is, or nearly is, a training review."
    assert texts[1] == "None of 1,000 test reviews is, word for word, a training review."


@pytest.mark.parametrize(("repeats", "verb"), [(1, "repeats"), (36, "repeat")])
def test_validation_rows_that_repeat_training_rows_are_a_finding(repeats, verb):
    (found,) = findings.repeated(repeats, 500, "ticket")
    assert found.text.startswith(f"{repeats} of 500 validation tickets {verb} a training ticket")
    assert found.advice == "Add duplicates to sample.exclude to validate on other texts."
    assert findings.repeated(0, 500) == []


def test_the_worst_slice_is_one_that_is_worse_by_more_than_chance():
    lowest, worse = scored("few", 0, 3), scored("long", 40, 100, worse=True)
    found = findings.worst_slice([scored("all right", 95, 100), lowest, worse])
    assert (found.status, "“long”" in found.text) == ("fair", True)
    assert found.advice == "Add training reviews of the slice “long”."
    found = findings.worst_slice([scored("all right", 95, 100), lowest])
    assert (found.status, "“few”" in found.text) == ("good", True)


@pytest.mark.parametrize(
    ("others", "sentence"), [(0, ""), (1, " So is 1 other slice."), (2, " So are 2 other slices.")]
)
def test_other_slices_that_are_worse_are_counted(others, sentence):
    worse = [scored("long", 0, 1, worse=True)] + [scored("odd", 1, 2, worse=True)] * others
    text = findings.worst_slice(worse).text
    assert " on 1 row, the rest " in text
    assert text.endswith(f": worse by more than chance.{sentence}")


@pytest.mark.parametrize(
    ("error", "held", "status", "advised"),
    [(0.02, 900, "good", False), (0.1, 900, "fair", False), (0.3, 900, "poor", True),
     (0.02, 840, "fair", True)],
)  # fmt: skip
def test_probabilities_are_judged_with_the_temperature(error, held, status, advised):
    errors = {
        "before": {"value": 0.4, "low": 0.3, "high": 0.5, "n": 1000},
        "after": {"value": error, "low": 0.0, "high": 0.4, "n": 1000},
    }
    width = {"value": 2.2, "low": 2.1, "high": 2.3, "n": 1000}
    ranges = {"promised": 0.9, "coverage": proportion(held, 1000), "mean_width": width}
    found = findings.calibration({"calibration_error": errors, "temperature": 1.4}, ranges)
    assert (found.status, bool(found.advice)) == (status, advised)
    assert f"hold 90 % of the labels hold {held / 10:.1f} % [" in found.text


GOOD, LAGGING = (
    Finding("good", "Against", "It is better."),
    Finding("fair", "Against", "Same.", "Do."),
)
LEAK, SLICE = Finding("poor", "Leaks", "Many.", "Add."), Finding("fair", "Slice", "One.", "Label.")
LONGER = Finding("poor", "Undertrained", "It fell.", "Try `dvc exp run`.")


@pytest.mark.parametrize(
    ("found", "ship", "because", "then"),
    [
        ([GOOD], True, "It is better. No finding is poor.", findings.RELEASE),
        (
            [GOOD, SLICE], True,
            "It is better. No finding is poor.",
            f"{findings.RELEASE} To improve the next one: Label.",
        ),
        ([GOOD, LEAK, SLICE], False, "Many.", "Add."),
        ([GOOD, LEAK, LONGER], False, "Many. Also poor: Undertrained.", "Try `dvc exp run`."),
        ([LAGGING, SLICE], False, "Same.", "Do."),
        ([LAGGING, LONGER], False, "Same. Also poor: Undertrained.", "Try `dvc exp run`."),
    ],
)  # fmt: skip
def test_a_model_ships_if_it_beats_its_baseline_and_no_finding_is_poor(found, ship, because, then):
    assert findings.decide(found) == (ship, because, then)


def test_a_model_of_synthetic_reviews_does_not_ship():
    found = [GOOD, *findings.synthetic("synthetic")]
    ship, because, then = findings.decide(found)
    assert (ship, "nothing about real reviews" in because) == (False, True)
    assert "`stars use own`" in then
    assert findings.synthetic("files") == []


def of_classes(model: Predictions, *problems: Finding) -> Finding:
    evaluation = estimates.details(model, FITTED, resamples=50, seed=0)
    read_texts = lambda indices: [f"text {index}" for index in indices]  # noqa: E731
    return findings.classes(evaluation["per_class"], model, problems, read_texts, "ticket")


def test_the_weakest_class_is_named_with_what_it_is_taken_for():
    guesses = LABELS.copy()
    guesses[[1, 4, 7]], guesses[10] = 2, 0  # four of the 100 rows with two stars
    found = of_classes(predicted(LABELS, guesses))
    assert found.status == "good"
    assert "The weakest class is “2 stars”: F1 0.98" in found.text
    assert "of its 100 test tickets are found. 3 are taken for “3 stars”, such as:" in found.text
    assert found.examples == ["text 1", "text 4"]


def test_a_class_with_a_low_f1_is_fair_and_needs_rows():
    found = of_classes(predicted(LABELS, np.where(LABELS == 1, 2, LABELS)))
    assert (found.status, found.advice) == ("fair", "Label more tickets of “2 stars”.")
    assert "100 are taken for “3 stars”" in found.text


def test_the_finding_of_the_classes_has_their_problems():
    problem = Finding("poor", "Never predicted", "1 of 3 classes is never predicted.", "Try it.")
    found = of_classes(predicted(LABELS, LABELS), problem)
    assert (found.status, found.advice) == ("poor", "Try it.")
    assert found.text.startswith("1 of 3 classes is never predicted. The weakest class is")
    assert "taken for" not in found.text


def less_sure(guesses, unsure) -> Predictions:
    """Predictions of three classes, of which some rows are less sure."""
    model = predicted(LABELS, guesses)
    return model._replace(logits=np.where(unsure[:, None], 0.25, 1).astype("f4") * model.logits)


def test_the_smallest_share_for_a_person_that_raises_the_accuracy_is_named():
    wrong = np.arange(300) < 60
    model = less_sure(np.where(wrong, WRONG, LABELS), wrong)
    points = estimates.details(model, FITTED, resamples=50, seed=0)["risk_coverage"]["points"]
    found = findings.least_sure(model, points, "ticket")
    assert found.status == "good"
    assert (
        f"`stars predict --fail-below {points[1]['from']}` a person checks the 10 %" in found.text
    )
    assert "90.0 % are right in all instead of 80.0 %" in found.text
    assert ": 100 [" in found.text
    assert [findings.avoided(model, share).split()[0] for share in (0.0, 0.2, 0.5)] == [
        "0", "200", "200",
    ]  # fmt: skip


def test_a_model_that_is_as_often_wrong_where_it_is_sure_names_no_share():
    model = less_sure(np.where(np.arange(300) % 2 == 0, WRONG, LABELS), np.arange(300) < 60)
    points = estimates.details(model, FITTED, resamples=50, seed=0)["risk_coverage"]["points"]
    found = findings.least_sure(model, points)
    assert (found.status, "--fail-below" in found.text) == ("fair", False)


def test_the_most_frequent_mistakes_come_first():
    labels = np.array([0, 0, 0, 1, 1, 2])
    model = predicted(labels, np.array([1, 1, 0, 2, 1, 2]))
    assert findings.confusions(model, 5) == [("1 star", "2 stars", 2), ("2 stars", "3 stars", 1)]
    assert findings.confusions(model, 1) == [("1 star", "2 stars", 2)]
    assert findings.confusions(predicted(labels, labels), 5) == []


def test_a_score_is_written_with_its_interval():
    assert written(proportion(626, 1000)) == "0.626 [0.595, 0.656]"
    assert written(proportion(842, 1000), 100) == "84.2 % [81.8, 86.4]"
    assert written(proportion(0, 0)) == "undefined"
