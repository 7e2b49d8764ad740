"""A version on the Hub: all of it or no tag, the same when pushed again, private, no token seen."""

import json
from pathlib import Path

import pytest
from helpers import documented, follow, run, stars
from hub import connect, online, serving
from hub_uploads import SIGNATURE, UploadHub
from huggingface_hub import snapshot_download

from yelp_stars import load_classifier

pytestmark = pytest.mark.thorough
TOKEN = "hf_ThisTokenMustNotBeSeenAnywhere"
REPO, TAG = "team/stars", "yelp-stars@v1.0.0"
PUSH = ("release", "v1.0.0", "--push", REPO)


@pytest.fixture
def here(repo, monkeypatch):
    monkeypatch.chdir(repo)
    return repo


@pytest.fixture
def hub(here, monkeypatch, tmp_path):
    with serving("", UploadHub) as hub:
        hub.token = TOKEN
        connect(monkeypatch, hub, tmp_path / "hf")
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield hub


def test_a_version_is_one_commit_with_its_tag_and_is_verified_as_it_arrives(
    here, hub, tmp_path, capfd
):
    assert stars(*PUSH) == 0
    pushed = hub.repositories[REPO]
    assert pushed.visibility == "private"
    assert pushed.tags == {"v1.0.0": pushed.head}
    assert len(pushed.commits) == 2  # the first is the Hub's own
    local = {path.name: path.read_bytes() for path in Path("models/finetuned").iterdir()}
    assert pushed.at("v1.0.0").items() >= local.items()
    assert pushed.at("v1.0.0").keys() == {*local, "release.json", ".gitattributes"}
    printed = capfd.readouterr().out
    assert f"pushed: {hub.address}/{REPO}, revision v1.0.0\n" in printed
    assert f"it public: {hub.address}/{REPO}/settings\n" in printed
    assert "its card has no license, no language, no base_model: " in printed
    folder = snapshot_download(REPO, revision="v1.0.0", local_dir=tmp_path / "received")
    assert stars("verify", "v1.0.0", "--folder", folder, "--statement", "stated.json") == 0
    stated = json.loads(Path("stated.json").read_text())
    assert json.loads(pushed.at("v1.0.0")["release.json"]) == stated
    assert load_classifier(folder)(["The soup was cold."])[0].stars


def test_a_version_that_is_there_is_not_sent_again(here, hub):
    assert stars(*PUSH) == 0
    hub.requests.clear()
    assert stars(*PUSH) == 0
    assert len(hub.repositories[REPO].commits) == 2
    sent = {request.path for request in hub.requests if request.method != "GET"}
    assert sent == {"/api/repos/create"}


def test_whatever_fails_the_same_command_finishes_and_no_secret_is_seen(here, hub, tmp_path, capfd):
    denied = "the Hub does not let your token write to 'team/stars'"
    lost = "the Hub did not take 'team/stars' (RemoteProtocolError: "
    failures = [
        ("create", 401, denied),
        ("create", 403, denied),
        ("preupload", 403, denied),
        ("PUT", 418, "the Hub did not take 'team/stars' (HfHubHTTPError: Client error '418"),
        ("/commit/", 0, lost),
        ("/tag/", 409, "the Hub did not take 'team/stars' (HfHubHTTPError: "),
        ("/tag/", 0, lost),
    ]
    seen = []
    for failing, status, problem in failures:
        hub.failing, hub.status, hub.failures = failing, status, 1
        seen.append(stars(*PUSH))
        assert hub.failures == 0, failing
        assert problem in seen[-1]
        assert f"run `stars {' '.join(PUSH)}`" in seen[-1]
        assert run("git", "tag", cwd=here).split() == [TAG]
    assert hub.repositories[REPO].tags == {}
    assert stars(*PUSH) == 0
    assert len(hub.repositories[REPO].commits) == 2
    assert hub.repositories[REPO].tags.keys() == {"v1.0.0"}
    stored = [request for request in hub.requests if request.path.startswith("/storage/")]
    assert len(stored) == 2  # one was refused
    assert not [request for request in stored if TOKEN in str(request)]
    printed = "".join([*seen, *capfd.readouterr(), run("git", "cat-file", "tag", TAG, cwd=here)])
    sent = b"".join(hub.repositories[REPO].at("v1.0.0").values())
    for secret in (TOKEN, SIGNATURE):
        assert secret not in printed
        assert secret.encode() not in sent
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]


def test_an_upload_that_is_cut_is_sent_again(here, hub):
    hub.failing, hub.status, hub.failures = "PUT", 0, 1
    assert stars(*PUSH) == 0
    assert hub.failures == 0
    assert hub.repositories[REPO].tags.keys() == {"v1.0.0"}


def test_what_others_have_there_is_neither_replaced_nor_deleted(here, hub):
    assert stars(*PUSH) == 0
    repository = hub.repositories[REPO]
    other = repository.commit({"model.safetensors": b"another", "config.json": b"{}"})
    repository.tags["v1.0.0"] = other
    message = stars(*PUSH)
    assert "'team/stars' has other files than v1.0.0: 'config.json', 'model.safetensors'" in message
    del repository.tags["v1.0.0"]
    repository.commit({"notes.md": b"of a colleague"})
    assert "has other files than v1.0.0: 'notes.md'; push" in stars(*PUSH)
    assert len(repository.commits) == 4
    assert repository.tags == {}


def test_an_older_version_does_not_move_main_back_and_one_that_is_there_is_pushed_again(here, hub):
    assert stars("release", "v1.9.0") == 0
    run("git", "commit", "--allow-empty", "-qm", "another", cwd=here)
    assert stars("release", "v1.10.0", "--push", REPO) == 0
    head = hub.repositories[REPO].head
    message = stars("release", "v1.9.0", "--push", REPO)
    assert "'team/stars' has 'v1.10.0' already: its main would go back to v1.9.0" in message
    assert hub.repositories[REPO].head == head
    run("git", "commit", "--allow-empty", "-qm", "a third", cwd=here)
    assert stars("release", "v2.0.0", "--push", REPO) == 0
    assert stars("release", "v1.10.0", "--push", REPO) == 0
    assert hub.repositories[REPO].tags.keys() == {"v1.10.0", "v2.0.0"}


@pytest.mark.parametrize(
    ("name", "variables", "message"),
    [
        ("stars", {}, "'stars' is not a repository's OWNER/NAME"),
        ("team/../stars", {}, "'team/../stars' is not a repository's OWNER/NAME"),
        (REPO, {"HF_TOKEN": ""}, "the Hub requires a token; set HF_TOKEN to one that may write"),
        (REPO, {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set: nothing can be sent; unset it"),
    ],
)
def test_what_cannot_be_pushed_is_refused_before_it_is_tagged(here, hub, name, variables, message):
    environment = {**online(hub, here.parent / "hf"), **variables}
    command = ("stars", "release", "v1.0.0", "--push", name)
    assert message in run(*command, cwd=here, ok=False, **environment)
    assert run("git", "tag", cwd=here) == ""
    assert hub.requests == []


def test_the_guide_pushes_a_version(here, hub, tmp_path):
    (push,) = documented("team.md", "On the Hugging Face Hub")
    follow(push.replace("OWNER", "team"), here, **online(hub, tmp_path / "hf"))
    assert hub.repositories["team/stars"].tags.keys() == {"v1.0.0"}
