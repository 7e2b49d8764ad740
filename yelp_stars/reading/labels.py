"""Values of the columns of a user: labels and the classes that they mean, and valid texts."""

import datetime
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from yelp_stars.pipeline.errors import BadRow, UserError
from yelp_stars.pipeline.text import listed, quoted
from yelp_stars.reading.layout import Row
from yelp_stars.reading.problems import Problems

Reviews = Iterable[tuple[int, str]]  # (label, text); labels are numbered from 0

# Whole numbers as text. 007, 1.10 and 1E30 are codes, and not the numbers 7, 1.1 and 10**30.
WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]{0,30})(\.0{1,30})?", re.ASCII)


def canonical_label(value: Any) -> str | None:
    """Write a label value in its one text form, the same for every file format and params.yaml.

    1, 1.0, "1.0" and " 1" are "1"; true, "True" and "TRUE" are "true"; an accent is part of its
    letter (NFC). None, NaN and an empty text mean that the row has no label: None.

    Raises:
        TypeError: for a value that cannot be a label, such as a list.
    """
    if isinstance(value, float | Decimal) and math.isnan(value):
        return None
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    if value is None or isinstance(value, str):
        text = unicodedata.normalize("NFC", value or "").strip()
    elif isinstance(value, float | Decimal) and math.isfinite(value):
        text = format(Decimal(str(value)), "f")
        text = text.rstrip("0").rstrip(".") if "." in text else text
    elif isinstance(value, bool | int | float | Decimal | datetime.date | datetime.time):
        text = str(value)
    else:
        raise TypeError
    if text.lower() in ("true", "false"):
        return text.lower()
    if WHOLE.fullmatch(text):
        text = str(int(text.partition(".")[0]))
    return text or None


def canonical_labels(labels: Any) -> Any:
    """Make the keys of a label map canonical; return anything but a map as it is, "auto" as {}.

    Raises:
        ValueError: for a key that cannot be a label, or two keys that are the same value.
    """
    if labels == "auto":
        return {}
    if not isinstance(labels, Mapping):
        return labels
    if not labels:
        raise ValueError("should have the value and the name of each class, or be auto")
    canonical: dict[str, Any] = {}
    for value, name in labels.items():
        try:
            key = canonical_label(value)
        except TypeError:
            key = None
        if key is None:
            raise ValueError(f"the value {quoted(value)} is not a label; remove it")
        if key in canonical:
            raise ValueError(f"the value {quoted(key)} is given twice, also as {quoted(value)}")
        canonical[key] = unicodedata.normalize("NFC", name) if isinstance(name, str) else name
    return canonical


def map_labels(
    rows: Iterable[Row],
    labels: Mapping[str, str],
    *,
    spare: Callable[[str], None] | None,
    dropped: Counter[str],
    problems: Problems,
) -> Iterator[tuple[int, str]]:
    """Turn rows into (label, text); a label is the index of its class name.

    `labels` has canonical keys. The texts of rows without a label go to `spare`, and are counted as
    dropped; None makes them errors. A row that is not valid is left out, and its error noted in
    `problems`.
    """
    names = class_names(labels)
    numbers = {value: names.index(name) for value, name in labels.items()}
    for row in rows:
        # Most values have their canonical form already.
        label = numbers.get(str(row.label)) if type(row.label) in (str, int) else None
        try:
            if label is None:
                label = label_number(row, numbers)
            text = valid_text(row.text, row.location)
        except UserError as error:
            problems.note(error)
            continue
        if label is not None:
            yield label, text
        elif spare is not None:
            dropped["unlabelled"] += 1
            spare(text)
        else:
            problems.note(unlabelled(row.location))


def label_number(row: Row, numbers: Mapping[str, int]) -> int | None:
    """Find the number of a row's label, None if it has none; `numbers` has canonical keys."""
    try:
        key = canonical_label(row.label)
    except TypeError:
        raise not_a_label(row) from None
    if key is not None and key not in numbers:
        raise UserError(
            f"has the label {quoted(key)}, which is none of {listed(list(numbers), 10)}",
            location=row.location,
            setting="download.labels",
            advice="map it with {setting}",
        )
    return None if key is None else numbers[key]


def not_a_label(row: Row) -> UserError:
    """Report a value that cannot be a label, such as a list."""
    problem = f"has {quoted(row.label)} where a label is expected"
    return UserError(problem, location=row.location, advice="fix or remove the row")


def unlabelled(location: str) -> UserError:
    """Report a row without a label."""
    return UserError(
        "has no label",
        location=location,
        setting="download.unlabelled",
        advice="remove the row, or set {setting} to 'drop' or 'keep'",
    )


def class_names(labels: Mapping[str, str]) -> list[str]:
    """List the class names in the order of the map, each once."""
    return list(dict.fromkeys(labels.values()))


def valid_text(text: Any, location: str) -> str:
    """Return `text` if any UTF-8 file can hold it, without NUL; a missing text is an empty one."""
    if text is None or (isinstance(text, float) and math.isnan(text)):
        return ""
    if not isinstance(text, str):
        problem = f"has {quoted(text)} where a text is expected"
        raise BadRow(problem, location=location, advice="fix or remove the row")
    if "\0" in text:
        raise BadRow("has a NUL byte in its text", location=location, advice="remove it")
    try:
        text.encode()
    except UnicodeEncodeError:
        problem = "has an unpaired surrogate in its text"
        raise BadRow(problem, location=location, advice="fix it") from None
    return text


def unescape(text: str) -> str:
    r"""Undo Yelp's escapes: a literal \n becomes a newline, \" and "" a quote."""
    return text.replace("\\n", "\n").replace('\\"', '"').replace('""', '"')
