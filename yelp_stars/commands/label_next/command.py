"""Define the arguments of `stars label-next`."""

from pathlib import Path
from typing import Annotated

import typer

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import quoted


def label_next(
    rows: Annotated[int, typer.Argument(metavar="N", min=1, help="Rows to print")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write them to this file instead")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Seed of the draw and of the clusters")
    ] = 0,
) -> None:
    """Print the N unlabelled rows that are most worth labelling.

    Draw up to 2,000 rows at random, take those the model is least sure of, and spread the choice
    over topics (Zhdanov 2019, Diverse mini-batch Active Learning). The rows have the columns of
    your file and an empty label: fill it in, append them, and run `make repro` again.

    Rows come from those without a label (download.unlabelled: keep) or, if there are none, from
    the part of the training split that is not in the sample.

    \b
    Examples:
      stars label-next 20
      stars label-next 50 -o next.csv
    """  # noqa: D301
    if output is not None and output.exists():
        raise UserError(f"{quoted(str(output))} exists; choose another --output")
    if output is not None and not output.parent.is_dir():
        raise UserError(f"no folder {quoted(str(output.parent))}; make it first")
    from yelp_stars.commands.label_next import choice  # torch takes seconds

    choice.run(rows, output, seed)
