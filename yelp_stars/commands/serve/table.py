"""A CSV file of texts in, the same rows with the columns of `stars predict` out."""

import csv
import io
import itertools
from collections.abc import Iterator

import pyarrow as pa
from tqdm import tqdm

from yelp_stars.classifier.classify import Classifier
from yelp_stars.commands.predict.formats import FORMATS
from yelp_stars.commands.predict.windows import Predictor, predicted_columns
from yelp_stars.pipeline.errors import BadRow
from yelp_stars.pipeline.text import listed, quoted
from yelp_stars.reading.labels import unescape, valid_text
from yelp_stars.reading.layout import Row
from yelp_stars.reading.origin import NO_FILE, Origin
from yelp_stars.reading.readers import STATED

MAX_ROWS = 1000  # 15 seconds of the quickstart's model on two cores; proxies wait for 60


def read(content: bytes, origin: Origin) -> tuple[list[str], list[Row]]:
    """Read the names of the columns and the rows of a file; one that is not valid is a `BadRow`."""
    known = origin if origin.ending == ".csv" else NO_FILE
    column, rows = str(origin.text_column), list[Row]()
    try:
        file = io.StringIO(content.decode("utf-8-sig"), newline="")
        csv.field_size_limit(max(csv.field_size_limit(), len(content)))  # texts may be as long
        if not (stated := STATED.fullmatch(file.readline())):
            file.seek(0)
        table = csv.reader(
            file,
            delimiter=stated[1] if stated else known.delimiter or ",",
            quoting=csv.QUOTE_NONE if known.quoted is False else csv.QUOTE_MINIMAL,
            strict=True,
        )
        header = next(table, [])
        if column not in header or len({*header}) < len(header):
            problem = f"needs the column {quoted(column)}, and each once; it has {listed(header)}"
            raise BadRow(problem, location="the file")
        for cells in itertools.islice(filter(None, table), MAX_ROWS + 1):
            location = f"line {table.line_num + bool(stated)}"
            if len(cells) != len(header):
                raise BadRow(f"has {len(cells)} columns, not {len(header)}", location=location)
            fields = dict(zip(header, cells))
            if not (text := valid_text(fields[column], location)).strip():
                raise BadRow("has an empty text", location=location, advice="remove the row")
            rows.append(Row(location, None, unescape(text) if known.unescape else text, fields))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadRow(f"is not CSV in UTF-8 ({error})", location="the file") from None
    if not 0 < len(rows) <= MAX_ROWS:
        problem = f"has {'too many' if rows else 'no'} rows; the limit is {MAX_ROWS}"
        raise BadRow(problem, location="the file", advice="`stars predict` reads any number")
    return header, rows


def predict(classify: Classifier, header: list[str], rows: list[Row], n: int) -> Iterator[bytes]:
    """Yield the file with the predicted columns: its first line, then `n` rows at a time."""
    names, calibrated, prefix = classify.label_names, classify.fitted is not None, ""
    while {*(columns := predicted_columns(names, calibrated, None, prefix)).names} & {*header}:
        prefix += "predicted_"
    schema = pa.schema([*((name, pa.string()) for name in header), *columns])
    encode, predictor = FORMATS[".csv"][0], Predictor(classify, columns, None, None)
    yield encode([dict(zip(schema.names, schema.names))], schema)
    for start in range(0, len(rows), n):
        yield encode(predictor(rows[start : start + n], tqdm(disable=True))[0], schema)
