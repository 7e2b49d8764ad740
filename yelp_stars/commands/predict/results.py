"""Predict all rows of an input, to the terminal or to a file."""

import contextlib
import itertools
import math
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table
from rich.text import Text
from tqdm import tqdm

from yelp_stars.classifier.classify import Classifier, fingerprint
from yelp_stars.commands.predict import inputs
from yelp_stars.commands.predict.formats import FORMATS, Rows, valid
from yelp_stars.commands.predict.inputs import Input
from yelp_stars.commands.predict.parts import Parts, check_new, open_parts
from yelp_stars.commands.predict.request import Request
from yelp_stars.commands.predict.windows import Predictor, Tally, predicted_columns, windows
from yelp_stars.evaluation.intervals import proportion, written
from yelp_stars.evaluation.titles import score_titles
from yelp_stars.pipeline.errors import BadRow, UserError
from yelp_stars.pipeline.files import remove_unfinished, replacing
from yelp_stars.pipeline.text import listed, printable, quoted
from yelp_stars.reading.layout import Row
from yelp_stars.reading.origin import Origin
from yelp_stars.scoring.metrics import score_counts

JOINED = "joined"  # in the folder of the parts
MAX_ROWS, MAX_TEXT = 20, 200  # rows that are printed, and characters of a text


def produce(request: Request, source: Input, folder: Path, origin: Origin) -> None:
    """Load the model, check all rows, predict them, print or write them."""
    classify = Classifier(folder, request.precision, request.batch_size, request.threads)
    fitted, names = classify.fitted, classify.label_names
    model_name = request.rev or str(request.model)
    say(f"{model_name}: {len(names)} labels, {classify.engine.precision}, {classify.reads}")
    numbers = None
    if request.label_column is not None:
        numbers = inputs.label_numbers(names, request.labels, origin.labels or {})
    columns = predicted_columns(names, fitted is not None, request.below, request.prefix)
    predictor = Predictor(classify, columns, request.below, numbers)
    blanks = itertools.count()
    rows = source.rows(inputs.ignore if request.skip_bad else None, lambda: next(blanks))
    if request.output is None:
        # To be scored, all rows are predicted; else those that are shown.
        few = source.path is not None and numbers is None
        all_checked = not few or request.skip_bad is not None
        total = check(request, source, numbers)[0] if all_checked else None
        tally = to_terminal(predictor, rows, None if few else total, valid(request.prefix))
    else:
        total, own = check(request, source, numbers)
        if both := [name for name in columns.names if name in own.names]:
            raise UserError(
                f"{quoted(source.name)} already has {listed(both, 3)}",
                advice=f"add a prefix to the predicted columns: "
                f"--prefix {request.prefix[:40]}predicted_",
            )
        schema = pa.schema([*own, *columns])
        key = {
            "input": [*source.identity()],
            "way of reading it": [str(source.layout), source.unescape],
            "model": fingerprint(folder),
            "columns": [str(schema), request.below],
            "labels": numbers,
            "format": request.output.suffix,
            **classify.identity,
        }
        with open_parts(request.output, key) as parts, stoppable(parts):
            tally = to_file(predictor, rows, total, parts, schema, request.output, request.force)
    ordered = fitted is not None and fitted.ordered
    if left_out := next(blanks):
        say(f"blank lines left out: {left_out:,}")
    for line in summary(tally, names, ordered, request.below, classify.cut.max_length):
        say(line)


def check(
    request: Request, source: Input, numbers: Mapping[str, int] | None
) -> tuple[int, pa.Schema]:
    """Check all rows; collect the errors of bad ones in a file, if the request names one."""
    path = request.skip_bad
    if path is None:
        return inputs.check(source, numbers, None)
    bad = itertools.count()
    with stoppable(), replacing(path) as partial, partial.open("w", encoding="utf-8") as file:

        def note(error: BadRow) -> None:
            next(bad)
            file.write(f"{error.worded(inputs.option)}\n")

        checked = inputs.check(source, numbers, note)
        file.flush()
        check_new(partial, path, "--skip-bad", request.force)
    say(f"{path}: errors of {next(bad):,} skipped rows")
    return checked


def to_terminal(predictor: Predictor, rows: Iterator[Row], total: int | None, prefix: str) -> Tally:
    """Print the first rows; predict all `total` rows, or those that are printed if it is None."""
    more = total is not None and total > MAX_ROWS
    if total is None:
        few = [*itertools.islice(rows, MAX_ROWS)]
        more = next(rows, None) is not None
        rows, total = iter(few), len(few)
    tallies: list[Tally] = []
    texts: list[str] = []
    first: Rows = []
    with progress(total) as bar:
        for window in windows(rows):
            predicted, counted = predictor(window, bar)
            tallies.append(counted)
            texts += [row.text for row in window[: MAX_ROWS - len(first)]]
            first += predicted[: MAX_ROWS - len(first)]
    fitted = predictor.classify.fitted
    answer = predictor.columns.names[0].removeprefix(prefix)
    print_rows(texts, first, answer, prefix, fitted is not None and fitted.ordered)
    if more:
        say(f"first {len(first)} rows; add -o FILE for all")
    return Tally.total(tallies)


def to_file(
    predictor: Predictor,
    rows: Iterator[Row],
    total: int,
    parts: Parts,
    schema: pa.Schema,
    output: Path,
    force: bool,
) -> Tally:
    """Predict the windows that `parts` lacks, then join all of them."""
    encode, join = FORMATS[output.suffix]
    started = time.monotonic()
    if finished := rows_of(parts):
        say(f"resuming: {finished:,} of {total:,} rows are finished")
    with progress(total, finished) as bar:
        for window in itertools.islice(windows(rows), len(parts.records), None):
            predicted, counted = predictor(window, bar)
            parts.add(encode(predicted, schema), {"tally": counted})
    if rows_of(parts) != total:
        raise UserError(f"the input has changed since; delete {quoted(str(parts.folder))}")
    join(parts.paths, schema, parts.folder / JOINED)
    check_new(parts.folder / JOINED, output, "-o", force)
    (parts.folder / JOINED).replace(output)
    tally = Tally.total(record["tally"] for record in parts.records)
    shutil.rmtree(parts.folder)
    say(f"{output}: {rate(total - finished, time.monotonic() - started)}")
    return tally


def rows_of(parts: Parts) -> int:
    """Count the finished rows."""
    return sum(Tally(*record["tally"]).rows for record in parts.records)


def progress(total: int, finished: int = 0) -> tqdm:
    """Make a bar with rows per second and the time left; a minute apart in a file."""
    seconds = 1 if sys.stderr.isatty() else 60
    bar = {"desc": "predict", "unit": " rows", "delay": seconds, "mininterval": seconds}
    return tqdm(total=total, initial=finished, miniters=1, **bar)


@contextlib.contextmanager
def stoppable(parts: Parts | None = None) -> Iterator[None]:
    """On Ctrl-C or SIGTERM, end at once with nothing half-written, and say how to resume.

    By no exception: libraries swallow one that is raised inside of their callbacks.
    """

    def stop(number: int, frame: Any) -> None:
        remove_unfinished()
        if parts is not None:
            finished = f"{rows_of(parts):,} rows are finished"
            os.write(2, f"\nstopped; {finished}: run the same command to resume\n".encode())
        os._exit(128 + number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def say(line: str) -> None:
    """Print a line to stderr."""
    print(line, file=sys.stderr)


def print_rows(
    texts: list[str], rows: Rows, answer: str, prefix: str, ordered: bool = True
) -> None:
    """Print predictions with the beginnings of their texts, which are untrusted."""
    console = Console(markup=False, highlight=False, emoji=False)
    table = Table(box=None, pad_edge=False, expand=True)
    table.add_column(answer, no_wrap=True)
    table.add_column("probability", justify="right", no_wrap=True)
    table.add_column("range", no_wrap=True)
    table.add_column("text", no_wrap=True, overflow="ellipsis", ratio=1)
    for text, row in zip(texts, rows):
        names = row.get(f"{prefix}range") or []
        is_range = ordered and len(names) > 1
        ends = f"{names[0]} to {names[-1]}" if is_range else printable(", ".join(names), 40)
        probability = f"{row[f'{prefix}probability']:.3f}"
        cells = [row[f"{prefix}{answer}"], probability, ends, text]
        table.add_row(*(Text(printable(cell, MAX_TEXT)) for cell in cells))
    console.print(table)


def summary(
    tally: Tally, names: list[str], ordered: bool, below: float | None, max_length: int
) -> list[str]:
    """Write lines about all rows: texts that were cut, rows for a person, scores by the labels."""
    lines = []
    if tally.truncated:
        lines.append(
            f"{tally.truncated:,} of {tally.rows:,} texts are longer than {max_length} tokens and "
            f"were cut"
        )
    if below is not None:
        lines.append(f"{tally.to_a_person:,} of {tally.rows:,} rows are below {below:g}")
    confusion = np.array(tally.confusion)
    if n := int(confusion.sum()):
        scores = [f"accuracy {written(proportion(int(confusion.trace()), n))}"]
        if ordered:
            title = score_titles(dict.fromkeys(names, 1))["mae"]
            scores.append(f"{title} {score_counts(confusion, ordered)['mae']:.3f}")
        scores.append(f"log loss {tally.loss / n:.3f}")
        lines.append(f"{', '.join(scores)} on {n:,} rows with a label")
    return lines


def rate(rows: int, seconds: float) -> str:
    """Write rows, time and rows per second."""
    time = f"{seconds:,.0f}" if seconds >= 10 else f"{seconds:.1f}"
    return f"{rows:,} rows in {time} s, {rows / max(seconds, math.ulp(1)):,.0f} rows/s"
