"""Print a comparison as text and tables, for the terminal or as Markdown.

Names and texts are anybody's: `render` makes each of them safe.
"""

import textwrap
from typing import Any, NamedTuple

import tabulate

from yelp_stars.evaluation.titles import score_titles
from yelp_stars.pipeline.text import counted, markdown_cell, printable
from yelp_stars.scoring.metrics import outwards

FLIPS = {
    "harmful": "became wrong",
    "beneficial": "became right",
    "both_wrong": "wrong in another way",
}
MAX_ROWS = 24  # of a folded table in the terminal
MAX_LINE = 600  # characters
MAX_TEXT = 300  # characters of a review
FIRST_WIDTH, WIDTH = 34, 20  # columns of the terminal, where a cell is wrapped

tabulate.MIN_PADDING = 0  # a table of slices fits into 80 columns


class Table(NamedTuple):
    """Cells, the first of each row aligned left, the others right."""

    titles: list[str]
    rows: list[list[str]]
    folded: str = ""
    """Title of a long table, which Markdown folds and the terminal cuts."""


Reviews = list[tuple[str, str]]
"""Pairs of a change of the prediction and the text."""
Block = str | Table | Reviews


def render(blocks: list[Block], *, markdown: bool) -> str:
    """Write blocks with an empty line between them."""
    return "\n\n".join(_render(block, markdown) for block in blocks)


def _render(block: Block, markdown: bool) -> str:
    safe = markdown_cell if markdown else printable
    if isinstance(block, str):
        return safe(block, MAX_LINE)
    if not isinstance(block, Table):
        return "\n".join(f"- {safe(how, 200)}\n  {safe(text, MAX_TEXT)}" for how, text in block)
    titles, *rows = [[safe(cell) for cell in row] for row in [block.titles, *block.rows]]
    shown = rows[:MAX_ROWS] if block.folded and not markdown else rows
    table = tabulate.tabulate(
        shown if markdown else map(_wrap, shown),
        titles if markdown else _wrap(titles),
        tablefmt="pipe" if markdown else "simple",
        disable_numparse=True,
        colalign=("left", *["right"] * (len(titles) - 1)) if rows else None,
    )
    if block.folded and markdown:
        return f"<details><summary>{block.folded}</summary>\n\n{table}\n\n</details>"
    return f"{table}\n({len(rows) - len(shown)} more with --json)" if rows[len(shown) :] else table


def _wrap(row: list[str]) -> list[str]:
    # Not by tabulate: its maxcolwidths takes "1,234" for a number, and fails.
    return [textwrap.fill(cell, WIDTH if index else FIRST_WIDTH) for index, cell in enumerate(row)]


def pair(described: dict[str, Any]) -> list[Block]:
    """Lay out a pair: verdict, scores, flips, slices, what differs, texts."""
    first, second = described["first"], described["second"]
    scores = [
        [
            title,
            *("undefined" if score[k] is None else f"{score[k]:.3f}" for k in ("first", "second")),
            *_difference(score),
        ]
        for name, title in score_titles(described["labels"]).items()
        if (score := described["scores"].get(name))
    ]
    titles = ["slice", "rows", "wrong", "right", "difference", "95 % interval", "p"]
    slices = [
        [
            row["name"],
            *(f"{row[key]:,}" for key in ("n", "harmful", "beneficial")),
            *_difference(row),
            f"{row['p']:.2g}",
        ]
        for row in described["slices"]
    ]
    harmful, beneficial, both_wrong = (described["flips"][name] for name in FLIPS)
    reviews: list[Block] = []
    for name, rows in described.get("texts", {}).items():
        if rows:
            reviews += [FLIPS[name].capitalize(), [(_change(row), row["text"]) for row in rows]]
    return [
        described["verdict"],
        Table(["", first, second, "difference", "95 % interval"], scores),
        *_baselines(described["baselines"]),
        f"Of {counted(described['n'], 'row')}, {harmful:,} became wrong, {beneficial:,} became "
        f"right, {both_wrong:,} are wrong in another way",
        Table(titles, slices, folded="Slices"),
        f"wrong, right: rows that became so; p: adjusted for {counted(len(slices), 'slice')}",
        *_changes(described, [first, second]),
        *reviews,
    ]


def ranking(described: dict[str, Any]) -> list[Block]:
    """Lay out a ranking: verdict, runs, best first, what differs."""
    titles = ["", "runs", "accuracy", "sd", "to the best", "95 % interval", "p"]
    rows = [
        [
            row["name"],
            str(len(row["runs"])),
            f"{row['accuracy']:.3f}",
            "" if row["standard_deviation"] is None else f"{row['standard_deviation']:.3f}",
            *_difference(row),
            "" if row["p"] is None else f"{row['p']:.2g}",
        ]
        for row in described["ranking"]
    ]
    blocks: list[Block] = [described["verdict"], Table(titles, rows)]
    if len(rows) > 1:
        blocks.append("p: of the difference to the best, adjusted for the number of all pairs")
    return [*blocks, *_changes(described, [row["name"] for row in described["ranking"]])]


def _changes(described: dict[str, Any], names: list[str]) -> list[Block]:
    rows = [
        [key, *("none" if value is None else repr(value) for value in values)]
        for key, values in described["params"].items()
    ]
    blocks: list[Block] = [Table(["parameter", *names], rows) if rows else "No parameters differ."]
    if described["code"]:
        blocks.append(f"Changed code: {', '.join(described['code'])}")
    return blocks


def _change(row: dict[str, Any]) -> str:
    label, first, second = (printable(row[key]) for key in ("label", "first", "second"))
    return f"row {row['row']}, {label}: {first} -> {second} ({row['probability']:.2f})"


def _difference(score: dict[str, Any]) -> list[str]:
    """Write a difference and its interval."""
    if score["difference"] is None:
        return ["", ""]
    low, high = (outwards(end, score[end], 3) for end in ("low", "high"))
    return [f"{score['difference']:+.3f}", f"{low:+.3f} to {high:+.3f}"]


def _baselines(known: dict[str, float]) -> list[str]:
    """Write a line for each baseline, or one for both."""
    if len(known) > 1 and len(set(known.values())) == 1:
        return [f"Accuracy of the baseline of both: {next(iter(known.values())):.3f}"]
    return [f"Accuracy of the baseline of {printable(name)}: {v:.3f}" for name, v in known.items()]
