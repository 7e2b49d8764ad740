"""How the training rows were read: what a model remembers, to read new ones the same way."""

from typing import NamedTuple


class Origin(NamedTuple):
    """The file of the training rows, and what its texts are called."""

    noun: str = "review"
    """What a text is called."""
    ending: str = ""
    """Format of the file, such as .csv; empty if the rows came from elsewhere."""
    text_column: str | int = "text"
    label_column: str | int = "label"
    labels: dict[str, str] | None = None
    """Class of each value in the label column, see `canonical_label`."""
    encoding: str = "utf-8"
    delimiter: str | None = None
    quoted: bool | None = None
    unescape: bool = False


NO_FILE = Origin()
