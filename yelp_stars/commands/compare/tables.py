"""A comparison as tables, for the terminal and for Markdown. Names and texts are anybody's."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from yelp_stars.pipeline.text import markdown_cell, printable

TITLES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "mae": "mean error in stars",
    "quadratic_kappa": "quadratic kappa",
    "loss": "log loss",
}
FLIPS = {
    "harmful": "became wrong",
    "beneficial": "became right",
    "both_wrong": "wrong in another way",
}
SLICES = ["slice", "rows", "wrong", "right", "difference", "95 % interval", "p"]
RANKING = ["", "runs", "accuracy", "sd", "to the best", "95 % interval", "p"]
MOST_SLICES = 24  # lines in the terminal
MOST_VALUE = 60  # characters of a parameter's value
MOST_TEXT = 300  # characters of a review
MOST_VERDICT = 600

Lines = list[list[str]]


def print_pair(described: dict[str, Any]) -> None:
    """Print the verdict and the tables of a pair to the terminal."""
    console = Console(markup=False, highlight=False, emoji=False)
    _say(console, printable(described["verdict"], MOST_VERDICT))
    console.print()
    first, second = described["first"], described["second"]
    _print_table(console, ["", first, second, "difference", "95 % interval"], _scores(described))
    for line in _baselines(described):
        _say(console, line)
    _say(console, f"\n{_flips(described)}")
    lines = _slices(described)
    _print_table(console, SLICES, lines[:MOST_SLICES])
    more = f"; {len(lines) - MOST_SLICES} more with --json" if lines[MOST_SLICES:] else ""
    _say(console, f"wrong, right: rows that became so; p: adjusted for {len(lines)} slices{more}")
    console.print()
    _print_changes(console, described, [first, second])
    for name, rows in described.get("texts", {}).items():
        _say(console, f"\n{FLIPS[name].capitalize()}")
        for row in rows:
            _say(console, f"  row {row['row']}, {printable(row['label'])}: {_change(row)}")
            _say(console, f"    {printable(row['text'], MOST_TEXT)}")


def print_ranking(described: dict[str, Any]) -> None:
    """Print the verdict and the runs, best first, to the terminal."""
    console = Console(markup=False, highlight=False, emoji=False)
    _say(console, printable(described["verdict"], MOST_VERDICT))
    console.print()
    _print_table(console, RANKING, _ranking(described))
    if len(described["ranking"]) > 1:
        _say(console, "p: of the difference to the best, adjusted for the number of all pairs")
    console.print()
    _print_changes(console, described, [row["name"] for row in described["ranking"]])


def pair_markdown(described: dict[str, Any]) -> str:
    """The verdict and the tables of a pair, for a pull request."""
    first, second = described["first"], described["second"]
    parts = [
        markdown_cell(described["verdict"], MOST_VERDICT),
        _markdown(["", first, second, "difference", "95 % interval"], _scores(described)),
        *[markdown_cell(line, MOST_TEXT) for line in _baselines(described)],
        markdown_cell(_flips(described), MOST_TEXT),
        _changes_markdown(described, [first, second]),
        "<details><summary>Slices</summary>",
        _markdown(SLICES, _slices(described)),
        "</details>",
    ]
    for name, rows in described.get("texts", {}).items():
        lines = [[str(row["row"]), row["label"], _change(row), row["text"]] for row in rows]
        head = [FLIPS[name].capitalize(), "label", "predicted", "text"]
        parts.append(_markdown(head, lines, MOST_TEXT))
    return "\n\n".join(filter(None, parts))


def ranking_markdown(described: dict[str, Any]) -> str:
    """The verdict and the runs, best first, for a pull request."""
    names = [row["name"] for row in described["ranking"]]
    parts = [
        markdown_cell(described["verdict"], MOST_VERDICT),
        _markdown(RANKING, _ranking(described)),
        _changes_markdown(described, names),
    ]
    return "\n\n".join(filter(None, parts))


def _say(console: Console, line: str) -> None:
    console.print(line, soft_wrap=True)


def _print_table(console: Console, titles: list[str], lines: Lines) -> None:
    table = Table(box=None, pad_edge=False)
    for number, title in enumerate(titles):
        justify = "right" if number else "left"
        table.add_column(Text(printable(title)), justify=justify, overflow="fold")  # type: ignore[arg-type]
    for line in lines:
        table.add_row(*(Text(printable(text)) for text in line))
    console.print(table)


def _print_changes(console: Console, described: dict[str, Any], names: list[str]) -> None:
    if len(names) == 2:
        for key, values in described["params"].items():
            _say(console, f"{printable(key)}: {' -> '.join(map(_value, values))}")
    elif described["params"]:
        lines = [[key, *map(_value, values)] for key, values in described["params"].items()]
        _print_table(console, ["", *names], lines)
    if described["code"]:
        _say(console, f"Code that differs: {printable(', '.join(described['code']), MOST_TEXT)}")
    if not described["params"]:
        _say(console, "No parameter differs.")


def _changes_markdown(described: dict[str, Any], names: list[str]) -> str:
    lines = [[key, *map(_value, values)] for key, values in described["params"].items()]
    parts = [_markdown(["parameter", *names], lines)] if lines else []
    if described["code"]:
        parts.append(markdown_cell(f"Code that differs: {', '.join(described['code'])}", MOST_TEXT))
    return "\n\n".join(parts)


def _markdown(titles: list[str], lines: Lines, most: int = MOST_VALUE) -> str:
    rows = [[markdown_cell(text, most) for text in line] for line in [titles, *lines]]
    rule = ["---"] + ["---:"] * (len(titles) - 1)
    return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], rule, *rows[1:]])


def _scores(described: dict[str, Any]) -> Lines:
    lines = []
    for name, found in described["scores"].items():
        known = [found["first"], found["second"]]
        shown = ["undefined" if number is None else f"{number:.3f}" for number in known]
        lines.append([TITLES[name], *shown, *_difference(found)])
    return lines


def _difference(found: dict[str, Any]) -> list[str]:
    """The difference and its interval."""
    if found["difference"] is None:
        return ["", ""]
    return [f"{found['difference']:+.3f}", f"{found['low']:+.3f} to {found['high']:+.3f}"]


def _baselines(described: dict[str, Any]) -> list[str]:
    """A line for each baseline, or one for both."""
    known = described["baselines"]
    if len(known) > 1 and len(set(known.values())) == 1:
        return [f"Accuracy of the baseline of both: {next(iter(known.values())):.3f}"]
    return [f"Accuracy of the baseline of {printable(name)}: {v:.3f}" for name, v in known.items()]


def _flips(described: dict[str, Any]) -> str:
    harmful, beneficial, both_wrong = (described["flips"][name] for name in FLIPS)
    return (
        f"Of {described['n']:,} rows, {harmful:,} became wrong, {beneficial:,} became right, "
        f"{both_wrong:,} are wrong in another way"
    )


def _slices(described: dict[str, Any]) -> Lines:
    return [
        [
            row["name"],
            *(f"{row[key]:,}" for key in ("n", "harmful", "beneficial")),
            *_difference(row),
            f"{row['p']:.2g}",
        ]
        for row in described["slices"]
    ]


def _ranking(described: dict[str, Any]) -> Lines:
    lines = []
    for row in described["ranking"]:
        sd, p = row["standard_deviation"], row["p"]
        lines.append(
            [
                row["name"],
                str(len(row["runs"])),
                f"{row['accuracy']:.3f}",
                "" if sd is None else f"{sd:.3f}",
                *_difference(row),
                "" if p is None else f"{p:.2g}",
            ]
        )
    return lines


def _change(row: dict[str, Any]) -> str:
    """How the prediction of a row changed."""
    return f"{printable(row['first'])} -> {printable(row['second'])} ({row['probability']:.2f})"


def _value(value: Any) -> str:
    return "none" if value is None else printable(repr(value) if isinstance(value, str) else value)
