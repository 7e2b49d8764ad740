"""OUT.part: finished windows survive, damaged ones are computed again, others are refused."""

import pytest

from yelp_stars.commands.predict.parts import open_parts
from yelp_stars.pipeline.errors import UserError

KEY = {"model": "a", "input": ["b", ""], "labels": None}


@pytest.fixture
def output(tmp_path):
    return tmp_path / "new" / "out.csv"


def begin(output, windows=3):
    with open_parts(output, KEY) as parts:
        for number in range(windows):
            parts.add(b"%d" % number, {"rows": number})
    return parts.folder


def test_the_same_run_finds_its_windows_and_adds_to_them(output):
    begin(output)
    with open_parts(output, KEY) as parts:
        assert [path.read_bytes() for path in parts.paths] == [b"0", b"1", b"2"]
        assert [record["rows"] for record in parts.records] == [0, 1, 2]
        parts.add(b"3", {"rows": 3})
        assert parts.paths[3].read_bytes() == b"3"


@pytest.mark.parametrize("damage", ["content", "content is gone", "record", "record is gone"])
def test_what_follows_a_damaged_window_is_not_finished(output, damage):
    folder = begin(output)
    path = folder / ("0000001" if "content" in damage else "0000001.json")
    path.unlink() if "gone" in damage else path.write_bytes(b"")
    with open_parts(output, KEY) as parts:
        assert len(parts.records) == 1
        parts.add(b"new", {"rows": 1})
    with open_parts(output, KEY) as parts:
        assert [path.read_bytes() for path in parts.paths] == [b"0", b"new", b"2"]


def test_another_run_is_refused_by_what_differs(output):
    begin(output)
    with (
        pytest.raises(UserError, match=r"another 'model', 'x';.* delete that folder"),
        open_parts(output, {**KEY, "model": "b", "x": 1}),
    ):
        pass
    with open_parts(output, KEY) as parts:
        assert len(parts.records) == 3


@pytest.mark.parametrize("manifest", [None, b"[]", b"[" * 100_000])
def test_a_folder_that_is_not_ours_is_left_alone(output, manifest):
    hidden = output.with_name("other.csv.part")
    hidden.mkdir(parents=True)
    (hidden / ".hidden").touch()
    other = output.with_name("other.csv")
    with pytest.raises(UserError, match="does not belong to"), open_parts(other, KEY):
        pass
    folder = begin(output)
    (folder / "manifest.json").unlink()
    if manifest is not None:
        (folder / "manifest.json").write_bytes(manifest)
    before = sorted(folder.iterdir())
    with pytest.raises(UserError, match="does not belong to"), open_parts(output, KEY):
        pass
    assert sorted(folder.iterdir()) == before


def test_two_processes_do_not_write_one_file(output):
    with (
        open_parts(output, KEY),
        pytest.raises(UserError, match=r"another process is writing .* wait"),
        open_parts(output, KEY),
    ):
        pass


def test_a_run_that_was_killed_before_its_manifest_begins_again(output):
    folder = output.with_name("out.csv.part")
    folder.mkdir(parents=True)
    (folder / "lock").touch()
    (folder / ".manifest.json.partial").touch()
    with open_parts(output, KEY) as parts:
        assert parts.records == []
