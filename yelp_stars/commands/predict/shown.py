"""Print a few predictions as a table, and a summary."""

import math

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from yelp_stars.commands.predict.formats import Rows
from yelp_stars.commands.predict.windows import Tally
from yelp_stars.evaluation.intervals import proportion
from yelp_stars.pipeline.text import printable

MAX_ROWS = 20
MAX_TEXT = 200  # characters


def print_rows(texts: list[str], rows: Rows, prefix: str) -> None:
    """Print predictions with the beginnings of their texts, which are untrusted."""
    console = Console(markup=False, highlight=False, emoji=False)
    table = Table(box=None, pad_edge=False, expand=True)
    table.add_column("stars", no_wrap=True)
    table.add_column("probability", justify="right", no_wrap=True)
    table.add_column("range", no_wrap=True)
    table.add_column("text", no_wrap=True, overflow="ellipsis", ratio=1)
    for text, row in zip(texts, rows):
        names = row.get(f"{prefix}range") or []
        ends = names if len(names) < 2 else [names[0], names[-1]]
        probability = f"{row[f'{prefix}probability']:.3f}"
        cells = [row[f"{prefix}stars"], probability, " to ".join(ends), text]
        table.add_row(*(Text(printable(cell, MAX_TEXT)) for cell in cells))
    console.print(table)


def summary(tally: Tally, ordered: bool, below: float | None, max_length: int) -> list[str]:
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
        accuracy = proportion(int(confusion.trace()), n)
        scores = [
            f"accuracy {accuracy['value']} [{accuracy['low']}, {accuracy['high']}]",
            f"log loss {tally.loss / n:.3f}",
        ]
        if ordered:
            distance = abs(np.subtract.outer(*[np.arange(len(confusion))] * 2))
            scores.insert(1, f"mean error {(confusion * distance).sum() / n:.3f} stars")
        lines.append(f"{', '.join(scores)} on {n:,} rows with a label")
    return lines


def rate(rows: int, seconds: float) -> str:
    """Write rows, time and rows per second."""
    time = f"{seconds:,.0f}" if seconds >= 10 else f"{seconds:.1f}"
    return f"{rows:,} rows in {time} s, {rows / max(seconds, math.ulp(1)):,.0f} rows/s"
