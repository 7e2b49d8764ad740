"""Rows as JSON lines, CSV or Parquet: written window by window, then joined to one file.

The columns are those of the input, then the predicted ones. The same rows are the same bytes.
"""

import csv
import datetime
import io
import json
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP = 20_000  # rows of a Parquet file that are read together
ROW_GROUP_BYTES = 64_000_000
Rows = list[dict[str, Any]]
Encode = Callable[[Rows, pa.Schema], bytes]
Join = Callable[[list[Path], pa.Schema, Path], None]


def _encode_jsonl(rows: Rows, schema: pa.Schema) -> bytes:
    lines = [json.dumps(plain(row), ensure_ascii=False, allow_nan=False) for row in rows]
    # An unpaired surrogate becomes its escape, as JSON has it.
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")


def plain(value: Any) -> Any:
    """Return a value that JSON has: dates as ISO 8601, numbers that it lacks as null."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_text(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return _text(value)


def _text(value: Any) -> str:
    """Return a value as text that UTF-8 can encode."""
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value)


def valid(text: str) -> str:
    """`text` as UTF-8 can hold it: an unpaired surrogate becomes its escape."""
    return text.encode("utf-8", "backslashreplace").decode()


def _cell(value: Any) -> str:
    """Return a value of a text column: numbers, lists and objects as in JSON."""
    value = plain(value)
    if value is None:
        return ""
    return valid(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _encode_csv(rows: Rows, schema: pa.Schema) -> bytes:
    lines, line = [], io.StringIO()
    # With this end of a line, the module quotes a cell that holds a carriage return alone.
    writer = csv.writer(line, lineterminator="\r\n")
    for row in rows:
        line.seek(0)
        line.truncate()
        writer.writerow([_cell(row.get(name)) for name in schema.names])
        lines.append(line.getvalue().removesuffix("\r\n") + "\n")
    return "".join(lines).encode()


def _encode_parquet(rows: Rows, schema: pa.Schema) -> bytes:
    columns = []
    for field in schema:
        values = [row.get(field.name) for row in rows]
        if field.type == pa.string():
            values = [None if value is None else _cell(value) for value in values]
        columns.append(pa.array(values, field.type))
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns, schema=schema), sink, compression="zstd")
    return bytes(sink.getvalue())


def _join_csv(parts: list[Path], schema: pa.Schema, target: Path) -> None:
    header = _encode_csv([dict(zip(schema.names, schema.names))], schema)
    _join_lines(parts, schema, target, header)


def _join_lines(parts: list[Path], schema: pa.Schema, target: Path, header: bytes = b"") -> None:
    with target.open("wb") as file:
        file.write(header)
        for part in parts:
            with part.open("rb") as opened:
                shutil.copyfileobj(opened, file)


def _join_parquet(parts: list[Path], schema: pa.Schema, target: Path) -> None:
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for group in _row_groups(parts):
            writer.write_table(group, row_group_size=len(group))


def _row_groups(parts: list[Path]) -> Iterator[pa.Table]:
    """Tables of about `ROW_GROUP` rows: a part has too few."""
    tables: list[pa.Table] = []
    for part in parts:
        tables.append(pq.ParquetFile(part).read())
        rows, size = sum(map(len, tables)), sum(table.nbytes for table in tables)
        if rows >= ROW_GROUP or size >= ROW_GROUP_BYTES:
            yield pa.concat_tables(tables)
            tables = []
    if tables:
        yield pa.concat_tables(tables)


# How some rows become a part of the file, and all parts the file.
FORMATS: dict[str, tuple[Encode, Join]] = {
    ".jsonl": (_encode_jsonl, _join_lines),
    ".csv": (_encode_csv, _join_csv),
    ".parquet": (_encode_parquet, _join_parquet),
}
