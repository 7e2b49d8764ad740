"""Outputs are complete or absent."""

import hashlib
import json

import pytest

from yelp_stars.pipeline.errors import Damaged, UserError
from yelp_stars.pipeline.files import (
    refusing,
    remove,
    remove_on_error,
    remove_unfinished,
    replacing,
    sha256_of,
    write_json,
)


@pytest.mark.parametrize("error", [RuntimeError, SystemExit])
def test_a_failure_keeps_the_output_of_an_earlier_run_and_leaves_no_partial_one(tmp_path, error):
    (tmp_path / "out").write_text("old")
    for name in ("out", "new"):
        with pytest.raises(error), replacing(tmp_path / name) as partial:  # noqa: PT012
            partial.mkdir()
            (partial / "half").write_text("half")
            raise error
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_the_partial_output_of_a_killed_run_is_removed(tmp_path):
    with replacing(tmp_path / "out") as partial:
        partial.mkdir()
        (partial / "new").write_text("new")
        killed = partial
    assert (tmp_path / "out" / "new").is_file()
    killed.mkdir()
    (killed / "half").write_text("half")
    with replacing(tmp_path / "out") as partial:
        partial.write_text("a file this time")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["a file this time"]


def test_removing_a_link_keeps_what_it_leads_to(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    for path in (tmp_path / "link", tmp_path / "missing"):
        remove(path)
    assert (tmp_path / "folder" / "file").read_text() == "kept"
    assert not (tmp_path / "link").is_symlink()


def test_a_folder_is_removed_only_on_an_error(tmp_path):
    with remove_on_error(tmp_path / "curves"):
        (tmp_path / "curves").mkdir()
    assert (tmp_path / "curves").is_dir()
    with pytest.raises(SystemExit), remove_on_error(tmp_path / "curves"):
        raise SystemExit(143)
    assert not (tmp_path / "curves").exists()


def test_a_process_that_is_stopped_deletes_what_it_was_writing_and_nothing_else(tmp_path):
    (tmp_path / "kept").write_text("kept")
    with replacing(tmp_path / "written"):
        (tmp_path / ".written.partial").write_text("complete")
    with replacing(tmp_path / "file") as file, replacing(tmp_path / "folder") as folder:
        file.write_text("half")
        (folder / "inner").mkdir(parents=True)
        with remove_on_error(tmp_path / "curves"):
            (tmp_path / "curves").mkdir()
            remove_unfinished()
            left = {path.name for path in tmp_path.iterdir()}
        file.write_text("again")
        folder.mkdir()
    assert left == {"kept", "written"}


def test_json_is_indented_utf8_that_ends_in_a_newline(tmp_path):
    value = {"name": "caf\u00e9", "n": 3, "none": None, "share": 0.1}
    write_json(tmp_path / "x.json", value)
    content = (tmp_path / "x.json").read_bytes()
    assert json.loads(content) == value
    assert "caf\u00e9".encode() in content
    assert content.endswith(b"\n}\n")


def test_json_holds_no_number_that_json_does_not_know(tmp_path):
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_a_hash_is_that_of_the_content(tmp_path):
    (tmp_path / "file").write_bytes(bytes(range(256)) * 5000)
    expected = hashlib.sha256(bytes(range(256)) * 5000).hexdigest()
    assert sha256_of(tmp_path / "file") == expected


class Panic(BaseException):
    """As PyO3 raises it for a panic of Rust."""


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad\nvalue"),
        OSError("Can't load"),
        Panic("poisoned"),
        ValueError("first\n\nread https://example.org"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_any_error_is_one_line_with_the_advice(error):
    with pytest.raises(Damaged) as caught, refusing("the file is damaged", "download it again"):
        raise error
    message = str(caught.value)
    assert message.startswith(f"the file is damaged ({type(error).__name__}: ")
    assert message.endswith("); download it again")
    assert "https" not in message


@pytest.mark.parametrize(
    "error",
    [UserError("known"), KeyboardInterrupt(), SystemExit(143), OSError(28, "No space left")],
    ids=lambda error: type(error).__name__,
)
def test_what_is_not_about_the_file_passes(error):
    with pytest.raises(type(error)) as caught, refusing("the file is damaged", "download it again"):
        raise error
    assert caught.value is error
