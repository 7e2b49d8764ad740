"""Labelled reviews: the label map, valid texts, unescaping, and the Arrow file they end in."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from tqdm import tqdm

from yelp_stars.data import arrow
from yelp_stars.data.readers import Row
from yelp_stars.pipeline.errors import UserError, quoted

Reviews = Iterable[tuple[int, str]]  # (label, text); labels are numbered from 0
COLUMNS = {"label": pa.int64(), "text": pa.large_string()}


def map_labels(rows: Iterable[Row], labels: dict[str | int, str]) -> Reviews:
    """Turn (location, value, text) into (label, text); a label is the index of its class name.

    Raises:
        UserError: for a value that is not in `labels`, or an invalid text.
    """
    names = class_names(labels)
    numbers = {str(value): names.index(name) for value, name in labels.items()}
    for location, value, text in rows:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if str(value) not in numbers or isinstance(value, bool):
            allowed = ", ".join(numbers)
            raise UserError(
                f"{location} has the label {quoted(str(value))}; add it to "
                f"download.labels, which has {allowed}"
            )
        yield numbers[str(value)], validate_text(text, location)


def class_names(labels: dict[str | int, str]) -> list[str]:
    """The class names in the order of the map, each once."""
    return list(dict.fromkeys(labels.values()))


def validate_text(text: Any, location: str) -> str:
    """Return `text` if it is a string that any UTF-8 file can hold, without NUL.

    Raises:
        UserError: if it is not.
    """
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


def unescape_texts(reviews: Reviews) -> Iterator[tuple[int, str]]:
    """`unescape` every text."""
    return ((label, unescape(text)) for label, text in reviews)


def unescape(text: str) -> str:
    r"""Undo Yelp's escapes: a literal \n becomes a newline, \" and "" a quote."""
    return text.replace("\\n", "\n").replace('\\"', '"').replace('""', '"')


def write_reviews(path: Path, reviews: Reviews, label_names: list[str]) -> None:
    """Write (label, text) rows as an Arrow file, one record batch in memory at a time."""
    schema = arrow.make_schema(COLUMNS, label_names)

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
