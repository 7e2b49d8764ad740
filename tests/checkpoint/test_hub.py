"""The Hub's clients against a server on loopback: what fails there is one line, soon."""

import json
import re
import socket
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import DOWNLOAD, fails, replace
from hub import REVISION, connect, online, serving

from yelp_stars.checkpoint.hub import check, download
from yelp_stars.pipeline.errors import UserError

REPO = "google-bert/bert-base-cased"
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


def test_a_hub_that_cannot_be_reached_is_one_line_in_ten_seconds(hub, monkeypatch, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hub.address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        connect(monkeypatch, hub, tmp_path)
        for listens in (True, False):
            started = time.monotonic()
            with pytest.raises(UserError) as caught:
                download(REPO, REVISION, ["*"])
            assert time.monotonic() - started < 10
            assert caught.value.problem.startswith(f"the Hub did not deliver '{REPO}'")
            assert "HF_HUB_OFFLINE, or set pretrained.source to 'package'" in caught.value.advice
            if listens:
                silent.close()


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (401, {"X-Error-Code": "RepoNotFound"}, "has no model '{}', or it is private; check"),
        (401, {"X-Error-Message": "Invalid credentials in Authorization header"},
         "the Hub does not accept HF_TOKEN, or the token of `hf auth login`; get a new one at"),
        (403, {"X-Error-Code": "GatedRepo"}, "'{}' requires accepting its terms: do so at"),
        (403, {"X-Error-Message": "no way\x1b[31m"}, "did not deliver '{}' (HfHubHTTPError: 403"),
        (404, {"X-Error-Code": "RevisionNotFound"}, f"'{{}}' has no revision '{REVISION}' on"),
        (418, {}, "the Hub did not deliver '{}' (HfHubHTTPError: Client error '418"),
    ],
)  # fmt: skip
def test_what_the_hub_refuses_is_one_line_with_what_to_do(
    hub, monkeypatch, tmp_path, status, error, message
):
    hub.failures, hub.status, hub.error = 10**6, status, error
    connect(monkeypatch, hub, tmp_path)
    with pytest.raises(UserError) as caught:
        check(REPO, REVISION, "model", "set pretrained.source to 'package'")
    assert message.format(REPO) in str(caught.value)


@pytest.mark.parametrize("name", ["user/name.", "user/a--b", "用户/数据", "user/name.git"])
def test_a_name_that_the_hub_cannot_have_is_one_line(hub, monkeypatch, tmp_path, name):
    connect(monkeypatch, hub, tmp_path)
    with pytest.raises(UserError, match=re.escape(f"the Hub did not deliver '{name}'")):
        check(name, REVISION, "dataset", "set download.source to 'files'")


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_hub_is_asked_again(hub, monkeypatch, tmp_path, status):
    hub.files[f"models/{REPO}"] = {"config.json": b"{}"}
    hub.failures, hub.failing = 2, "revision|tree"
    hub.status, hub.error = status, {"Retry-After": "0"}
    connect(monkeypatch, hub, tmp_path)
    folder = download(REPO, REVISION, ["config.json"])
    assert (folder / "config.json").read_bytes() == b"{}"
    assert hub.failures == 0


def test_a_folder_with_the_name_of_the_data_set_is_not_read(data_project, hub, tmp_path):
    replace(data_project, "download", DATA)
    local = data_project / "Yelp" / "yelp_review_full"
    local.mkdir(parents=True)
    for split in ("train", "test"):
        (local / f"{split}.csv").write_text("text,label\nhere,0\n")
    message = fails(*DOWNLOAD, cwd=data_project, **online(hub, tmp_path / "hf"))
    assert message.startswith("the Hub has no dataset 'Yelp/yelp_review_full', or it is private;")


def test_a_damaged_file_of_a_data_set_is_one_line(data_project, hub, tmp_path, parquet):
    replace(data_project, "download", {**DATA, "ordered": True})
    content = parquet[:4] + bytes(len(parquet) // 2) + parquet[4 + len(parquet) // 2 :]
    hub.files["datasets/Yelp/yelp_review_full"] = {
        f"{split}-00000-of-00001.parquet": content for split in ("train", "test")
    }
    message = fails(*DOWNLOAD, cwd=data_project, **online(hub, tmp_path / "hf"))
    assert re.match("(the Hub did not deliver '|)Yelp/yelp_review_full", message)
    assert not (data_project / "raw").exists()
