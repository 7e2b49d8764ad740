"""Derive the verdict of a report and its three main findings."""

from collections import Counter
from typing import Any, Literal, NamedTuple

from yelp_stars.comparing.paired import compare_accuracy, outcome, verdict
from yelp_stars.evaluation.intervals import written
from yelp_stars.evaluation.predictions import Predictions
from yelp_stars.pipeline.text import counted, cut

MARGIN = 0.01  # accuracies closer than this are called equivalent, as by `stars compare`
# Calibration errors up to which probabilities may be read as they are, or with care.
CALIBRATED, USABLE = 0.05, 0.15

LONGEST_MEANING = 120  # characters of a slice's pattern

Status = Literal["good", "fair", "poor"]
ORDER: tuple[Status, ...] = ("good", "fair", "poor")


class Finding(NamedTuple):
    """A finding about the run, in one or two sentences."""

    status: Status
    title: str
    text: str
    advice: str = ""


def against_baseline(model: Predictions, baseline: Predictions, name: str) -> Finding:
    """Is the model better than the strongest baseline, called `name`, on the same rows?

    The two have the same rows in the same order, those of data/sample/test.arrow.
    """
    compared = compare_accuracy(model.labels, baseline.predicted, model.predicted)
    sentence = verdict(compared, f"the baseline ({name})", "the model", MARGIN)
    title, text = "Against the baseline", sentence[0].upper() + sentence[1:] + "."
    decided = outcome(compared, MARGIN)
    if decided == "better":
        return Finding("good", title, text)
    advice = "Fine-tuning that does not beat its baseline is not worth its cost here."
    return Finding("poor" if decided == "worse" else "fair", title, text, advice)


def leaks(
    audit: dict[str, Any],
    slices: list[dict[str, Any]],
    *,
    near: bool,
    excluded: bool,
    noun: str = "review",
) -> Finding:
    """Does the test split leak into the training split?

    `near`: whether the audit looked for texts that are nearly the same. `excluded`: whether the
    sample was drawn without the training rows that leak.
    """
    n, leaked = audit["test"]["rows"], audit["test"]["leak"]["rows"]
    title, tested = "Leaks", counted(n, f"test {noun}")
    if not leaked:
        same = "is, or nearly is," if near else "is, word for word,"
        return Finding("good", title, f"None of {tested} {same} a training {noun}.")
    share, verb = leaked / n, "is" if leaked == 1 else "are"
    text = f"{leaked:,} of {tested} ({100 * share:.1f} %) {verb} in the training split"
    text += "; sample.exclude kept those out of training." if excluded else "."
    for part in slices:
        if part["name"] == "leak" and part["kind"] == "audit" and part["accuracy"]["n"]:
            text += (
                f" Accuracy on those in the sample: {written(part['accuracy'])}; on the rest: "
                f"{written(part['accuracy_of_the_rest'])}."
            )
    if excluded:
        return Finding("good", title, text)
    advice = "Add leaks to sample.exclude to train without them."
    return Finding("poor" if share > 0.01 else "fair", title, text, advice)


def repeated(repeats: int, rows: int, noun: str = "review") -> list[Finding]:
    """Do any of the validation `rows` repeat training rows?"""
    if not repeats:
        return []
    verb = "repeats" if repeats == 1 else "repeat"
    text = (
        f"{repeats:,} of {counted(rows, f'validation {noun}')} {verb} a training {noun}, word for "
        f"word or nearly: that flatters the validation scores, the temperature and the ranges."
    )
    advice = "Add duplicates to sample.exclude to have none."
    return [Finding("fair", "Repeated in validation", text, advice)]


def worst_slice(slices: list[dict[str, Any]], noun: str = "review") -> Finding:
    """Find the slice where the model fails most often."""
    title = "Worst slice"
    worse = [part for part in slices if part["worse"]]
    scored = [part for part in slices if part["accuracy"]["n"]]
    if not scored:
        return Finding("fair", title, "No slice has rows.")
    lowest = min(worse or scored, key=lambda part: part["accuracy"]["value"])
    numbers = (
        f"“{lowest['name']}” ({cut(lowest['meaning'], LONGEST_MEANING)}) has an accuracy of "
        f"{written(lowest['accuracy'])} on {counted(lowest['accuracy']['n'], 'row')}, the rest "
        f"{written(lowest['accuracy_of_the_rest'])}"
    )
    if worse:
        verb, others = "is" if len(worse) == 2 else "are", counted(len(worse) - 1, "other slice")
        others = f" So {verb} {others}." if len(worse) > 1 else ""
        text = f"{numbers}: worse by more than chance.{others}"
        return Finding("poor", title, text, f"Add training {noun}s of this kind.")
    text = f"No slice is worse than the rest by more than chance. The lowest: {numbers}."
    return Finding("good", title, text)


def calibration(
    calibrated: dict[str, Any], ranges: dict[str, Any], noun: str = "review"
) -> Finding:
    """Can the probabilities be read as they are?"""
    before, after = (calibrated["calibration_error"][when] for when in ("before", "after"))
    text = (
        f"Probabilities are off by {written(before)} on average; with the temperature "
        f"{calibrated['temperature']} of calibration.json, by {written(after)}. Ranges that should "
        f"hold {100 * ranges['promised']:.0f} % of the labels hold "
        f"{written(ranges['coverage'], 100)}."
    )
    error = after["value"]
    status: Status = "good" if error <= CALIBRATED else "fair" if error <= USABLE else "poor"
    advice = ""
    if ranges["coverage"]["high"] < ranges["promised"] or status == "poor":
        status = max(status, "fair", key=ORDER.index)
        advice = (
            f"The validation {noun}s may be easier than the test {noun}s: synthetic ones are, "
            f"which share sentences with those to train on. Validate on {noun}s like those to "
            f"predict."
        )
    return Finding(status, "Calibration", text, advice)


def confusions(model: Predictions, limit: int) -> list[tuple[str, str, int]]:
    """Return the most frequent mistakes: label, prediction, rows."""
    wrong = ~model.right
    pairs = Counter(zip(model.labels[wrong].tolist(), model.predicted[wrong].tolist()))
    most_frequent = sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))[:limit]
    return [(model.names[label], model.names[guess], n) for (label, guess), n in most_frequent]
