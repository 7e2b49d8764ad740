"""Define the layout of a user's file, and its rows."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import listed, quoted


def separator(delimiter: Any) -> Any:
    r"""Read \t, two characters to a shell and to most of YAML, as errors write it."""
    return "\t" if delimiter == "\\t" else delimiter


class Row(NamedTuple):
    """One row of a file, not validated yet."""

    location: str  # "mine.csv line 3"
    label: Any
    text: Any
    fields: Mapping[str, Any] | None = None
    """All columns of the row, if requested."""


class Layout(NamedTuple):
    """Format of a file, and the columns to read."""

    text_column: str | int
    """Name, or index from 0 in a file without a header."""
    label_column: str | int | None
    """None if the labels are not read."""
    encoding: str = "utf-8"
    """Encoding of CSV, TSV, JSON lines and text files; see `lines.known_encoding`."""
    delimiter: str | None = None
    """Column separator; None is a comma in a CSV and a tab in a TSV."""
    quoted: bool | None = None
    """Whether double quotes enclose fields; None is yes in a CSV, and no in a TSV."""
    max_line: int = 64_000_000
    """Maximum bytes of UTF-8 per line."""
    all_columns: bool = False
    """Return all columns with each row."""

    @property
    def wanted(self) -> dict[str, str | int]:
        """Return the columns to read, by their settings."""
        columns = {"text_column": self.text_column, "label_column": self.label_column}
        return {name: column for name, column in columns.items() if column is not None}

    def row(self, fields: Mapping[str, Any], location: str) -> Row:
        """Pick the label and the text of all columns of a row; an index is one as text."""
        label = None if self.label_column is None else fields.get(str(self.label_column))
        text = fields[str(self.text_column)]
        return Row(location, label, text, fields if self.all_columns else None)

    def check_names(
        self, names: list[str], location: str, error: type[UserError] = UserError
    ) -> None:
        """Check that every column that is read is there once; all are, if all are kept."""
        missing = [setting for setting, column in self.wanted.items() if str(column) not in names]
        if missing:
            columns = " and no column ".join(quoted(self.wanted[setting]) for setting in missing)
            raise error(
                f"has no column {columns}; it has {listed(names, 10)}",
                location=location,
                setting=f"download.{missing[0]}",
                advice="set {setting} to one of these"
                if len(missing) == 1
                else "set {setting} and the other column to two of these, or, in a file without a "
                "header, to numbers from 0",
            )
        if len(set(names)) < len(names):
            for name in names if self.all_columns else self.wanted.values():
                if names.count(name) > 1:  # type: ignore[arg-type]
                    problem = f"has several columns {quoted(name)}"
                    raise error(problem, location=location, advice="rename all but one")
