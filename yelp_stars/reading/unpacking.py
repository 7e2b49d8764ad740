"""Open a user's file: plain, .gz, or inside a .tgz, unpacked as it is read.

An archive is untrusted: it may be damaged, and a few kilobytes may unpack to gigabytes.
"""

import contextlib
import functools
import gzip
import io
import itertools
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from yelp_stars.pipeline.errors import UserError
from yelp_stars.pipeline.text import listed, quoted

ARCHIVES = (".tgz", ".tar.gz")
# Text shrinks to a third or a tenth; gzip can reach a thousandth, with nothing worth reading.
LARGEST_RATIO = 100
ALWAYS_ALLOWED = 16_000_000  # bytes that any file may unpack to
LARGEST_READ = 16_000_000  # tarfile reads a header at once, whatever size it declares
BUFFER = 2**20
MOST_FOUND = 1000  # files of one name in different folders: millions would fill the memory

DAMAGED = (EOFError, OSError, zlib.error, tarfile.TarError)
# What tarfile raises for headers that make no sense.
BAD_HEADER = (*DAMAGED, ValueError, KeyError, IndexError, OverflowError, AttributeError)


def on_disk(path: Path) -> Path:
    """The file that holds `path`: itself, or the archive it is in.

    Raises:
        UserError: if there is none.
    """
    archives = [p for p in path.parents if p.name.lower().endswith(ARCHIVES) and p.is_file()]
    if archives:
        return archives[0]
    if path.is_file():
        return path
    for parent in path.parents:
        if parent.suffix.lower() == ".zip" and parent.is_file():
            raise UserError(
                f"{quoted(str(parent), 160)} is a zip archive; unpack it and name the file"
            )
    found = sorted(p.name for p in path.parent.glob("*") if not p.name.startswith("."))
    folder = quoted(str(path.parent), 160)
    raise UserError(f"no file {quoted(str(path), 160)}; {folder} holds {listed(found)}")


@contextlib.contextmanager
def open_bytes(path: Path) -> Iterator[io.BufferedReader]:
    """Open `path` for reading. A file in an archive is named as in a folder: `a.tgz/train.csv`.

    An archive is read to its end, where gzip's checksum is, after a block that has not failed.

    Raises:
        UserError: if the file is missing, damaged, or unpacks to too much.
    """
    archive = on_disk(path)
    with contextlib.ExitStack() as stack, damage_reported(archive):
        plain = stack.enter_context(archive.open("rb", BUFFER))
        packed = None
        stream: Any = plain
        if archive != path:
            stream = packed = stack.enter_context(_Gzip(plain, archive))
            stream = stack.enter_context(_member(packed, archive, path.relative_to(archive)))
        if path.suffix.lower() == ".gz":
            stream = stack.enter_context(_Gzip(stream, archive))
        if not isinstance(stream, io.BufferedReader):
            stream = io.BufferedReader(stream, BUFFER)
        yield stream
        while packed is not None and packed.read(BUFFER):
            pass


@contextlib.contextmanager
def damage_reported(path: Path) -> Iterator[None]:
    """Turn what a damaged archive raises into one line.

    Raises:
        UserError: if the block raises one of those errors.
    """
    try:
        yield
    except DAMAGED as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UserError(
            f"{quoted(str(path), 160)} is damaged, or not what its name says; get it again"
        ) from None


class _Gzip(gzip.GzipFile):
    """A gzip stream that unpacks to a limited number of bytes."""

    def __init__(self, packed: Any, archive: Path) -> None:
        super().__init__(fileobj=packed)
        self._archive = archive
        self._limit = max(ALWAYS_ALLOWED, LARGEST_RATIO * archive.stat().st_size)

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            return b"".join(iter(functools.partial(self.read, BUFFER), b""))
        if size > LARGEST_READ:
            raise tarfile.ReadError(f"a block of {size} bytes")
        read = super().read(size)
        if self.tell() > self._limit:
            raise UserError(
                f"{quoted(str(self._archive), 160)} unpacks to more than "
                f"{self._limit // 1_000_000} MB, {LARGEST_RATIO} times its size; if that is right, "
                f"unpack it yourself and name the file"
            )
        return read

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        # Skips a member of an archive: in steps, so that the limit counts here, too.
        if whence != io.SEEK_SET or offset < self.tell():
            return super().seek(offset, whence)
        while (left := offset - self.tell()) > 0:
            if not self.read(min(left, BUFFER)):
                break
        return self.tell()


def _member(packed: _Gzip, archive: Path, wanted: Path) -> Any:
    """The file of a tar archive that `wanted` names, or whose name ends in it.

    Yelp's archive has its files in a folder.

    Raises:
        UserError: if there is none, if several names end in it, or if it is not a plain file.
    """
    found: dict[str, int] = {}  # by the complete name, the last of its members, as tar extracts it
    plain, names = True, []
    try:
        for number, (_, member) in enumerate(_opened(packed)):
            name = PurePosixPath(member.name).as_posix()  # without a leading ./
            ends = f"/{name}".endswith(f"/{wanted}")
            if ends and (len(found) < MOST_FOUND or name in found or name == str(wanted)):
                found[name] = number
            names.append(member.name)
            del names[8:]
        if len(found) > 1 and str(wanted) not in found:
            raise UserError(
                f"{len(found)} files in {quoted(str(archive), 160)} end in {quoted(str(wanted))}: "
                f"{listed(list(found))}; give the complete name of one"
            )
        if found:
            chosen = found.get(str(wanted), next(iter(found.values())))
            packed.seek(0)
            tar, member = next(itertools.islice(_opened(packed), chosen, None))
            plain = member.isreg() and not member.issparse()
            if plain:
                return tar.extractfile(member)
    except BAD_HEADER as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise tarfile.ReadError from None
    if not plain:
        raise UserError(
            f"{quoted(str(wanted))} in {quoted(str(archive), 160)} is not a plain file but a "
            f"folder, a link, or sparse; pack the file itself"
        )
    raise UserError(
        f"no file {quoted(str(wanted), 160)} in {quoted(str(archive), 160)}: it has {listed(names)}"
    )


def _opened(packed: _Gzip) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """Each member of a tar archive, with the archive that can extract it."""
    tar = tarfile.open(fileobj=packed, mode="r:")  # noqa: SIM115  # owns nothing to close
    for member in tar:
        yield tar, member
        # Millions of tiny members would fill the memory.
        tar.members = []  # type: ignore[attr-defined]
