"""The Hub's clients against a server on loopback: what fails there is one line, soon."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import (
    DEADLINE,
    DOWNLOAD,
    PRETRAINED,
    fails,
    replace,
    run,
    soak,
)
from hub import REVISION, Hub, online, serving

TOKEN = "hf_ThisTokenMustNotBeSeenAnywhere"
REPO = "google-bert/bert-base-cased"
# Without the rest of the stage, which imports torch.
FIND = (
    sys.executable, "-c",
    "import sys; from yelp_stars.checkpoint import find; print(find.find_on_hub(*sys.argv[1:]))",
    REPO, REVISION,
)  # fmt: skip
MODEL = {"source": "hub", "repo": REPO, "revision": REVISION}
DATA = {
    "source": "hub", "repo": "Yelp/yelp_review_full", "revision": REVISION,
    "train_split": "train", "test_split": "test", "text_column": "text", "label_column": "label",
    "unescape": False, "drop_empty": False,
}  # fmt: skip

pytestmark = pytest.mark.slow


@pytest.fixture
def hub():
    with serving(REVISION) as hub:
        yield hub


@pytest.fixture
def hub_project(project: Path, hub: Hub) -> Path:
    """A project whose data and checkpoint are on the Hub."""
    replace(project, "download", DATA)
    replace(project, "pretrained", MODEL)
    hub.add_folder(f"models/{REPO}", project / "models" / "external" / "tiny")
    return project


@pytest.fixture
def parquet(tmp_path: Path) -> bytes:
    """The file of a data set."""
    features = {"info": {"features": {
        "label": {"names": ["bad", "good"], "_type": "ClassLabel"},
        "text": {"dtype": "string", "_type": "Value"},
    }}}  # fmt: skip
    texts = [f"review {number}" for number in range(5000)]
    table = pa.table({"label": [number % 2 for number in range(5000)], "text": texts})
    table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    pq.write_table(table, tmp_path / "a.parquet")
    return (tmp_path / "a.parquet").read_bytes()


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def download(project: Path, hub: Hub, environment: dict[str, str]) -> str:
    """Download the checkpoint, which must be that of the Hub; returns the output."""
    output = run(*FIND, cwd=project, **environment)
    folder = re.search(f"^/.*{REVISION}$", output, re.MULTILINE)
    assert content(Path(folder[0])) == hub.files[f"models/{REPO}"]
    return output


@pytest.mark.parametrize(
    ("command", "listens"),
    [(PRETRAINED, False), (DOWNLOAD, False), pytest.param(DOWNLOAD, True, marks=soak)],
)
def test_a_hub_that_cannot_be_reached_is_one_line_in_ten_seconds(
    hub_project, hub, tmp_path, command, listens
):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment = online(hub, tmp_path / "hf")
        environment["HF_ENDPOINT"] = f"http://127.0.0.1:{silent.getsockname()[1]}"
        if not listens:
            silent.close()
        started = time.monotonic()
        message = fails(*command, cwd=hub_project, **environment)
        assert time.monotonic() - started < 10
    assert message.startswith("the Hub did not deliver '")
    assert "check the network, HF_ENDPOINT and HF_HUB_OFFLINE, or " in message


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (401, {"X-Error-Code": "RepoNotFound"}, "has no model '{}', or it is private; check"),
        (401, {"X-Error-Message": "Invalid credentials in Authorization header"},
         "the Hub does not accept HF_TOKEN, or the token of `hf auth login`; get another one at"),
        (403, {"X-Error-Code": "GatedRepo"}, "'{}' wants its terms accepted: do so at"),
        (403, {"X-Error-Message": "no\nway\x1b[31m"}, "did not deliver '{}' (HfHubHTTPError: 403"),
        (404, {"X-Error-Code": "RepoNotFound"}, "has no model '{}', or it is private; check"),
        (404, {"X-Error-Code": "RevisionNotFound"}, f"'{{}}' has no revision '{REVISION}' on"),
        (418, {}, "the Hub did not deliver '{}' (HfHubHTTPError: Client error '418"),
    ],
)  # fmt: skip
def test_what_the_hub_refuses_is_one_line_with_what_to_do(
    hub_project, hub, tmp_path, status, error, message
):
    error = {name: value.replace("\n", " ") for name, value in error.items()}
    hub.failures, hub.status, hub.error = 10**6, status, error
    environment = online(hub, tmp_path / "hf")
    assert message.format(REPO) in fails(*PRETRAINED, cwd=hub_project, **environment)
    assert not (hub_project / "pretrained").exists()


@pytest.mark.parametrize("status", [pytest.param(429, marks=soak), 503])
def test_a_busy_hub_is_asked_again(hub_project, hub, tmp_path, status):
    hub.failures, hub.failing = 2, "revision|tree"
    hub.status, hub.error = status, {"Retry-After": "0"}
    download(hub_project, hub, online(hub, tmp_path / "hf"))


@pytest.fixture
def large(hub_project: Path, hub: Hub) -> str:
    """A file of 24 MB in that checkpoint, whose download ends after 12: the client writes 10 each.

    Its name; the tokenizer does not need it.
    """
    hub.files[f"models/{REPO}"]["vocab.txt"] = b"a word\n" * 3_500_000
    hub.cut = 12_000_000
    return "vocab.txt"


def ranges(hub: Hub, name: str) -> list[str | None]:
    """The parts of a file that were asked for; None is all of it."""
    asked = [request for request in hub.requests if request.path.endswith(name)]
    return [request.headers.get("Range") for request in asked if request.method == "GET"]


def test_a_connection_that_is_cut_is_taken_up_where_it_ended(hub_project, hub, tmp_path, large):
    hub.cuts = 1
    download(hub_project, hub, online(hub, tmp_path / "hf"))
    assert ranges(hub, large) == [None, "bytes=10485760-"]


def has_begun(cache: Path) -> bool:
    """Whether a part of a file is there; files that are complete get their name meanwhile."""
    for part in cache.rglob("*.incomplete"):
        with contextlib.suppress(FileNotFoundError):
            if part.stat().st_size:
                return True
    return False


@soak
def test_a_download_that_was_killed_is_complete_after_the_next(hub_project, hub, tmp_path, large):
    hub.cuts, hub.stalls = 1, DEADLINE
    environment = online(hub, tmp_path / "hf")
    with subprocess.Popen(FIND, cwd=hub_project, env={**os.environ, **environment}) as stage:
        deadline = time.monotonic() + DEADLINE
        while not has_begun(tmp_path / "hf"):
            assert stage.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        stage.kill()
    hub.requests.clear()
    download(hub_project, hub, environment)
    # The client names the parts of a file by the process: only complete files are there already.
    assert (ranges(hub, large), ranges(hub, "config.json")) == ([None], [])


@soak
def test_a_download_that_stalls_again_and_again_is_one_line(hub_project, hub, tmp_path):
    hub.cut, hub.cuts, hub.stalls = 30_000, 10**6, DEADLINE
    message = fails(*PRETRAINED, cwd=hub_project, **online(hub, tmp_path / "hf"))
    assert message.startswith(f"the Hub did not deliver '{REPO}' (ReadTimeout: timed out)")


@soak
def test_a_revision_is_asked_for_by_its_hash_and_downloaded_once(hub_project, hub, tmp_path):
    environment = online(hub, tmp_path / "hf")
    for _ in range(2):
        download(hub_project, hub, environment)
    named = [request.path for request in hub.requests if "agent-harnesses" not in request.path]
    assert not [path for path in named if REVISION not in path]
    downloads = [request.path for request in hub.requests if request.method == "GET"]
    assert sum(path.endswith(".safetensors") for path in downloads) == 1
    # Now it is in the cache, and that is enough without a network.
    environment["HF_HUB_OFFLINE"] = "1"
    download(hub_project, hub, environment)


def test_the_token_reaches_the_hub_alone(hub_project, hub, tmp_path):
    environment = {**online(hub, tmp_path / "hf"), "HF_TOKEN": TOKEN}
    hub.token = TOKEN
    with serving(REVISION) as cdn:
        cdn.files, hub.cdn = hub.files, cdn
        output = download(hub_project, hub, environment)
        assert cdn.requests
        assert not [request for request in cdn.requests if TOKEN in str(request)]
    assert [request for request in hub.requests if TOKEN in str(request.headers)]
    assert not [request for request in hub.requests if TOKEN in request.path]
    hub.token = "another"
    output += fails(*PRETRAINED, cwd=hub_project, **environment)
    output += fails(*DOWNLOAD, cwd=hub_project, **environment)
    assert TOKEN not in output
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]


def test_a_folder_with_the_name_of_the_data_set_is_not_read(hub_project, hub, tmp_path):
    local = hub_project / "Yelp" / "yelp_review_full"
    local.mkdir(parents=True)
    for split in ("train", "test"):
        (local / f"{split}.csv").write_text("text,label\nhere,0\n")
    message = fails(*DOWNLOAD, cwd=hub_project, **online(hub, tmp_path / "hf"))
    assert message.startswith("the Hub has no dataset 'Yelp/yelp_review_full', or it is private;")


@pytest.mark.parametrize("damage", ["noise", pytest.param("cut", marks=soak)])
def test_a_damaged_file_of_a_data_set_is_one_line(hub_project, hub, tmp_path, damage, parquet):
    content = parquet if damage == "noise" else parquet[: len(parquet) // 2]
    if damage == "noise":
        content = content[:4] + bytes(len(content) // 2) + content[4 + len(content) // 2 :]
    hub.files["datasets/Yelp/yelp_review_full"] = {
        f"{split}-00000-of-00001.parquet": content for split in ("train", "test")
    }
    message = fails(*DOWNLOAD, cwd=hub_project, **online(hub, tmp_path / "hf"))
    assert re.match("(the Hub did not deliver '|)Yelp/yelp_review_full", message)
    assert not (hub_project / "raw").exists()
