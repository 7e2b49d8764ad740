"""Derive the findings of a report, and its first line from them: ship the model, or not yet."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from yelp_stars.comparing.paired import compare_accuracy, outcome, verdict
from yelp_stars.evaluation.intervals import Estimate, proportion, written
from yelp_stars.evaluation.predictions import Predictions
from yelp_stars.pipeline.text import counted, cut

MARGIN = 0.01  # accuracies closer than this are called equivalent, as by `stars compare`
# Calibration errors up to which probabilities may be read as they are, or with care.
CALIBRATED, USABLE = 0.05, 0.15
WEAK = 0.5  # F1 of a class
RELEASE = "Commit this run, then tag it: `stars release v1.0.0`."

Status = Literal["good", "fair", "poor"]
ORDER: tuple[Status, ...] = ("good", "fair", "poor")


class Finding(NamedTuple):
    """A finding about the run, in one or two sentences."""

    status: Status
    title: str
    text: str
    advice: str = ""
    examples: Sequence[str] = ()
    """Texts of the data, to show below."""


def decide(found: Sequence[Finding]) -> tuple[bool, str, str]:
    """Decide by the findings, that against the baseline first: ship or not, because, what next.

    Ship: the model is better than its baseline, and no finding is poor. Because: the comparison
    with the baseline. Next: release the model, and to improve it the first advice.

    Not yet: otherwise. Because: the first finding that speaks against it, and the titles of the
    others. Next: the first of their advices with a command, or the first one.
    """
    against = found[:1] if found[0].status != "good" else []
    against = [*against, *(finding for finding in found[1:] if finding.status == "poor")]
    advices = [finding.advice for finding in against or found if finding.advice]
    if not against:
        improve = f" To improve the next one: {advices[0]}" if advices else ""
        return True, f"{found[0].text} No finding is poor.", RELEASE + improve
    others = ", ".join(finding.title for finding in against[1:])
    because = against[0].text + (f" Also poor: {others}." if others else "")
    return False, because, next((advice for advice in advices if "`" in advice), advices[0])


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
    advice = "The baseline costs less: train and test on more rows, or use a model like it."
    return Finding("poor" if decided == "worse" else "fair", title, text, advice)


def synthetic(source: str) -> list[Finding]:
    """Is all of the data synthetic, that to test on too?"""
    if source != "synthetic":
        return []
    text = (
        "All reviews are synthetic, those to test on too: the scores show that everything works, "
        "and say nothing about real reviews."
    )
    advice = "Train on real texts: `stars use own` for yours, `stars use cpu` for Yelp's reviews."
    return [Finding("poor", "Synthetic reviews", text, advice)]


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
    advice = "Add duplicates to sample.exclude to validate on other texts."
    return [Finding("fair", "Repeated in validation", text, advice)]


def worst_slice(slices: list[dict[str, Any]], noun: str = "review") -> Finding:
    """Find the slice where the model fails most often."""
    title = "Worst slice"
    worse = [part for part in slices if part["worse"]]
    scored = [part for part in slices if part["accuracy"]["n"]]  # a quarter has rows
    lowest = min(worse or scored, key=lambda part: part["accuracy"]["value"])
    numbers = (
        f"“{lowest['name']}” ({lowest['meaning']}) has an accuracy of "
        f"{written(lowest['accuracy'])} on {counted(lowest['accuracy']['n'], 'row')}, the rest "
        f"{written(lowest['accuracy_of_the_rest'])}"
    )
    if worse:
        verb, others = "is" if len(worse) == 2 else "are", counted(len(worse) - 1, "other slice")
        others = f" So {verb} {others}." if len(worse) > 1 else ""
        text = f"{numbers}: worse by more than chance.{others}"
        advice = f"Add training {noun}s of the slice “{lowest['name']}”."
        return Finding("fair", title, text, advice)
    text = f"No slice is worse than the rest by more than chance. The lowest: {numbers}."
    return Finding("good", title, text)


def classes(
    per_class: list[dict[str, Any]],
    model: Predictions,
    problems: Sequence[Finding],
    read_texts: Callable[[np.ndarray], list[str]],
    noun: str = "review",
) -> Finding:
    """Which class is weakest, what is it taken for, and which are never predicted or tested?

    `problems` are the classes' own, of the diagnosis; `read_texts` reads texts of the predictions
    by their indices. The examples are the first of the sample, which is in random order.
    """
    tested = [label for label, row in enumerate(per_class) if row["recall"]["n"]]
    label = min(tested, key=lambda label: per_class[label]["f1"]["value"])
    f1, recall, name = per_class[label]["f1"], per_class[label]["recall"], model.names[label]
    mistaken = np.flatnonzero((model.labels == label) & ~model.right)
    text = (
        f"The weakest class is “{cut(name, 40)}”: F1 {written(f1)}; {written(recall, 100)} of its "
        f"{counted(recall['n'], f'test {noun}')} are found."
    )
    if len(mistaken):
        guess = np.bincount(model.predicted[mistaken]).argmax()
        mistaken = mistaken[model.predicted[mistaken] == guess]
        text += f" {len(mistaken):,} are taken for “{cut(model.names[guess], 40)}”, such as:"
    weak = f1["value"] < WEAK
    advice = f"Label more {noun}s of “{cut(name, 40)}”." if weak else ""
    found = [*problems, Finding("fair" if weak else "good", "", text, advice)]
    status = max((one.status for one in found), key=ORDER.index)
    text, advice = " ".join(one.text for one in found), " ".join(one.advice for one in found)
    return Finding(status, "Classes", text, advice.strip(), read_texts(mistaken[:2]))


def _mistakes(model: Predictions, share: float) -> Estimate:
    """Return the share of all rows that are mistakes among the least sure ones."""
    wrong, n = ~model.right[np.argsort(-model.probability, kind="stable")], len(model.rows)
    return proportion(int(wrong[n - round(share * n) :].sum()), n)


def avoided(model: Predictions, share: float) -> str:
    """Count the mistakes per 1,000 rows that are in the share of the least sure rows."""
    mistakes = _mistakes(model, share)
    value, low, high = (f"{1000 * mistakes[key]:.0f}" for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def least_sure(model: Predictions, points: list[dict[str, Any]], noun: str = "review") -> Finding:
    """Name the smallest share without which the interval of the accuracy is above that of all."""
    title = "If a person checks the least sure"
    for point in points:
        if point["low"] > points[0]["value"]:
            share = point["to_a_person"]
            together = points[0]["value"] + _mistakes(model, share)["value"]
            text = (
                f"With `stars predict --fail-below {point['from']:g}` a person checks the "
                f"{100 * share:.0f} % of the {noun}s whose label has a lower probability. If the "
                f"person makes no mistake, {100 * together:.1f} % are right in all instead of "
                f"{written(points[0], 100)}: {avoided(model, share)} mistakes fewer per 1,000 "
                f"{noun}s. Of the others, {written(point, 100)} are right. The share was chosen "
                f"by these rows."
            )
            return Finding("good", title, text)
    text = "The model is not more often right by more than chance on those it is surer of."
    return Finding("good" if points[0]["value"] == 1 else "fair", title, text)


def calibration(
    calibrated: dict[str, Any], ranges: dict[str, Any], noun: str = "review"
) -> Finding:
    """Can the probabilities be read as they are?"""
    before, after = (calibrated["calibration_error"][when] for when in ("before", "after"))
    text = (
        f"Probabilities are off by {written(before)} on average; with the temperature "
        f"{calibrated['temperature']} of calibration.json, by {written(after)}. Ranges that should "
        f"hold {100 * ranges['promised']:.0f} % of the labels hold "
        f"{written(ranges['coverage'], 100)}, and have {written(ranges['mean_width'])} classes."
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
