"""The command `stars compare`: its arguments."""

import sys
from typing import Annotated

import typer


def compare(
    revisions: Annotated[
        list[str], typer.Argument(help="Revisions, experiments, or workspace; REV:baseline")
    ],
    margin: Annotated[
        float, typer.Option(help="Accuracies closer than this are equivalent")
    ] = 0.01,
    texts: Annotated[int, typer.Option(min=0, help="Reviews to print of each kind of change")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown, for a pull request")
    ] = False,
    fail_if: Annotated[
        str | None,
        typer.Option(help="Exit with 3 if this holds for the difference: 'accuracy < -0.01'"),
    ] = None,
) -> None:
    """Compare the test predictions of two or more runs, row by row.

    Is the second better than the first, how sure is that, and what changed? More than two are
    ranked; those that differ only in their seeds are one group.

    \b
    Examples:
      stars compare main workspace
      stars compare main slow --texts 5
      stars compare HEAD:baseline HEAD
      stars compare main slow --fail-if 'accuracy < -0.01'
    """  # noqa: D301
    from yelp_stars.commands.compare import command

    failed = command.run(
        revisions,
        margin=margin,
        texts=texts,
        as_json=as_json,
        as_markdown=as_markdown,
        fail_if=fail_if,
    )
    if failed:
        print(f"{fail_if} holds: exit code 3", file=sys.stderr)
        raise typer.Exit(3)
