"""What is read of a user's file, and what a row of it is."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import listed, quoted


class Row(NamedTuple):
    """One row of a file, not validated yet."""

    location: str  # "mine.csv line 3"
    label: Any
    text: Any
    fields: Mapping[str, Any] | None = None
    """All columns of the row, if they are asked for."""


class Layout(NamedTuple):
    """How a file is written, and which of its columns are read."""

    text_column: str | int
    """A name, or an index from 0 in a file without a header."""
    label_column: str | int | None
    """None if the labels are not read."""
    encoding: str = "utf-8"
    """Of CSV, TSV and JSON lines; see `lines.ENCODINGS`."""
    delimiter: str | None = None
    """None is a comma in a CSV, and a tab in a TSV."""
    quoted: bool | None = None
    """Whether double quotes enclose fields; None is yes in a CSV, and no in a TSV."""
    longest_line: int = 64_000_000
    """Bytes of UTF-8."""
    all_columns: bool = False
    """Whether each row comes with all of its columns."""
    skip: Callable[[UserError], None] | None = None
    """Called with the error of a row that cannot be read, which is left out; None raises it."""

    @property
    def wanted(self) -> list[str | int]:
        """The columns that are read: the text, and the label if there is one."""
        return [name for name in (self.text_column, self.label_column) if name is not None]


def shown(path: Path) -> str:
    """A path in a location: as it is, unless it has characters that a terminal obeys."""
    text = str(path)
    return text if text.isprintable() and len(text) <= 160 else quoted(text, 160)


def check_column(wanted: str | int, columns: Sequence[str], location: str) -> None:
    """Check that a column is there once.

    Raises:
        UserError: with the columns that are.
    """
    if isinstance(wanted, int):
        raise UserError(
            f"{location} has columns with names, not numbers: set download.text_column and "
            f"download.label_column to two of {listed(columns)}"
        )
    if wanted not in columns:
        raise UserError(f"{location} has no column {quoted(wanted)}; it has {listed(columns)}")
    if list(columns).count(wanted) > 1:
        raise UserError(f"{location} has several columns {quoted(wanted)}; rename all but one")


def check_names(columns: Sequence[str], location: str) -> None:
    """Check that no two columns have one name: all are kept.

    Raises:
        UserError: with the first that is there twice.
    """
    twice = [name for name in dict.fromkeys(columns) if list(columns).count(name) > 1]
    if twice:
        raise UserError(f"{location} has several columns {quoted(twice[0])}; rename all but one")


def skip_or_raise(layout: Layout, problem: UserError) -> None:
    """Leave out a row that cannot be read, if the layout says so."""
    if layout.skip is None:
        raise problem
    layout.skip(problem)
