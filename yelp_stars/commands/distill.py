"""`stars distill`: fit a student to a model of this project, and say what it loses."""

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from yelp_stars.classifier import student
from yelp_stars.classifier.classify import Classifier
from yelp_stars.commands.predict import inputs
from yelp_stars.commands.predict.request import column_of
from yelp_stars.comparing.paired import accuracy_difference
from yelp_stars.data import arrow
from yelp_stars.evaluation.intervals import proportion
from yelp_stars.evaluation.predictions import read_texts
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.files import replacing, write_json
from yelp_stars.pipeline.text import listed, quoted
from yelp_stars.pipeline.yaml_file import read_yaml
from yelp_stars.reading.layout import Layout
from yelp_stars.reading.unpacking import on_disk
from yelp_stars.scoring import calibration

MOST_TEXTS = 1_000_000
TEXTS_AT_A_TIME = 2000  # that the model labels


class Reading(NamedTuple):
    """How files of texts without labels are read."""

    text_column: str
    encoding: str
    delimiter: str | None


class Labelled(NamedTuple):
    """Reviews of a split, with their labels."""

    texts: list[str]
    labels: np.ndarray
    names: list[str]
    """Of the labels, in order."""
    ordered: bool


def run(
    model: Path, target: Path, unlabelled: list[Path], reading: Reading, c: float, most: int
) -> None:
    """Fit a student to the model's probabilities of the training and the unlabelled texts.

    Raises:
        UserError: if the model, the data, or a file cannot be read.
    """
    check_target(target)
    more = read_unlabelled(unlabelled, reading)
    origin = validation_origin()
    train, validation = read_split("train", "train"), read_split("validation", origin)
    teacher = Classifier.load(model, "auto", None, None)
    if teacher.label_names != validation.names:
        raise UserError(
            f"{quoted(str(model))} has other labels than data/sample; choose another --model, or "
            f"run `dvc repro`"
        )
    texts = [*train.texts, *more]
    started = time.monotonic()
    probabilities = predict(teacher, [*texts, *validation.texts])
    rate = len(probabilities) / (time.monotonic() - started)
    fitted = student.fit(texts, probabilities[: len(texts)], teacher.label_names, most, c)
    started = time.monotonic()
    logits, _ = fitted.logits(validation.texts, tqdm(disable=True))
    own_rate = len(validation.texts) / (time.monotonic() - started)
    with replacing(target) as partial:
        partial.mkdir()
        fitted.save(partial)
        found = calibration.fit(logits, validation.labels, validation.ordered)
        write_json(partial / calibration.FILE, calibration.as_json(found))
    size = sum(path.stat().st_size for path in target.iterdir()) / 1e6
    print(
        f"{target}: {fitted.reads}, {size:.1f} MB, fitted on {len(texts):,} texts "
        f"({len(more):,} of them without labels)"
    )
    guesses = {
        "model": probabilities[len(texts) :].argmax(axis=1),
        "student": logits.argmax(axis=1),
    }
    print(f"\n{len(validation.labels):,} validation reviews")
    for name, each in (("model", rate), ("student", own_rate)):
        right = proportion(int((guesses[name] == validation.labels).sum()), len(validation.labels))
        print(
            f"  {name:<9}accuracy {right['value']:.3f} [{right['low']:.3f}, {right['high']:.3f}]"
            f"{each:>10,.0f} texts/s"
        )
    gap = accuracy_difference(validation.labels, guesses["model"], guesses["student"])
    print(
        f"  difference {gap.difference:+.3f}, 95 % interval {gap.low:+.3f} to {gap.high:+.3f}; "
        f"the same label for {(guesses['model'] == guesses['student']).mean():.0%}"
    )


def check_target(target: Path) -> None:
    """Check that nothing but a student, which may be damaged, will be replaced.

    Raises:
        UserError: if there is anything else.
    """
    if not target.name:
        raise UserError(f"-o {quoted(str(target))} is not the name of a folder; choose another -o")
    if target.exists() and not target.is_dir():
        raise UserError(f"{quoted(str(target))} is a file; choose another -o")
    others = sorted({path.name for path in target.glob("*")} - student.FILES)
    if others:
        raise UserError(
            f"{quoted(str(target))} holds {listed(others)}, which no student has; choose another -o"
        )


def read_unlabelled(paths: Iterable[Path], reading: Reading) -> list[str]:
    """The texts of files, without their labels.

    Raises:
        UserError: for a file or a row that cannot be read, or for too many rows.
    """
    column = column_of(reading.text_column)
    layout = Layout(column, None, encoding=reading.encoding, delimiter=reading.delimiter)
    texts: list[str] = []
    for path in paths:
        on_disk(path)  # or a missing file without a known ending would be taken for a text
        with inputs.open_input([str(path)], layout, False) as source:
            try:
                for row in tqdm(source.rows(None), path.name, unit=" rows", delay=1):
                    texts.append(row.text)
                    if len(texts) > MOST_TEXTS:
                        raise UserError(
                            f"{quoted(str(path))} has more than {MOST_TEXTS:,} texts; "
                            f"draw a sample of them"
                        )
            except UserError as error:  # here is no --skip-bad
                raise UserError(str(error).removesuffix(inputs.OR_SKIP)) from None
    return texts


def validation_origin() -> str:
    """The split of data/raw that the validation rows were drawn from, by dvc.lock.

    Raises:
        UserError: if the stage `sample` has not run.
    """
    try:
        lock = read_yaml(Path("dvc.lock")) if Path("dvc.lock").is_file() else {}
        stage = lock["stages"]["sample"]
        found = stage["params"]["params.yaml"]["sample"]["validation_from"]
    except (KeyError, TypeError):
        found = None
    if found not in ("train", "test"):
        raise UserError("dvc.lock has no stage sample; run `dvc repro`")
    return str(found)


def read_split(name: str, origin: str) -> Labelled:
    """The reviews of a split of data/sample; `origin` is its split of data/raw.

    Raises:
        UserError: if the stages have not run, or the two are of different data.
    """
    sampled, raw = Path("data/sample", f"{name}.arrow"), Path("data/raw", f"{origin}.arrow")
    for path in (sampled, raw):
        if not path.is_file():
            raise UserError(f"no file {str(path)!r}; run `dvc repro` or `dvc pull`")
    table = arrow.read(sampled)
    rows, labels = arrow.column(table, "row"), arrow.column(table, "label")
    original = arrow.column(arrow.read(raw), "label")
    if rows.max(initial=-1) >= len(original) or not np.array_equal(original[rows], labels):
        raise UserError(f"{str(sampled)!r} is of other data than {str(raw)!r}; run `dvc repro`")
    names = arrow.label_names(table.schema)
    return Labelled(read_texts(raw, rows), labels, names, arrow.ordered(table.schema))


def predict(teacher: Classifier, texts: list[str]) -> np.ndarray:
    """The model's calibrated probabilities (texts, labels)."""
    parts: list[Any] = []
    with tqdm(total=len(texts), desc="label", unit=" texts", file=sys.stderr) as bar:
        for start in range(0, len(texts), TEXTS_AT_A_TIME):
            some = texts[start : start + TEXTS_AT_A_TIME]
            parts.append(teacher.scores(some, bar).probabilities)
    return np.concatenate(parts)
