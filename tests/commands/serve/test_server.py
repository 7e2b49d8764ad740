"""A model over HTTP: the shape of text-embeddings-inference, limits, and no 500 whatever comes."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from browser import needs_chromium, visit
from helpers import run, soak, stars
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yelp_stars import load_classifier
from yelp_stars.commands.serve.server import describe

pytestmark = pytest.mark.slow
LIMITS = ("--max-texts", "8", "--max-body", "20000")


def start(folder, *options):
    """Start a server; returns the process and its port."""
    command = ("-m", "yelp_stars.cli", "serve", "--model", str(folder), "--port", "0")
    server = subprocess.Popen(
        [sys.executable, *command, "--precision", "fp32", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert server.stdout is not None
    for line in server.stdout:
        if found := re.fullmatch(r"http://127\.0\.0\.1:(\d+)\n", line):
            return server, int(found[1])
    raise AssertionError("the server has ended")


@pytest.fixture(scope="module")
def folder(finished_repo):
    return finished_repo / "models" / "finetuned"


@pytest.fixture(scope="module")
def port(folder):
    server, port = start(folder, *LIMITS)
    yield port
    server.kill()
    server.wait()


def ask(port, *request, **options):
    """The status and the content of the answer to a request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request(*request, **options)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def post(port, body, path="/predict"):
    data = body if isinstance(body, bytes) else json.dumps(body)
    status, content = ask(port, "POST", path, data, {"Content-Type": "application/json"})
    return status, json.loads(content)


def get(port, path):
    return ask(port, "GET", path)


def test_a_client_of_hugging_face_reads_labels_and_scores(port, folder):
    code = (
        "import json, sys; from huggingface_hub import InferenceClient\n"
        "found = InferenceClient(sys.argv[1]).text_classification(sys.argv[2])\n"
        "print(json.dumps([[one.label, one.score] for one in found]))"
    )
    url, text = f"http://127.0.0.1:{port}/predict", "The soup was cold."
    output = run(sys.executable, "-c", code, url, text, cwd=folder, HF_HUB_OFFLINE="0")
    found = json.loads(output.splitlines()[-1])
    (expected,) = load_classifier(folder, precision="fp32")([text])
    assert found[0][0] == expected.stars
    assert dict(found) == pytest.approx(expected.probabilities, abs=1e-6)
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True)


def test_several_texts_have_a_list_of_labels_each(port):
    status, content = post(port, {"inputs": ["good", "bad", "good"]})
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


def test_a_body_above_the_limit_is_refused_also_if_its_length_is_not_declared(port):
    chunks = (b"x" * 1000 for _ in range(100))
    headers = {"Transfer-Encoding": "chunked"}
    assert ask(port, "POST", "/predict", chunks, headers, encode_chunked=True)[0] == 413
    assert ask(port, "POST", "/predict", b"x" * 20_001)[0] == 413


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("inputs"), inner),
    max_leaves=8,
)


OBJECTS = JSON | st.fixed_dictionaries({"inputs": JSON}, optional={"truncate": JSON})
BYTES = st.binary(max_size=200) | st.text().map(lambda text: text.encode("utf-16"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=OBJECTS.map(lambda value: json.dumps(value).encode()) | BYTES)
def test_no_body_is_an_error_of_the_server(port, body):
    assert post(port, body)[0] in (200, 400, 413, 422)


def test_health_and_info(port, folder):
    assert get(port, "/health") == (200, '{"status":"ok"}')
    status, content = get(port, "/info")
    info = json.loads(content)
    assert status == 200
    assert info["labels"][0] == "1 star"
    assert (info["max_input_length"], info["precision"]) == (32, "fp32")
    assert info["test_scores"]["accuracy"].keys() == {"value", "low", "high", "n"}
    assert len(info["commit"]) == 40
    assert len(info["data_sha256"]) == len(info["model_sha256"]) == 64
    assert str(folder.parent) not in content


@pytest.mark.parametrize(
    ("provenance", "hashes"),
    [
        ({"source": "synthetic", "sha256": "0" * 64}, "0" * 64),
        ({"source": "files", "files": {"a.csv": "1" * 64}}, {"a.csv": "1" * 64}),
        ({"source": "hub", "repo": "a/b", "revision": "2" * 40}, None),
    ],
)
def test_info_names_the_data_of_every_source(folder, tmp_path, provenance, hashes):
    own = shutil.copytree(folder, tmp_path / "models" / "finetuned")
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "data.json").write_text(json.dumps({**provenance, "splits": {}}))
    info = describe(own, load_classifier(own, precision="fp32"))
    assert info["data"] == provenance
    assert info["data_sha256"] == hashes


def test_64_clients_at_once_lose_nothing(port):
    def client(number):
        texts = [f"review {number} of a place", "another"][: 1 + number % 2]
        return [post(port, {"inputs": texts}) for _ in range(5)], len(texts)

    with ThreadPoolExecutor(64) as pool:
        for answers, n in pool.map(client, range(64)):
            assert all(status == 200 and len(content) == n for status, content in answers)


@pytest.mark.thorough
def test_more_connections_than_allowed_get_503(folder):
    server, port = start(folder, "--max-connections", "2")
    try:
        held = [http.client.HTTPConnection("127.0.0.1", port) for _ in range(3)]
        for connection in held:
            connection.connect()
        time.sleep(0.5)
        assert get(port, "/health")[0] == 503
        for connection in held:
            connection.close()
        time.sleep(0.5)
        assert get(port, "/health")[0] == 200
    finally:
        server.kill()
        server.wait()


@pytest.mark.thorough
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=soak)])
def test_a_signal_lets_requests_end_and_stops(folder, number):
    server, port = start(folder, "--max-texts", "3000", "--max-body", "9000000")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(post, port, {"inputs": ["a review of some words " * 9] * 3000})
        time.sleep(1)
        server.send_signal(number)
        status, content = asked.result(60)
    assert (status, len(content)) == (200, 3000)
    output = server.communicate(timeout=60)[0]
    assert server.returncode in (0, -number, 128 + number)
    assert "Traceback" not in output


def test_a_taken_port_is_one_line(port, folder):
    message = stars("serve", "--model", str(folder), "--port", str(port))
    assert message.startswith(f"error: cannot listen on '127.0.0.1', port {port} (")
    assert message.endswith("); choose another --port")


def test_a_folder_without_a_model_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert stars("serve", "--host", "") == 2
    message = stars("serve")
    assert message.startswith("error: no folder 'models/finetuned'; run `dvc repro`")


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
