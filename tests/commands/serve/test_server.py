"""A model over HTTP: the shape of text-embeddings-inference, limits, and no 500 whatever comes."""

import asyncio
import json
import os
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from browser import needs_chromium, visit
from helpers import run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import ask, get, post, serving

from yelp_stars import load_classifier
from yelp_stars.commands.serve.server import describe, made_by, make_app

pytestmark = pytest.mark.slow


CLIENT = """
import json, sys
from huggingface_hub import InferenceClient
client, text, parameters = InferenceClient(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
found = [client.text_classification(text, **each) for each in parameters]
print(json.dumps([[[one.label, one.score] for one in answer] for answer in found]))
"""
TEXT = "The soup was cold."


@pytest.fixture(scope="module")
def pipeline(folder):
    """Transformers' own pipeline; it knows no temperature."""
    from transformers import pipeline

    return pipeline("text-classification", str(folder), truncation=True)


@pytest.mark.parametrize("path", ["/predict", "/", ""])
def test_a_client_of_hugging_face_reads_what_it_asks_for(port, folder, pipeline, path):
    functions = ("none", "sigmoid")
    asked = [{}, {"top_k": 2}, *({"function_to_apply": name, "top_k": 9} for name in functions)]
    url = f"http://127.0.0.1:{port}{path}"
    output = run(
        sys.executable, "-c", CLIENT, url, TEXT, json.dumps(asked), cwd=folder, HF_HUB_OFFLINE="0"
    )
    found, best, *others = json.loads(output.splitlines()[-1])
    (own,) = load_classifier(folder, precision="fp32")([TEXT])
    assert found[0][0] == own.stars
    assert dict(found) == pytest.approx(own.probabilities, abs=1e-6)
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True)
    assert best == found[:2]
    for name, answer in zip(functions, others):
        (theirs,) = pipeline([TEXT], function_to_apply=name, top_k=None)
        expected = {one["label"]: one["score"] for one in theirs}
        assert dict(answer) == pytest.approx(expected, abs=1e-5)


def test_raw_scores_are_the_logits(port):
    raw = post(port, {"inputs": TEXT, "raw_scores": True})
    parameters = {"function_to_apply": "none"}
    assert raw == post(port, {"inputs": TEXT, "parameters": parameters})
    assert raw != post(port, {"inputs": TEXT, "raw_scores": False})


@pytest.mark.parametrize(("direction", "kept"), [("Left", slice(-30, None)), ("right", slice(30))])
@pytest.mark.parametrize("path", ["/predict", "/classify"])
def test_truncation_direction_says_which_end_is_lost(port, direction, kept, path):
    words = ["a"] * 60 + ["b"] * 60  # a token each; with two special ones the model reads 32
    cut = {"inputs": " ".join(words), "truncation_direction": direction}
    _, found = post(port, cut, path)
    _, expected = post(port, {"inputs": " ".join(words[kept])}, path)
    if path == "/classify":
        assert [one.pop("truncated") for one in (*found, *expected)] == [True, False]
    assert found == expected


@pytest.mark.parametrize("path", ["/predict", "/classify"])
def test_null_stands_for_the_default(port, path):
    plain = {"inputs": "long " * 99}
    null = {**plain, "truncate": None, "truncation_direction": None}
    assert post(port, plain, path) == post(port, null, path)
    assert post(port, null, path)[0] == 200


@pytest.mark.parametrize("inputs", [["good", "bad", "good"], [["good"], ["bad"], ["good"]]])
def test_several_texts_have_a_list_of_labels_each(port, inputs):
    status, content = post(port, {"inputs": inputs})
    assert status == 200
    assert [len(labels) for labels in content] == [5, 5, 5]
    assert content[0] == content[2]


def test_range_and_truncation_are_in_classify(port):
    status, content = post(port, {"inputs": ["short", "long " * 99]}, "/classify")
    assert status == 200
    assert [one["truncated"] for one in content] == [False, True]
    assert all(one["stars"] in one["range"] for one in content)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"inputs": ["x"] * 9}, 413, "9 texts; the limit is 8 per request"),
        ({"inputs": "long " * 99, "truncate": False}, 413, "text 0 has more than 32 tokens"),
        ({"inputs": ["fine", "a\0b"]}, 422, "text 1 has a NUL byte in its text; remove it"),
        (b'{"inputs": "\\ud800"}', 422, "text 0 has an unpaired surrogate in its text; fix it"),
        ({"inputs": ""}, 422, "text 0 is empty; remove it"),
        ({"inputs": ["fine", " \n\u2003"]}, 422, "text 1 is empty; remove it"),
        (
            {"inputs": "x", "raw_scores": True, "parameters": {"function_to_apply": "sigmoid"}},
            422,
            "raw_scores contradicts function_to_apply 'sigmoid'",
        ),
    ],
)
def test_what_is_too_much_or_not_a_text_is_said_in_one_line(port, body, status, message):
    assert post(port, body) == (status, {"detail": message})


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b'{"inputs": []}', b'{"inputs": 7}', b'{"inputs": [null]}',
     b'{"inputs": NaN}', b"[" * 19_000, b'{"inputs": ' + b"9" * 9999 + b"}", b"\xff\xfe\x00"],
)  # fmt: skip
def test_a_body_that_is_not_a_request_is_the_clients_fault(port, body):
    status, content = post(port, body)
    assert 400 <= status < 500
    assert content["detail"]


FIELDS = {
    "top_k": 2,  # of parameters
    "truncat": False,
    "options": {"wait_for_model": True},
    "parameters": {"truncation": True},
    "truncate": "maybe",
    "truncation_direction": "up",
    "raw_scores": "logits",
    "inputs": [["a", "b"]],  # a pair
    "": 1,
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_that_it_does_not_honour_is_named(port, name):
    status, content = post(port, {"inputs": "x", name: FIELDS[name]})
    assert status == 422
    assert {problem["loc"][1] for problem in content["detail"]} == {name}


@pytest.mark.parametrize(
    ("name", "value"), [("top_k", 0), ("top_k", 1.5), ("function_to_apply", "relu"), ("k", None)]
)
def test_a_parameter_that_it_does_not_honour_is_named(port, name, value):
    status, content = post(port, {"inputs": "x", "parameters": {name: value}})
    assert status == 422
    assert content["detail"][0]["loc"] == ["body", "parameters", name]


@pytest.mark.parametrize("name", ["raw_scores", "parameters"])
def test_classify_takes_no_options_of_scores(port, name):
    status, content = post(port, {"inputs": "x", name: None}, "/classify")
    assert status == 422
    assert content["detail"][0]["loc"] == ["body", name]


@pytest.mark.parametrize("key", [rb'"\ud800"', rb'"parameters": {"\ud800": 1}, "b"'])
def test_a_surrogate_in_a_key_is_the_clients_fault(port, key):
    status, content = post(port, b'{"inputs": "a", ' + key + b": 1}")
    assert status == 422
    assert content["detail"]


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "text/plain;charset=UTF-8", "text/json", ""]
)
def test_an_error_names_the_content_type(port, kind):
    headers = {"Content-Type": kind} if kind else {}
    status, content = ask(port, "POST", "/predict", '{"inputs": "x"}', headers)
    assert status == 415
    assert json.loads(content) == {"detail": f"Content-Type is {kind!r}; send application/json"}


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/vnd.api+json"])
def test_json_has_several_content_types(port, kind):
    assert ask(port, "POST", "/predict", '{"inputs": "x"}', {"Content-Type": kind})[0] == 200


# Keys that mean something, so that drawn requests get past the first check.
KEYS = ("inputs", "truncate", "truncation_direction", "raw_scores", "parameters", "top_k", "\ud800")
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(KEYS), inner),
    max_leaves=8,
)


OBJECTS = JSON | st.fixed_dictionaries({"inputs": JSON}, optional=dict.fromkeys(KEYS[1:], JSON))
BYTES = st.binary(max_size=200) | st.text().map(lambda text: text.encode("utf-16"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=OBJECTS.map(lambda value: json.dumps(value).encode()) | BYTES)
def test_no_body_is_an_error_of_the_server(port, body):
    for path in ("/predict", "/classify"):
        assert post(port, body, path)[0] in (200, 400, 413, 422)


def test_health_and_info(port, folder):
    assert get(port, "/health") == (200, '{"status":"ok"}')
    for path in ("/", "/health", "/info", "/docs", "/openapi.json"):
        assert get(port, path, "HEAD") == (200, "")
    status, content = get(port, "/info")
    info = json.loads(content)
    assert status == 200
    assert info["labels"][0] == "1 star"
    assert (info["max_input_length"], info["precision"]) == (32, "fp32")
    assert info["test_scores"]["accuracy"].keys() == {"value", "low", "high", "n"}
    assert info["commit"] == run("git", "rev-parse", "HEAD", cwd=folder).strip()
    assert len(info["model_sha256"]) == 64
    assert str(folder.parent) not in content


@pytest.mark.parametrize(
    "provenance",
    [
        {"source": "synthetic", "sha256": "0" * 64},
        {"source": "files", "files": {"a.csv": "1" * 64}},
        {"source": "hub", "repo": "a/b", "revision": "2" * 40},
    ],
)
def test_info_names_the_data_of_every_source_and_the_model(
    folder, tmp_path, monkeypatch, provenance
):
    own = shutil.copytree(folder, tmp_path / "models" / "finetuned")
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "data.json").write_text(json.dumps({**provenance, "splits": {}}))
    monkeypatch.chdir(own)
    info = describe(Path(), load_classifier(own, precision="fp32"))
    assert (info["data"], info["model_id"]) == (provenance, "finetuned")


def test_info_has_the_commit_that_made_the_model(repo, monkeypatch):
    monkeypatch.chdir(repo)
    model, made = repo / "models" / "finetuned", run("git", "rev-parse", "HEAD", cwd=repo).strip()
    (repo / "notes.md").write_text("later")
    run("git", "add", "notes.md", cwd=repo)
    run("git", "commit", "-qm", "notes", cwd=repo)
    assert made_by(model) == made
    copied = shutil.copytree(model, repo / "models" / "copied")
    assert made_by(copied) == made
    (copied / "config.json").chmod(0o644)
    (copied / "config.json").write_text("{}")
    assert made_by(copied) is None


def test_a_model_from_elsewhere_has_no_commit(repo, tmp_path, monkeypatch):
    own = shutil.copytree(repo / "models" / "finetuned", tmp_path / "model")
    for working_folder in (repo, tmp_path, own):
        monkeypatch.chdir(working_folder)
        assert made_by(own) is None


# As gpg, it signs its input; as textconv, it has a file.
PROGRAM = """#!/bin/sh
touch {ran}
test -f "$1" || cat > /dev/null
printf '\\n[GNUPG:] SIG_CREATED \\n' >&2
echo -----BEGIN PGP SIGNATURE-----
"""


@pytest.mark.parametrize("inside", [True, False])
def test_a_repository_that_comes_with_a_model_runs_no_program(repo, tmp_path, monkeypatch, inside):
    program, ran = tmp_path / "program", tmp_path / "ran"
    program.write_text(PROGRAM.format(ran=ran))
    program.chmod(0o755)
    values = {"gpg.program": program, "diff.own.textconv": program, "log.showSignature": "true"}
    for name, value in values.items():
        run("git", "config", name, str(value), cwd=repo)
    (repo / ".git" / "info").mkdir(exist_ok=True)
    (repo / ".git" / "info" / "attributes").write_text("dvc.lock diff=own\n")
    run("git", "commit", "-qS", "--amend", "--no-edit", cwd=repo)
    ran.unlink()
    commit = run("git", "rev-parse", "HEAD", cwd=repo).strip()
    monkeypatch.chdir(repo if inside else tmp_path)
    assert made_by(repo / "models" / "finetuned") == (commit if inside else None)
    assert not ran.exists()


def test_a_model_copied_over_the_served_one_changes_and_stops_nothing(folder, tmp_path):
    own = shutil.copytree(folder, tmp_path / "model")
    weights = own / "model.safetensors"
    weights.chmod(0o644)
    with serving(own) as (server, port):
        before = post(port, {"inputs": "good"})
        os.truncate(weights, 0)  # what `cp` does first
        assert post(port, {"inputs": "good"}) == before
        assert server.poll() is None


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("/predict", b"application/json", b'{"inputs": "good"}'),
        ("/csv", b"text/csv", b"text\ngood\n"),
    ],
)
@pytest.mark.parametrize(("gone", "status"), [(True, 499), (False, 200)])
def test_nothing_is_computed_for_a_client_that_has_gone(folder, path, kind, body, gone, status):
    app = make_app(load_classifier(folder, precision="fp32"), {}, 8, 8)
    scope = {"type": "http", "method": "POST", "path": path, "root_path": "", "state": {}}
    scope |= {"query_string": b"", "headers": [(b"content-type", kind)]}
    coming, sent = [{"type": "http.request", "body": body}], []

    async def receive():
        if coming:
            return coming.pop()
        return {"type": "http.disconnect"} if gone else await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == status
    assert ("texts" in scope["state"]) == (not gone)


def test_64_clients_at_once_lose_nothing(port):
    def client(number):
        texts = [f"review {number} of a place", "another"][: 1 + number % 2]
        return [post(port, {"inputs": texts}) for _ in range(5)], len(texts)

    with ThreadPoolExecutor(64) as pool:
        for answers, n in pool.map(client, range(64)):
            assert all(status == 200 and len(content) == n for status, content in answers)


TYPED = """
(() => {
  const text = document.getElementById("text");
  text.value = "<b>The soup was cold.</b> " + "word ".repeat(99);
  text.dispatchEvent(new Event("input"));
  return new Promise(done => setTimeout(() => done([
    document.getElementById("stars").textContent,
    document.querySelectorAll("meter").length,
    document.getElementById("note").textContent,
    document.documentElement.scrollWidth,
  ]), 2000));
})()
"""


@needs_chromium
def test_the_page_shows_what_the_model_says(port):
    url = f"http://127.0.0.1:{port}/"
    seen = visit(url, TYPED, width=390)
    stars, meters, note, width = seen.results[0]
    assert re.fullmatch(r"\d stars?", stars)
    assert (meters, width) == (5, 390)
    assert note == "The text exceeds the model's limit and was truncated."
    assert seen.requests == [url, f"{url}info", f"{url}classify"]
    assert seen.console == []


@pytest.mark.thorough
@needs_chromium
def test_the_documentation_asks_no_other_server(port):
    url = f"http://127.0.0.1:{port}/"
    text = "new Promise(done => setTimeout(() => done(document.body.innerText), 2000))"
    seen = visit(f"{url}docs", text)
    assert "/predict" in seen.results[0]
    assert all(request.startswith((url, "data:")) for request in seen.requests)
