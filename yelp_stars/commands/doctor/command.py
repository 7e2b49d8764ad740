"""The command `stars doctor`: its arguments. DVC is imported when it is called."""

from typing import Annotated

import typer

from yelp_stars.pipeline.errors import UserError


def doctor(
    name: Annotated[
        str | None, typer.Argument(help="The remote to check; the default remote without a name")
    ] = None,
    remote: Annotated[bool, typer.Option("--remote", help="Check a remote, too")] = False,
) -> None:
    """Check the project for problems, and print a fix for each.

    Checks dvc.lock, code that dvc.yaml does not declare, DVC's cache, your own files, and what
    killed runs left behind. Exits with 1 if there is a problem.

    \b
    Examples:
      stars doctor
      stars doctor --remote
      stars doctor --remote store
    """  # noqa: D301
    from yelp_stars.commands.doctor import checkup

    if name is not None and not remote:
        raise UserError(f"a remote is checked with --remote; run `stars doctor --remote {name}`")
    if checkup.run((name or "") if remote else None):
        raise typer.Exit(1)
