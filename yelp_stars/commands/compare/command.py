"""`stars compare`: read the runs, compare them, print, and check a condition."""

import json
import re
import sys
from typing import Annotated, Any

import typer

from yelp_stars.evaluation.titles import SCORES
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import listed, quoted

NAMES = [name for name in SCORES if name != "calibration_error"]
# The difference of a score, second minus first, or an end of its interval: "accuracy < -0.01".
NUMBER = r"[-+]?\d{1,6}(?:\.\d{1,6})?"
SCORE = rf"(?:{'|'.join(NAMES)})(?:\.(?:low|high))?"
CONDITION = re.compile(rf"\s*({SCORE})\s*(<|>)\s*({NUMBER})\s*", re.ASCII)


def parse_condition(condition: str) -> tuple[str, str, float]:
    """Parse `--fail-if`: score, sign and number."""
    match = CONDITION.fullmatch(condition)
    if match is None:
        raise UserError(
            f"{quoted(condition)} is not a condition",
            advice=f"write one of {', '.join(NAMES)}, or an end of its interval (accuracy.high), "
            "then < or > and a number, such as 'accuracy < -0.01'",
        )
    return match[1], match[2], float(match[3])


def is_met(condition: tuple[str, str, float], described: dict[str, Any]) -> bool:
    """Decide whether a difference, or an end of its interval, is below or above a number."""
    of, sign, number = condition
    name, _, end = of.partition(".")
    difference = described["scores"].get(name, {}).get(end or "difference")
    if difference is None:
        raise UserError(f"{name} is undefined here", advice="choose another score for --fail-if")
    difference = round(difference, 12)  # 0.61 - 0.62 is -0.010000000000000009
    return bool(difference < number if sign == "<" else difference > number)


def compare(
    revisions: Annotated[
        list[str],
        typer.Argument(help="Revisions, experiments or workspace; REV:baseline for its baseline"),
    ],
    margin: Annotated[
        float,
        typer.Option(min=0.0001, max=1, help="Treat accuracies closer than this as equivalent"),
    ] = 0.01,
    texts: Annotated[int, typer.Option(min=0, help="Reviews to print per kind of change")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown, for a pull request")
    ] = False,
    fail_if: Annotated[
        str | None,
        typer.Option(help="Exit with code 3 if this holds for the difference: 'accuracy < -0.01'"),
    ] = None,
) -> None:
    """Compare the test predictions of two or more runs, row by row.

    Show whether the second is better than the first, with intervals, and what changed. More than
    two runs are ranked; runs that differ only in their seeds form one group.

    \b
    Examples:
      stars compare main workspace
      stars compare main slow --texts 5
      stars compare HEAD:baseline HEAD
      stars compare main slow --fail-if 'accuracy < -0.01'
    """  # noqa: D301
    # Late: help must be fast.
    from yelp_stars.commands.compare import pairing, ranking, tables
    from yelp_stars.commands.runs.revisions import read_revision

    condition = parse_condition(fail_if) if fail_if is not None else None
    if len(revisions) < 2:
        raise UserError("name two revisions, such as `stars compare main workspace`")
    if as_json and as_markdown:
        raise UserError("--json and --markdown exclude each other", advice="choose one")
    if len(revisions) > 2 and (texts or condition):
        raise UserError("--texts and --fail-if need exactly two revisions", advice="name two")
    read = [read_revision(name) for name in revisions]
    if len({(run.commit, run.name.partition(":")[2]) for run in read}) < len(read):
        raise UserError(f"{listed(revisions)} are the same commit", advice="name different ones")
    if len(read) > 2:
        described, lay_out = ranking.rank(read), tables.ranking
    else:
        described, lay_out = pairing.describe(*read, margin=margin, texts=texts), tables.pair
    if as_json:
        print(json.dumps(described, indent=2, default=str))
    else:
        print(tables.render(lay_out(described), markdown=as_markdown))
    if condition is not None and is_met(condition, described):
        print(f"{fail_if} holds: exit code 3", file=sys.stderr)
        raise typer.Exit(3)
