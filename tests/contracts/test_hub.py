"""What the Hub's clients must do for this project: resume, wait, keep the token to themselves."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import DEADLINE
from hub import REVISION, connect, online, serving
from huggingface_hub import constants

from yelp_stars.checkpoint.hub import download
from yelp_stars.pipeline.errors import UserError

pytestmark = pytest.mark.thorough

TOKEN = "hf_ThisTokenMustNotBeSeenAnywhere"
REPO = "google-bert/bert-base-cased"
FILES = {"config.json": b"{}", "vocab.txt": b"a word\n" * 3_500_000}
CODE = f"from yelp_stars.checkpoint import hub; hub.download({REPO!r}, {REVISION!r}, ['*'])"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A Hub with a file of 24 MB, of which the client writes 10 at a time."""
    with serving(REVISION) as hub:
        hub.files[f"models/{REPO}"] = FILES
        hub.cut = 12_000_000
        connect(monkeypatch, hub, tmp_path / "hf" / "hub")
        yield hub


def downloaded() -> bool:
    folder = download(REPO, REVISION, ["*"])
    return {path.name: path.read_bytes() for path in folder.iterdir()} == FILES


def ranges(hub, name: str) -> list[str | None]:
    """The parts of a file that were asked for; None is all of it."""
    asked = [request for request in hub.requests if request.path.endswith(name)]
    return [request.headers.get("Range") for request in asked if request.method == "GET"]


def test_a_connection_that_is_cut_is_taken_up_where_it_ended(hub):
    hub.cuts = 1
    assert downloaded()
    assert ranges(hub, "vocab.txt") == [None, "bytes=10485760-"]


def test_a_download_that_stalls_again_and_again_is_one_line(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.5)
    hub.cut, hub.cuts, hub.stalls = 30_000, 10**6, DEADLINE
    with pytest.raises(UserError, match="ReadTimeout: timed out"):
        download(REPO, REVISION, ["*"])


def has_begun(cache: Path) -> bool:
    """Whether a part of a file is there; files that are complete get their name meanwhile."""
    for part in cache.rglob("*.incomplete"):
        with contextlib.suppress(FileNotFoundError):
            if part.stat().st_size:
                return True
    return False


def test_a_download_that_was_killed_is_complete_after_the_next(hub, tmp_path):
    hub.cuts, hub.stalls = 1, DEADLINE
    environment = {**os.environ, **online(hub, tmp_path / "hf")}
    with subprocess.Popen([sys.executable, "-c", CODE], env=environment) as killed:
        deadline = time.monotonic() + DEADLINE
        while not has_begun(tmp_path / "hf"):
            assert killed.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        killed.kill()
    hub.requests.clear()
    assert downloaded()
    # The client names the parts of a file by the process: only complete files are there already.
    assert (ranges(hub, "vocab.txt"), ranges(hub, "config.json")) == ([None], [])
    assert has_begun(tmp_path / "hf")


def test_a_revision_is_asked_for_by_its_hash_and_downloaded_once(hub, monkeypatch):
    assert downloaded()
    assert downloaded()
    named = [request.path for request in hub.requests if "agent-harnesses" not in request.path]
    assert not [path for path in named if REVISION not in path]
    assert ranges(hub, "vocab.txt") == [None]
    # Now it is in the cache, and that is enough without a network.
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert downloaded()


def test_the_token_reaches_the_hub_alone(hub, monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.token = TOKEN
    with serving(REVISION) as cdn:
        cdn.files, hub.cdn = hub.files, cdn
        assert downloaded()
        assert cdn.requests
        assert not [request for request in cdn.requests if TOKEN in str(request)]
    assert [request for request in hub.requests if TOKEN in str(request.headers)]
    assert not [request for request in hub.requests if TOKEN in request.path]
    hub.token = "another"
    with pytest.raises(UserError) as caught:
        download(REPO, REVISION, ["*"])
    assert TOKEN not in str(caught.value) + "".join(capfd.readouterr())
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]
