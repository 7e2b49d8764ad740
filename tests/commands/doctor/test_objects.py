"""Every object of a cache or a remote is read, and compared with its name."""

from pathlib import Path

import pytest
from dvc.repo import Repo
from small import MODEL, objects, overwrite

from yelp_stars.commands.doctor.objects import DAMAGED, MISSING, entries, faults, pushed, stored


def test_all_outs_and_the_files_of_folders_are_named_once(small_repo):
    repo = Repo()
    found = stored(repo, repo.cache.local)
    assert {one.md5 for one in found} == objects(small_repo / ".dvc" / "cache").keys()
    assert len(found) == len({one.md5 for one in found})
    paths = {one.path for one in found}
    assert paths == {
        "data/external/own.csv", "data/raw", "data/raw/rows.csv", "data/raw/params.yaml",
        "models/finetuned", str(MODEL), "models/finetuned/config.json", "data/count.txt",
    }  # fmt: skip
    assert {one.path for one in found if not one.made} == {"data/external/own.csv"}


def test_an_out_that_is_not_pushed_or_has_another_remote_is_not_expected(small_repo):
    assert len(pushed(Repo(), "store")) == 4
    pointer = Path("data/external/own.csv.dvc")
    content = pointer.read_text()
    pointer.write_text(content + "  push: false\n")
    assert pushed(Repo(), "store") == {"data/raw", "models/finetuned", "data/count.txt"}
    pointer.write_text(content + "  remote: other\n")
    assert pushed(Repo(), "store") == {"data/raw", "models/finetuned", "data/count.txt"}
    assert "data/external/own.csv" in pushed(Repo(), "other")


@pytest.mark.parametrize("md5", ["", ".dir"], ids=["file", "list"])
def test_a_changed_bit_and_a_missing_object_are_found(small_repo, md5):
    repo = Repo()
    found = stored(repo, repo.cache.local)
    assert faults(repo.cache.local, found) == {}
    path = next(
        path for path in objects(small_repo / ".dvc" / "cache").values() if path.suffix == md5
    )
    content = path.read_bytes()
    overwrite(path, content[:-1] + bytes([content[-1] ^ 1]))
    (fault,) = faults(repo.cache.local, found).items()
    assert fault == (path.parent.name + path.name, DAMAGED)
    path.unlink()
    assert set(faults(repo.cache.local, found).values()) == {MISSING}


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'[{"md5": 3}]', b"\xff"])
def test_a_damaged_list_has_no_files(small_repo, content):
    repo = Repo()
    out = next(out for out in repo.index.outs if str(out) == "data/raw")
    assert set(entries(out.hash_info, repo.cache.local)) == {"rows.csv", "params.yaml"}
    overwrite(Path(repo.cache.local.oid_to_path(out.hash_info.value)), content)
    assert entries(out.hash_info, repo.cache.local) == {}
