"""Rows as JSON lines, CSV or Parquet: nothing is lost, and windows leave no trace."""

import csv
import datetime
import decimal
import io
import json
import math

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from yelp_stars.commands.predict.formats import FORMATS, plain

SCHEMA = pa.schema([("id", pa.int32()), ("text", pa.string()), ("range", pa.list_(pa.string()))])
ROWS = [{"id": number, "text": f'a "{number}",\n', "range": ["x", "y"]} for number in range(100)]


def joined(folder, ending, parts, schema=SCHEMA):
    """The bytes of a file that is written in parts."""
    paths = []
    encode, join = FORMATS[ending]
    for number, rows in enumerate(parts):
        paths.append(folder / f"{number}")
        paths[-1].write_bytes(encode(rows, schema))
    join(paths, schema, folder / f"joined{ending}")
    return (folder / f"joined{ending}").read_bytes()


@pytest.mark.parametrize("ending", FORMATS)
def test_a_file_is_the_same_whatever_its_parts(tmp_path, ending):
    whole = joined(tmp_path, ending, [ROWS])
    assert joined(tmp_path, ending, [ROWS[:1], ROWS[1:60], ROWS[60:]]) == whole
    assert len(whole) > 100


def test_rows_of_json_lines_and_csv_are_read_back(tmp_path):
    lines = joined(tmp_path, ".jsonl", [ROWS]).decode().split("\n")[:-1]
    assert [json.loads(line) for line in lines] == ROWS
    header, *table = csv.reader(io.StringIO(joined(tmp_path, ".csv", [ROWS]).decode(), newline=""))
    assert header == SCHEMA.names
    assert table == [[str(row["id"]), row["text"], json.dumps(row["range"])] for row in ROWS]


def test_parquet_has_row_groups_of_many_windows(tmp_path):
    parts = [[{"id": number} for number in range(2000)]] * 25
    joined(tmp_path, ".parquet", parts, pa.schema([("id", pa.int64())]))
    metadata = pq.ParquetFile(tmp_path / "joined.parquet").metadata
    sizes = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    assert sizes == [20_000, 20_000, 10_000]


TYPES = [
    (pa.int8(), 3), (pa.uint64(), 2**63 + 1), (pa.float16(), 1.5), (pa.bool_(), True),
    (pa.large_string(), "ä"), (pa.dictionary(pa.int32(), pa.string()), "a"),
    (pa.timestamp("us", tz="UTC"), datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC)),
    (pa.date32(), datetime.date(2020, 1, 2)), (pa.decimal128(5, 2), decimal.Decimal("1.25")),
    (pa.list_(pa.int8()), [1, 2]), (pa.struct([("a", pa.int8())]), {"a": 1}),
    (pa.map_(pa.string(), pa.int8()), [("a", 1)]), (pa.binary(), b"\xff"), (pa.null(), None),
]  # fmt: skip


@pytest.mark.parametrize(("type_", "value"), TYPES, ids=[str(type_) for type_, _ in TYPES])
def test_columns_of_parquet_keep_their_type_and_have_a_text_form(tmp_path, type_, value):
    schema = pa.schema([("x", type_)])
    joined(tmp_path, ".parquet", [[{"x": value}], [{"x": None}]], schema)
    found = pq.read_table(tmp_path / "joined.parquet")
    assert found.schema == schema
    assert found["x"].to_pylist() == [value, None]
    json.loads(joined(tmp_path, ".jsonl", [[{"x": value}]], schema))
    joined(tmp_path, ".csv", [[{"x": value}]], schema)


def test_a_time_is_iso_8601_and_a_number_that_json_lacks_is_null():
    assert plain(datetime.datetime(2020, 1, 2, 3)) == "2020-01-02T03:00:00"
    assert plain([math.nan, math.inf, decimal.Decimal("1.20")]) == [None, None, "1.20"]
    assert plain({1: b"\xffa"}) == {"1": "\\xffa"}


@pytest.mark.parametrize("text", ["\r0", "a\rb", "a\r", "\r\n", "a\nb", '"', ",", "\r\r\n"])
def test_a_cell_of_csv_is_read_back_as_it_was(tmp_path, text):
    row = {"x": text, "y": text}
    schema = pa.schema([(name, pa.string()) for name in row])
    written = joined(tmp_path, ".csv", [[row]], schema)
    assert list(csv.DictReader(io.StringIO(written.decode(), newline=""))) == [row]
    options = pa.csv.ParseOptions(newlines_in_values=True)
    assert pa.csv.read_csv(io.BytesIO(written), parse_options=options).to_pylist() == [row]


def test_any_json_value_fits_into_a_text_column_of_every_format(tmp_path):
    schema = pa.schema([("x", pa.string())])
    values = [None, True, 2**70, 1.5, "\ud800", ["\ud800", {"a": None}], {"\ud800": []}, math.nan]
    rows = [{"x": value} for value in values]
    lines = joined(tmp_path, ".jsonl", [rows], schema).decode().split("\n")[:-1]
    assert [json.loads(line)["x"] for line in lines] == [*values[:-1], None]
    cells = joined(tmp_path, ".csv", [rows], schema).decode()
    assert len(list(csv.reader(io.StringIO(cells, newline="")))) == 1 + len(values)
    joined(tmp_path, ".parquet", [rows], schema)
    assert len(pq.read_table(tmp_path / "joined.parquet")) == len(values)
