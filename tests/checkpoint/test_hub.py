"""The Hub's clients against a server on loopback: what fails there is one line, soon."""

import json
import re
import socket
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import (
    DOWNLOAD,
    PRETRAINED,
    fails,
    replace,
    run,
    soak,
)
from hub import REVISION, Hub, online, serving
from huggingface_hub import constants

from yelp_stars.checkpoint.hub import check
from yelp_stars.pipeline.errors import UserError

TOKEN = "hf_ThisTokenMustNotBeSeenAnywhere"
REPO = "google-bert/bert-base-cased"
# Without the rest of the stage, which imports torch.
FIND = (
    sys.executable, "-c",
    "import sys; from yelp_stars.checkpoint import copying, hub; "
    "print(hub.download(*sys.argv[1:], [*copying.TEXT_FILES, *copying.WEIGHTS]))",
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


@pytest.mark.parametrize("listens", [False, pytest.param(True, marks=soak)])
def test_a_hub_that_cannot_be_reached_is_one_line_in_ten_seconds(
    hub_project, hub, tmp_path, listens
):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment = online(hub, tmp_path / "hf")
        environment["HF_ENDPOINT"] = f"http://127.0.0.1:{silent.getsockname()[1]}"
        if not listens:
            silent.close()
        started = time.monotonic()
        message = fails(*DOWNLOAD, cwd=hub_project, **environment)
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
        (403, {"X-Error-Message": "no way\x1b[31m"}, "did not deliver '{}' (HfHubHTTPError: 403"),
        (404, {"X-Error-Code": "RevisionNotFound"}, f"'{{}}' has no revision '{REVISION}' on"),
        (418, {}, "the Hub did not deliver '{}' (HfHubHTTPError: Client error '418"),
    ],
)  # fmt: skip
def test_what_the_hub_refuses_is_one_line_with_what_to_do(hub, monkeypatch, status, error, message):
    hub.failures, hub.status, hub.error = 10**6, status, error
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", online(hub, Path("hf"))["HF_ENDPOINT"])
    with pytest.raises(UserError) as caught:
        check(REPO, REVISION, "model", "set pretrained.source to 'package'")
    assert message.format(REPO) in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_busy_hub_is_asked_again(hub_project, hub, tmp_path):
    hub.failures, hub.failing = 2, "revision|tree"
    hub.status, hub.error = 503, {"Retry-After": "0"}
    download(hub_project, hub, online(hub, tmp_path / "hf"))


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


def test_a_damaged_file_of_a_data_set_is_one_line(hub_project, hub, tmp_path, parquet):
    content = parquet[:4] + bytes(len(parquet) // 2) + parquet[4 + len(parquet) // 2 :]
    hub.files["datasets/Yelp/yelp_review_full"] = {
        f"{split}-00000-of-00001.parquet": content for split in ("train", "test")
    }
    message = fails(*DOWNLOAD, cwd=hub_project, **online(hub, tmp_path / "hf"))
    assert re.match("(the Hub did not deliver '|)Yelp/yelp_review_full", message)
    assert not (hub_project / "raw").exists()
