"""Open a user's file: plain, .gz, or inside a .tgz, unpacked as it is read.

An archive is untrusted: it may be damaged, and a few kilobytes may unpack to gigabytes.
"""

import contextlib
import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from yelp_stars.pipeline.errors import Missing, UserError
from yelp_stars.pipeline.files import damaged_as
from yelp_stars.pipeline.text import listed, quoted

ARCHIVES = (".tgz", ".tar.gz")
# Text shrinks to a third or a tenth; gzip can reach a thousandth, with nothing worth reading.
MAX_RATIO = 100
ALWAYS_ALLOWED = 16_000_000  # bytes that any file may unpack to
BUFFER = 2**20

# How a file begins that is not text: what it is, and what to do.
BINARY = {
    rb"PK\x03\x04(?s:.*)xl/": "an Excel workbook; save it as CSV UTF-8",
    rb"\xd0\xcf\x11\xe0\xa1\xb1": "an old Excel or Word file; save it as CSV UTF-8",
    rb"PK\x03\x04": "a zip archive; unpack it and name the file in it",
    rb"\x1f\x8b\x08": "packed with gzip; unpack it, or add .gz to its name",
    rb"BZh[1-9]1AY&SY": "packed with bzip2; unpack it",
    rb"\x28\xb5\x2f\xfd": "packed with Zstandard; unpack it",
    rb"%PDF-|\{\\rtf": "a document; save it as plain text",
    rb"\xfd7zXZ|7z\xbc\xaf": "packed; unpack it",
    rb"PAR1": "a Parquet file; let its name end in .parquet",
    rb"(?i)\s*<(!doctype html|html)": "a web page; download the file itself",
}

DAMAGED = (EOFError, zlib.error, tarfile.TarError, OverflowError)


def on_disk(path: Path) -> Path:
    """Find the file that holds `path`: itself, or the archive it is in."""
    archives = [p for p in path.parents if p.name.lower().endswith(ARCHIVES) and p.is_file()]
    if archives:
        return archives[0]
    if path.is_file():
        return path
    if path.is_dir():
        raise UserError(f"{quoted(str(path), 160)} is a folder; name a file in it")
    for parent in path.parents:
        if parent.suffix.lower() == ".zip" and parent.is_file():
            shown = quoted(str(parent), 160)
            raise UserError(f"{shown} is a zip archive; unpack it and name the file")
    names = sorted(p.name for p in path.parent.glob("*") if not p.name.startswith("."))
    folder = quoted(str(path.parent), 160)
    raise Missing(f"no file {quoted(str(path), 160)}; {folder} holds {listed(names)}")


def check_size(size: int, packed: int, name: str) -> None:
    """Check that a file of `packed` bytes does not unpack to more than is credible."""
    if size > (limit := max(ALWAYS_ALLOWED, MAX_RATIO * packed)):
        limited = f"{limit // 1_000_000} MB, {MAX_RATIO} times its size"
        advice = "if that is right, unpack it yourself, to JSON lines if it is Parquet"
        raise UserError(f"{name} unpacks to more than {limited}", advice=advice)


@contextlib.contextmanager
def open_bytes(path: Path) -> Iterator[io.BufferedReader]:
    """Open `path` for reading. A file in an archive is named as in a folder: `a.tgz/train.csv`.

    An archive is read to its end, where gzip's checksum is, after a block that has not failed.
    """
    archive = on_disk(path)
    advice = "get it again, or check that it has the format of its name"
    with contextlib.ExitStack() as stack, damaged_as(archive, *DAMAGED, advice=advice):
        stream: Any = stack.enter_context(archive.open("rb", BUFFER))
        packed = None
        if archive != path:
            packed = stack.enter_context(_Gzip(stream, archive))
            member = path.relative_to(archive).as_posix()
            stream = stack.enter_context(_extract(packed, archive, member))
        if path.suffix.lower() == ".gz":
            stream = stack.enter_context(_Gzip(stream, archive))
        if not isinstance(stream, io.BufferedReader):
            stream = io.BufferedReader(stream, BUFFER)
        yield stream
        while packed is not None and packed.read(BUFFER):
            pass


class _Gzip(gzip.GzipFile):
    """A gzip stream that unpacks to a limited number of bytes."""

    def __init__(self, packed: IO[bytes], archive: Path) -> None:
        super().__init__(fileobj=packed)
        self._archive, self._packed = archive, archive.stat().st_size

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(size)
        check_size(self.tell(), self._packed, quoted(str(self._archive), 160))
        return content


def _extract(packed: _Gzip, archive: Path, wanted: str) -> IO[bytes]:
    """Open the member that `wanted` names, or whose name ends in it.

    Yelp's archive has its files in a folder. Of two members with one name the last counts, as tar
    extracts it.
    """
    shown = quoted(str(archive), 160)
    tar = tarfile.open(fileobj=packed, mode="r:")  # noqa: SIM115
    # PurePosixPath removes a leading ./
    members = {PurePosixPath(member.name).as_posix(): member for member in tar}
    endings = [name for name in members if name == wanted or name.endswith(f"/{wanted}")]
    name = wanted if wanted in endings else next(iter(endings), None)
    if name is None:
        raise Missing(f"no file {quoted(wanted, 160)} in {shown}: it has {listed(list(members))}")
    if name != wanted and len(endings) > 1:
        problem = f"{len(endings)} files in {shown} end in {quoted(wanted)}: {listed(endings)}"
        raise UserError(problem, advice="give the complete name of one")
    member = members[name]
    content = None if member.issparse() or not member.isreg() else tar.extractfile(member)
    if content is None:
        problem = "is not a plain file but a folder, a link, or sparse"
        raise UserError(f"{quoted(wanted)} in {shown} {problem}", advice="pack the file itself")
    return content
