"""Define the arguments of `stars doctor`. DVC is imported when it is called."""

from typing import Annotated

import typer

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import quoted, shell_word


def doctor(
    name: Annotated[
        str | None, typer.Argument(help="Remote to check; default: DVC's default remote")
    ] = None,
    remote: Annotated[bool, typer.Option("--remote", help="Also check a remote")] = False,
) -> None:
    """Check the project for problems and print a fix for each.

    Check dvc.lock, code that dvc.yaml does not declare, DVC's cache, your own files, and
    leftovers of killed runs. Exit with code 1 if there is a problem.

    \b
    Examples:
      stars doctor
      stars doctor --remote
      stars doctor --remote store
    """  # noqa: D301
    from yelp_stars.commands.doctor import checkup

    if name is not None and not remote:
        advice = f"run `stars doctor --remote {shell_word(name)}`"
        raise UserError(f"{quoted(name)} needs --remote", advice=advice)
    if checkup.run((name or "") if remote else None):
        raise typer.Exit(1)
