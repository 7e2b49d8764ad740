"""Define the arguments of `stars seeds`, `stars search` and `stars curve`."""

from pathlib import Path
from typing import Annotated

import typer

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set-param",
        "-S",
        metavar="SECTION.KEY=VALUE",
        help="Set a parameter, as in `dvc exp run`",
    ),
]


def seeds(
    number: Annotated[int, typer.Argument(min=2, max=100, metavar="N", help="Number of seeds")],
    set_param: Settings = None,
) -> None:
    """Run the same parameters with N seeds, to measure the variation.

    Each run is an experiment; existing ones are not repeated, so an interrupted command resumes.

    \b
    Examples:
      stars seeds 5
      stars seeds 5 -S train.learning_rate=5e-5
    """  # noqa: D301
    from yelp_stars.commands.search import repeats

    repeats.run(number, set_param or [])


def search(
    space: Annotated[Path, typer.Argument(metavar="SPACE.yaml", help="Parameters to search over")],
    trials: Annotated[
        int, typer.Option(min=1, max=1000, help="Trials, in addition to the current parameters")
    ] = 12,
    finalists: Annotated[int, typer.Option(min=1, max=20, help="Trials to run with all rows")] = 2,
    number: Annotated[
        int, typer.Option("--seeds", min=2, max=20, help="Runs of each finalist")
    ] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Seed for drawing the trials")] = 0,
    set_param: Settings = None,
) -> None:
    """Search for the parameters with the best validation accuracy.

    All trials run with few training rows, the best third with three times as many, and so on; the
    finalists run with all rows and several seeds. Each run is an experiment; existing ones
    are not repeated.

    \b
    Examples:
      stars search docs/space.yaml
      stars search docs/space.yaml --trials 30 --finalists 3
    """  # noqa: D301
    from yelp_stars.commands.search import search as searching

    searching.run(space, trials, finalists, number, seed, set_param or [])


def curve(
    sizes: Annotated[
        list[int] | None,
        typer.Argument(help="Training rows, four sizes or more; default: 1/8, 1/4, 1/2 and all"),
    ] = None,
    number: Annotated[int, typer.Option("--seeds", min=2, max=20, help="Runs of each size")] = 2,
    margin: Annotated[
        float, typer.Option(min=0, max=1, help="Gain in accuracy that makes more data worth it")
    ] = 0.01,
    set_param: Settings = None,
) -> None:
    """Measure accuracy against training rows: is more data worth it?

    Each run is an experiment; existing ones are not repeated.

    \b
    Examples:
      stars curve
      stars curve 250 500 1000 2000 --seeds 3
    """  # noqa: D301
    from yelp_stars.commands.search import curve as curves

    curves.run(sizes or [], number, margin, set_param or [])
