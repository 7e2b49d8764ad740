"""The arguments of `stars predict`, and whether its files can be written."""

from pathlib import Path
from typing import Any, NamedTuple

from yelp_stars.commands.predict.formats import FORMATS
from yelp_stars.commands.predict.inputs import Input
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import quoted
from yelp_stars.reading.layout import Layout


class Request(NamedTuple):
    """The arguments of the command."""

    inputs: list[str]
    """Texts, one file, or nothing for standard input."""
    output: Path | None
    """None is the terminal."""
    model: Path
    rev: str | None
    """A revision or experiment whose model is taken instead."""
    layout: Layout
    labels: list[str]
    """VALUE=NAME, of a label column."""
    unescape: bool
    below: float | None
    """Rows whose prediction has a smaller probability are for a person."""
    prefix: str
    """Of the names of the predicted columns."""
    skip_bad: Path | None
    """The file for the errors of rows that are left out; None raises the first."""
    precision: Any
    batch_size: int | None
    threads: int | None
    force: bool
    """Whether an output that exists is replaced."""

    @property
    def model_name(self) -> str:
        """The model, for people."""
        return str(self.model) if self.rev is None else self.rev


def column_of(argument: str) -> str | int:
    """A column by its name, or by its index."""
    return int(argument) if argument.isascii() and argument.isdecimal() else argument


def check_paths(request: Request, source: Input) -> None:
    """Check that the outputs overwrite neither the input nor each other.

    Raises:
        UserError: if they would, if one is a folder or exists, or has another ending.
    """
    written = [path for path in (request.output, request.skip_bad) if path is not None]
    resolved = [path.resolve() for path in written]
    # The file itself, or the archive that it is in.
    read = [] if source.path is None else [source.path, *source.path.parents]
    if any(path.resolve() in resolved for path in read if not path.is_dir()):
        raise UserError(f"{quoted(source.name)} is the input; choose another file to write")
    if len(set(resolved)) < len(resolved):
        raise UserError("-o and --skip-bad are one file; choose two")
    for path in written:
        if path.is_dir():
            raise UserError(f"{quoted(str(path))} is a folder; name a file in it")
    output = request.output
    if output is not None and output.suffix not in FORMATS:
        raise UserError(f"-o {quoted(str(output))} must end in {', '.join(FORMATS)}")
    resumed = output is not None and output.with_name(f"{output.name}.part").is_dir()
    errors = request.skip_bad
    if errors is not None and errors.exists() and not (request.force or resumed):
        raise UserError(f"{quoted(str(errors))} exists; choose another --skip-bad, or add --force")
    if output is not None and output.exists() and not request.force:
        raise UserError(f"{quoted(str(output))} exists; choose another -o, or add --force")
