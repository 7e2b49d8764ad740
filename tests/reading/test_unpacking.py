"""Plain, packed and archived files: the same bytes, or one line for a damaged or hostile one."""

import gzip
import io
import resource
import tarfile
from pathlib import Path

import pytest
from helpers import FUZZ_EXAMPLES, result_or_line
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yelp_stars.pipeline.errors import UserError
from yelp_stars.reading.unpacking import on_disk, open_bytes

CONTENT = b"".join(b"%d,review number %d\n" % (number % 5, number) for number in range(2000))


def pack(files: dict[str, bytes], **fields) -> bytes:
    """A .tgz of `files`; `fields` are set on every header."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for field, value in fields.items():
                setattr(member, field, value)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def read(path: Path) -> bytes:
    with open_bytes(path) as stream:
        return stream.read()


def error(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read(path)
    return str(caught.value)


def test_a_file_is_read_plain_packed_or_from_an_archive(tmp_path):
    assert read(put(tmp_path / "a.csv", CONTENT)) == CONTENT
    assert read(put(tmp_path / "a.csv.gz", gzip.compress(CONTENT))) == CONTENT
    files = {"other.csv": b"x", "in/a.csv": CONTENT, "b.csv.gz": gzip.compress(CONTENT)}
    for name in ("a.tgz", "b.tar.gz", "C.TGZ"):
        archive = put(tmp_path / name, pack(files))
        assert read(archive / "a.csv") == read(archive / "in" / "a.csv") == CONTENT
        assert read(archive / "b.csv.gz") == CONTENT
        assert on_disk(archive / "in" / "a.csv") == archive


def test_a_damaged_byte_anywhere_in_an_archive_is_reported(tmp_path):
    # The wanted member comes first: gzip's checksum is far behind it.
    packed = pack({"a.csv": CONTENT, "b.csv": CONTENT[::-1] * 3})
    whole = read(put(tmp_path / "a.tgz", packed) / "a.csv")
    silent = []
    for place in range(12, len(packed), 397):
        damaged = bytearray(packed)
        damaged[place] ^= 0x10
        archive = put(tmp_path / "a.tgz", bytes(damaged))
        found = result_or_line(lambda archive=archive: read(archive / "a.csv"))
        if isinstance(found, bytes) and found != whole:
            silent.append(place)
    assert silent == []


def test_a_wrong_checksum_and_a_cut_file_are_reported(tmp_path):
    packed = gzip.compress(CONTENT)
    for damaged in (packed[:-8] + b"\0" * 4 + packed[-4:], packed[:-5], packed[:500], b"x" * 100):
        put(tmp_path / "a.csv.gz", damaged)
        assert "is damaged; get it again" in error(tmp_path / "a.csv.gz")


def test_a_missing_file_is_reported_with_what_is_there(tmp_path):
    archive = put(tmp_path / "a.tgz", pack({f"{number}.csv": b"x" for number in range(20)}))
    assert error(archive / "other.csv") == (
        f"no file 'other.csv' in {str(archive)!r}: it has '0.csv', '1.csv', '2.csv', '3.csv', "
        f"'4.csv' and 15 more"
    )
    put(tmp_path / ".hidden", b"")
    assert (
        error(tmp_path / "b.csv") == f"no file '{tmp_path / 'b.csv'}'; '{tmp_path}' holds 'a.tgz'"
    )
    assert error(tmp_path / "none" / "b.csv").endswith("none' holds nothing")
    put(tmp_path / "a.zip", b"PK")
    assert "a.zip' is a zip archive; unpack it and name" in error(tmp_path / "a.zip" / "b.csv")


def test_the_complete_name_of_a_member_counts_more_than_an_ending(tmp_path):
    files = {"backup/data/train.csv": b"old", "data/train.csv": b"new", "./c.csv": b"c"}
    archive = put(tmp_path / "a.tgz", pack(files))
    assert read(archive / "data" / "train.csv") == b"new"
    assert read(archive / "backup" / "data" / "train.csv") == b"old"
    assert read(archive / "c.csv") == b"c"
    assert error(archive / "train.csv") == (
        f"2 files in {str(archive)!r} end in 'train.csv': 'backup/data/train.csv', "
        f"'data/train.csv'; give the complete name of one"
    )
    # Of two members with one name the last counts, as for tar.
    archive = put(tmp_path / "a.tgz", pack({"data/train.csv": b"old", "./data/train.csv": b"new"}))
    assert read(archive / "train.csv") == b"new"


@pytest.mark.parametrize("kind", ["SYMTYPE", "LNKTYPE", "DIRTYPE", "FIFOTYPE", "GNUTYPE_SPARSE"])
def test_a_member_that_is_not_a_plain_file_is_refused(tmp_path, kind):
    fields = {"type": getattr(tarfile, kind), "linkname": "/etc/passwd"}
    archive = put(tmp_path / "a.tgz", pack({"a.csv": b""}, **fields))
    assert "is not a plain file but a folder, a link, or sparse" in error(archive / "a.csv")


def test_a_header_that_makes_no_sense_is_reported(tmp_path):
    pax = {"GNU.sparse.map": "1,2,x", "GNU.sparse.name": "a.csv", "GNU.sparse.size": "x"}
    archive = put(tmp_path / "a.tgz", pack({"b.csv": b"x"}, pax_headers=pax))
    assert "is damaged; get it again" in error(archive / "a.csv")


# --- What unpacks to much more than its size ------------------------------------------------------

PEAK = 500_000_000  # bytes


def repeated(start: bytes, part: bytes, megabytes: int) -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=6) as stream:
        stream.write(start)
        for _ in range(megabytes):
            stream.write(part * (1_000_000 // len(part)))
    return packed.getvalue()


@pytest.mark.parametrize("kind", ["gz", "REGTYPE", "GNUTYPE_LONGNAME"])
def test_a_small_file_that_unpacks_to_much_is_refused(tmp_path, kind):
    member = tarfile.TarInfo("b.csv")
    path = wanted = tmp_path / "a.csv.gz"
    if kind != "gz":
        member.type, member.size = getattr(tarfile, kind), 8**11 - 1
        path, wanted = tmp_path / "a.tgz", tmp_path / "a.tgz" / "a.csv"
    put(path, repeated(member.tobuf(), b"\0", megabytes=40))
    assert path.stat().st_size < 200_000
    assert "unpacks to more than 16 MB, 100 times its size" in error(wanted)


@settings(max_examples=FUZZ_EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(
        st.tuples(st.integers(0, 2047), st.binary(min_size=1, max_size=12)), max_size=4
    ),
    cut=st.integers(0, 6000),
    format=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT]),
)
def test_any_archive_is_bytes_or_one_line(tmp_path, changes, cut, format):
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=format) as tar:
        for name in ("o" * 60 + "/" + "o" * 60, "a.csv"):
            member = tarfile.TarInfo(name)
            member.size = 5
            tar.addfile(member, io.BytesIO(b"0,abc"))
    content = bytearray(plain.getvalue())
    for place, change in changes:
        content[place : place + len(change)] = change
    archive = put(tmp_path / "a.tgz", gzip.compress(bytes(content[: max(cut, 512)])))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result_or_line(lambda: read(archive / "a.csv"))
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < PEAK
