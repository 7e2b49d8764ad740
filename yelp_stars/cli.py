"""Define the command `stars`. Each command imports its module when called: help must be fast."""

import os
import sys

# With PYTHONPATH or `python -m`, the current folder comes first: a file in it would be a library.
sys.path.sort(key=lambda entry: os.path.realpath(entry) == os.path.realpath("."))

import importlib
import itertools
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from yelp_stars.commands.compare.command import compare
from yelp_stars.commands.doctor.command import doctor
from yelp_stars.commands.export import export
from yelp_stars.commands.label_next.command import label_next
from yelp_stars.commands.plots import plots
from yelp_stars.commands.predict.command import predict
from yelp_stars.commands.presets import params, use
from yelp_stars.commands.release import release
from yelp_stars.commands.remote import remote
from yelp_stars.commands.runs.command import runs
from yelp_stars.commands.search.command import curve, search, seeds
from yelp_stars.commands.serve.command import serve
from yelp_stars.commands.show import show
from yelp_stars.commands.verify import verify
from yelp_stars.pipeline.entrypoint import explain, print_anywhere
from yelp_stars.pipeline.errors import UserError


class Grouped(TyperGroup):
    """A list of commands in groups, which typer prints with rich only: that takes longer."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        listed: dict[str, Any] = {**self.commands}
        width = max(map(len, listed))
        grouped = itertools.groupby(listed.items(), lambda item: item[1].rich_help_panel)
        for title, commands in grouped:
            with formatter.section(title):
                limit = formatter.width - width - 4
                formatter.write_dl(
                    [(name.ljust(width), one.get_short_help_str(limit)) for name, one in commands]
                )


app = typer.Typer(
    cls=Grouped,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ANYWHERE = {"predict", "serve"}  # commands that need a model, not the project


@app.callback()
def in_project(context: typer.Context) -> None:
    """Inspect, compare and use the runs of this project, alongside DVC's own commands.

    \b
    Examples:
      stars show                  show the scores of the last run
      stars use                   list the presets
      stars use cpu               copy presets/cpu.yaml over params.yaml
      stars params train          explain the parameters of a section
      stars runs                  list all runs, the best first
      stars compare main slow     see whether the second run is better
      stars plots main slow       draw their curves in one picture
      stars seeds 5               measure the variation between seeds
      stars predict reviews.csv   predict the stars of each review
      stars label-next 20         print the unlabelled rows most worth labelling
      stars serve                 serve the model over HTTP, with a page to try it
      stars doctor                find problems of the project and their fixes
    """  # noqa: D301
    anywhere = context.invoked_subcommand in ANYWHERE
    if not anywhere and not (Path("dvc.yaml").is_file() and Path("stages").is_dir()):
        problem = "is not the project's folder: it has no dvc.yaml and no stages/"
        raise UserError(f"{str(Path.cwd())!r} {problem}", advice="run `stars` where dvc.yaml is")
    if not anywhere:
        # For this import alone: no other file of the folder is imported.
        sys.path.insert(0, str(Path.cwd()))
        importlib.import_module("stages")
        sys.path.pop(0)


GROUPS: dict[str, list[Any]] = {
    "Train": [use, params, seeds, search, curve, remote, doctor],
    "Decide": [show, runs, compare, plots],
    "Use": [predict, serve, label_next],
    "Share": [export, release, verify],
}
for title, commands in GROUPS.items():
    for command in commands:
        app.command(rich_help_panel=title)(command)


def main() -> None:
    """Run the command line; a user error is one line and exit code 1."""
    print_anywhere()
    try:
        app()
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.errno is None:
            raise
        sys.exit(f"error: {explain(error)}")


if __name__ == "__main__":
    main()
