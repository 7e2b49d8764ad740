"""Labelled reviews: the label map, valid texts, unescaping, and the Arrow file they end in."""

import datetime
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from tqdm import tqdm

from yelp_stars.data import arrow
from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import listed, quoted
from yelp_stars.reading.layout import Row

Reviews = Iterable[tuple[int, str]]  # (label, text); labels are numbered from 0
COLUMNS = {"label": pa.int64(), "text": pa.large_string()}

# Numbers as text. One with leading zeros is a code, such as 007, and not the number 7.
NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,2})?", re.ASCII)


def canonical_label(value: Any) -> str | None:
    """The one text form of a label value, the same for every file format and for params.yaml.

    1, 1.0, "1.0" and " 1" are "1"; true, "True" and "TRUE" are "true". None, NaN and an empty
    text mean that the row has no label: None.

    Raises:
        TypeError: for a value that cannot be a label, such as a list.
    """
    if isinstance(value, float | Decimal) and math.isnan(value):
        return None
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    if value is None or isinstance(value, str):
        text = (value or "").strip()
    elif isinstance(value, bool | int | float | Decimal | datetime.date | datetime.time):
        text = str(value)
    else:
        raise TypeError
    if text.lower() in ("true", "false"):
        return text.lower()
    if NUMBER.fullmatch(text):
        text = format(Decimal(text), "f")
        text = text.rstrip("0").rstrip(".") if "." in text else text
        text = "0" if text in ("-0", "+0") else text.removeprefix("+")
    return text or None


def canonical_labels(labels: Any) -> Any:
    """A label map whose keys are canonical; what is not a map is returned as it is.

    Raises:
        ValueError: for a key that cannot be a label, or two keys that are the same value.
    """
    if not isinstance(labels, Mapping):
        return labels
    found: dict[str, Any] = {}
    for value, name in labels.items():
        try:
            key = canonical_label(value)
        except TypeError:
            key = None
        if key is None:
            raise ValueError(f"the value {quoted(value)} is not a label; remove it")
        if key in found:
            raise ValueError(f"the value {quoted(key)} is there twice, also as {quoted(value)}")
        found[key] = name
    return found


def map_labels(
    rows: Iterable[Row], labels: Mapping[str, str], *, drop_unlabelled: bool, dropped: Counter[str]
) -> Iterator[tuple[int, str]]:
    """Turn (location, value, text) into (label, text); a label is the index of its class name.

    `labels` has canonical keys. Rows without a label are dropped on request, and counted.

    Raises:
        UserError: for a value that is not in `labels`, a row without one, or an invalid text.
    """
    names = class_names(labels)
    numbers = {value: names.index(name) for value, name in labels.items()}
    for location, value, text, *_ in rows:
        # Most values have their canonical form already.
        label = numbers.get(str(value)) if type(value) in (str, int) else None
        if label is None:
            label = _label_of(value, numbers, location)
        if label is not None:
            yield label, valid_text(text, location)
        elif drop_unlabelled:
            dropped["unlabelled"] += 1
        else:
            raise unlabelled(location)


def _label_of(value: Any, numbers: Mapping[str, int], location: str) -> int | None:
    try:
        key = canonical_label(value)
    except TypeError:
        raise UserError(
            f"{location} has {quoted(value)} where a label is expected; fix or remove the row"
        ) from None
    if key is not None and key not in numbers:
        raise UserError(
            f"{location} has the label {quoted(key)}; add it to download.labels, which has "
            f"{listed(list(numbers), 10)}"
        )
    return None if key is None else numbers[key]


def unlabelled(location: str) -> UserError:
    """The error of a row without a label."""
    return UserError(
        f"{location} has no label; remove the row, or set download.unlabelled to 'drop'"
    )


def class_names(labels: Mapping[str, str]) -> list[str]:
    """The class names in the order of the map, each once."""
    return list(dict.fromkeys(labels.values()))


def valid_text(text: Any, location: str) -> str:
    """Return `text` if any UTF-8 file can hold it, without NUL; a missing text is an empty one.

    Raises:
        UserError: if it is not a text, or not a valid one.
    """
    if text is None or (isinstance(text, float) and math.isnan(text)):
        return ""
    if not isinstance(text, str):
        raise UserError(
            f"{location} has {quoted(text)} where a text is expected; fix or remove the row"
        )
    if "\0" in text:
        raise UserError(f"{location} has a NUL byte in its text; remove it")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UserError(f"{location} has an unpaired surrogate in its text; fix it") from None
    return text


def without_empty(reviews: Reviews, dropped: Counter[str]) -> Iterator[tuple[int, str]]:
    """Drop reviews without a text, and count them."""
    for label, text in reviews:
        if text.strip():
            yield label, text
        else:
            dropped["empty"] += 1


def unescape_texts(reviews: Reviews) -> Iterator[tuple[int, str]]:
    """`unescape` every text."""
    return ((label, unescape(text)) for label, text in reviews)


def unescape(text: str) -> str:
    r"""Undo Yelp's escapes: a literal \n becomes a newline, \" and "" a quote."""
    return text.replace("\\n", "\n").replace('\\"', '"').replace('""', '"')


def write_reviews(
    path: Path,
    reviews: Reviews,
    label_names: list[str],
    ordered: bool = True,
    source: str = "files",
) -> None:
    """Write (label, text) rows as an Arrow file, one record batch in memory at a time."""
    schema = arrow.make_schema(COLUMNS, label_names, ordered=ordered, source=source)

    def batches() -> Iterator[pa.RecordBatch]:
        labels: list[int] = []
        texts: list[str] = []
        for label, text in tqdm(reviews, f"download {path.stem}", unit=" rows", delay=1):
            labels.append(label)
            texts.append(text)
            if len(texts) == arrow.RECORD_BATCH_ROWS:
                yield pa.record_batch([labels, pa.array(texts, COLUMNS["text"])], schema=schema)
                labels, texts = [], []
        if texts:
            yield pa.record_batch([labels, pa.array(texts, COLUMNS["text"])], schema=schema)

    arrow.write(path, schema, batches())
