"""`stars predict`: check what needs no model, then load the model and predict."""

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from yelp_stars.classifier.origin import read_origin
from yelp_stars.commands.predict import inputs
from yelp_stars.commands.predict.request import COLUMNS, Request
from yelp_stars.pipeline.errors import BadRow, Missing, UserError
from yelp_stars.pipeline.text import quoted


def run(request: Request) -> None:
    """Predict what the request names."""
    try:
        is_table = any(getattr(request, name) is not None for name in COLUMNS)
        with inputs.open_input(request.inputs, is_table) as source:
            request.check_options(source)
            request.check_paths(source)
            print("loading the model", file=sys.stderr)
            model: AbstractContextManager[Path] = nullcontext(request.model)
            if request.rev is not None:
                from yelp_stars.commands.runs import revisions  # DVC takes a second

                model = revisions.open_model(request.rev)  # a temporary folder
            with model as folder:
                origin = read_origin(folder)
                source = request.read_as(source, origin)
                options = request.remembered(source)
                if options and source.path is not None:
                    print("read like the training file:", *options, file=sys.stderr)
                # What the first row shows, such as a missing column, is reported at once.
                first = next(source.rows(inputs.ignore if request.skip_bad else None), None)
                if first is None:
                    raise UserError(f"{quoted(source.name)} has no row that can be predicted")
                request.check_header(source, origin, first)
                from yelp_stars.commands.predict import results  # torch takes seconds

                results.produce(request, source, folder, origin)
    except UserError as error:
        error.setting = inputs.option(error.setting)
        if isinstance(error, Missing):
            error.advice = error.advice or inputs.AS_TEXT
        if isinstance(error, BadRow):  # with --skip-bad, none gets here
            error.advice = ", or ".join(filter(None, [error.advice, "add --skip-bad FILE"]))
        raise
