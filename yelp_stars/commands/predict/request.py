"""The arguments of `stars predict`, and which files they may write."""

import shlex
from pathlib import Path
from typing import NamedTuple

from yelp_stars.commands.predict.formats import FORMATS
from yelp_stars.commands.predict.inputs import Input
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.params import Precision
from yelp_stars.pipeline.text import printable, quoted
from yelp_stars.reading import readers
from yelp_stars.reading.layout import Layout
from yelp_stars.reading.origin import NO_FILE, Origin


class Request(NamedTuple):
    """Arguments of the command, which says what they mean."""

    inputs: list[str]
    output: Path | None = None
    text_column: str | int | None = None
    label_column: str | int | None = None
    encoding: str | None = None
    delimiter: str | None = None
    quoted: bool | None = None
    max_line: int = 64_000_000
    unescape: bool | None = None
    labels: tuple[str, ...] = ()
    below: float | None = None
    prefix: str = ""
    skip_bad: Path | None = None
    force: bool = False
    model: Path = Path("models/finetuned")
    rev: str | None = None
    precision: Precision = "auto"
    batch_size: int | None = None
    threads: int | None = None

    def read_as(self, source: Input, origin: Origin) -> Input:
        """Read the input as the options say, and else as the training rows were read.

        Their format is remembered for files with the same ending.
        """
        same = source.path is not None and readers.suffix(source.path) == origin.ending
        known = origin if same else NO_FILE
        named = isinstance(origin.text_column, str)
        text = origin.text_column if same or named else known.text_column
        text = text if self.text_column is None else self.text_column
        if self.label_column is not None and type(self.label_column) is not type(text):
            raise UserError(
                f"--label-column {quoted(self.label_column)} and the text column {quoted(text)} "
                f"should be two names, or two indices"
            )
        layout = Layout(
            text,
            self.label_column,
            self.encoding or known.encoding,
            self.delimiter or known.delimiter,
            known.quoted if self.quoted is None else self.quoted,
            self.max_line,
            all_columns=True,
        )
        unescape = known.unescape if self.unescape is None else self.unescape
        return source._replace(layout=layout, unescape=unescape)

    def remembered(self, source: Input) -> list[str]:
        """Write the options that `read_as` took from the training file."""
        plain, layout = Layout("text", None), source.layout
        chosen = {
            "--text-column": (self.text_column, layout.text_column, plain.text_column),
            "--encoding": (self.encoding, layout.encoding, plain.encoding),
            "--delimiter": (self.delimiter, layout.delimiter, plain.delimiter),
            "--quoted": (self.quoted, layout.quoted, plain.quoted),
            "--unescape": (self.unescape, source.unescape, False),
        }
        return [
            option if value is True else f"--no{option[1:]}" if value is False
            else f"{option} {shlex.quote(printable(value))}"
            for option, (given, value, default) in chosen.items()
            if given is None and value != default
        ]  # fmt: skip

    def check_paths(self, source: Input) -> None:
        """Check that the outputs overwrite neither the input nor each other, nor other files."""
        written = {"-o": self.output, "--skip-bad": self.skip_bad}
        paths = {option: path for option, path in written.items() if path is not None}
        resolved = [path.resolve() for path in paths.values()]
        # The file itself, or the archive that it is in.
        read = [] if source.path is None else [source.path, *source.path.parents]
        if any(path.resolve() in resolved for path in read if not path.is_dir()):
            raise UserError(f"{quoted(source.name)} is the input; choose another file to write")
        if len(set(resolved)) < len(resolved):
            raise UserError("-o and --skip-bad are the same file; choose two")
        if self.output is not None and self.output.suffix not in FORMATS:
            raise UserError(f"-o {quoted(str(self.output))} must end in {', '.join(FORMATS)}")
        part = self.output and self.output.with_name(f"{self.output.name}.part")
        resumed = part is not None and part.is_dir()
        for option, path in paths.items():
            if path.is_dir():
                raise UserError(f"{quoted(str(path))} is a folder; name a file in it")
            if path.exists() and not self.force and not (resumed and option == "--skip-bad"):
                raise UserError(
                    f"{quoted(str(path))} exists; choose another {option}, or add --force"
                )
