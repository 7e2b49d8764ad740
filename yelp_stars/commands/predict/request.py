"""The arguments of `stars predict`, and which files they may write."""

import os
import re
import shlex
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from yelp_stars.commands.predict.formats import FORMATS
from yelp_stars.commands.predict.inputs import Input
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.params import Precision
from yelp_stars.pipeline.text import printable, quoted
from yelp_stars.reading import readers
from yelp_stars.reading.layout import Layout, Row
from yelp_stars.reading.origin import NO_FILE, Origin

# Options that say nothing about a format; of texts, none does.
TABLES = ("delimiter", "quoted")
COLUMNS = ("text_column", "label_column", *TABLES)
UNUSED = {"texts": (*COLUMNS, "encoding"), ".txt": COLUMNS, ".parquet": ("encoding", *TABLES)}
UNUSED |= dict.fromkeys((".jsonl", ".ndjson", ".json"), TABLES)
# What a column may be called, and hardly a text.
NAME = re.compile(r"|[^\W\d][\w.:-]*( [\w.:()-]+){0,2}")


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
        delimiter = layout.delimiter and layout.delimiter.replace("\t", "\\t")
        chosen = {
            "--text-column": (self.text_column, layout.text_column, plain.text_column),
            "--encoding": (self.encoding, layout.encoding, plain.encoding),
            "--delimiter": (self.delimiter, delimiter, plain.delimiter),
            "--quoted": (self.quoted, layout.quoted, plain.quoted),
            "--unescape": (self.unescape, source.unescape, False),
        }
        return [
            option if value is True else f"--no{option[1:]}" if value is False
            else f"{option} {shlex.quote(printable(value))}"
            for option, (given, value, default) in chosen.items()
            if given is None and value != default
        ]  # fmt: skip

    def check_options(self, source: Input) -> None:
        """Check that every option about the input applies to it."""
        kind = "texts" if source.path is None else readers.suffix(source.path)
        for name in UNUSED.get(kind, ()):
            if getattr(self, name) is not None:
                option = f"--{name.replace('_', '-')}"
                raise UserError(f"{option} says nothing about {kind}; leave it out")
        if self.labels and self.label_column is None:
            raise UserError("--label needs --label-column; add it")

    def check_header(self, source: Input, origin: Origin, first: Row) -> None:
        """Check that an index has not made the first row of a header."""
        is_given = isinstance(self.text_column, int) and not isinstance(origin.text_column, int)
        is_table = readers.suffix(source.path or Path()) not in UNUSED
        if is_given and is_table:
            what = f"{first.location} is a row, because an index is for a file without a header"
            if all(NAME.fullmatch(str(cell)) for cell in (first.fields or {}).values()):
                advice = f"set --text-column to {quoted(first.text)}, or put a line of names above"
                raise UserError(f"{what}, but looks like one", advice=advice)
            print(what, file=sys.stderr)

    def check_paths(self, source: Input) -> None:
        """Check that the outputs overwrite neither the input nor each other, nor other files."""
        written = {"-o": self.output, "--skip-bad": self.skip_bad}
        paths = {option: path for option, path in written.items() if path is not None}
        resolved = [path.resolve() for path in paths.values()]
        # The file itself, or the archive that it is in.
        read = [] if source.path is None else [source.path, *source.path.parents]
        if any(path.resolve() in resolved for path in read if not path.is_dir()):
            raise UserError(f"{quoted(source.name)} is the input; choose another file to write")
        part = self.output and self.output.with_name(f"{self.output.name}.part")
        if part and self.skip_bad and part.resolve() in (resolved[-1], *resolved[-1].parents):
            raise UserError(f"{quoted(str(part))} is for finished rows; choose another --skip-bad")
        if len(set(resolved)) < len(resolved):
            raise UserError("-o and --skip-bad are the same file; choose two")
        if self.output is not None and self.output.suffix not in FORMATS:
            raise UserError(f"-o {quoted(str(self.output))} must end in {', '.join(FORMATS)}")
        for option, path in paths.items():
            shown = quoted(str(path))
            if path.is_dir():
                raise UserError(f"{shown} is a folder; name a file in it")
            if path.exists() and not path.is_file():
                raise UserError(f"{shown} is a device or a pipe; choose another {option}")
            # Beside finished rows, it may be of the command that is resumed: that is checked later.
            if path.exists() and not self.force and not (part and part.is_dir()):
                raise UserError(f"{shown} exists; choose another {option}, or add --force")
            folder = next(folder for folder in path.absolute().parents if folder.exists())
            try:
                tempfile.TemporaryFile(dir=folder).close()
            except OSError as error:
                problem = f"{option} {shown} cannot be written ({os.strerror(error.errno or 0)})"
                raise UserError(problem, advice="choose another folder") from None
