"""`stars predict`: what can be checked without the model first, then the model."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from yelp_stars.commands.predict import inputs
from yelp_stars.commands.predict.request import Request, check_paths
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import quoted


def run(request: Request) -> None:
    """Predict what the request names.

    Raises:
        UserError: if the input, the model or the output cannot be used.
    """
    try:
        with inputs.open_input(request.inputs, request.layout, request.unescape) as source:
            check_paths(request, source)
            # What the first row shows, such as a missing column, is reported at once.
            next(source.rows(inputs.ignore if request.skip_bad else None), None)
            from yelp_stars.commands.predict import results  # torch takes seconds

            with open_model(request) as folder:
                results.produce(request, source, folder)
    except OSError as error:
        if error.errno is None:
            raise
        name = f" {quoted(str(error.filename))}" if error.filename else ""
        kept = "; what is finished is kept: run the same command again" if request.output else ""
        raise UserError(f"{os.strerror(error.errno)}{name}{kept}") from None


@contextlib.contextmanager
def open_model(request: Request) -> Iterator[Path]:
    """The folder of the model, as long as the block runs."""
    if request.rev is None:
        yield request.model
        return
    from yelp_stars.commands.runs import revisions  # DVC takes a second

    with revisions.open_model(request.rev) as folder:
        yield folder
