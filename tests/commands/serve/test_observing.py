"""What an operator sees: counters that agree with what was asked, ids, lines without texts."""

import http.client
import json
import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers import DEADLINE
from prometheus_client import generate_latest
from serving import ask, connect, get, head, post, serving

from yelp_stars import load_classifier
from yelp_stars.commands.serve.server import make_app

pytestmark = pytest.mark.slow

TOKEN = "a-token-that-must-not-be-seen"
WITH_TOKEN = f"import os; os.environ['STARS_TOKEN'] = '{TOKEN}'"
SECRET = "the soup that nobody may read about"


def counted(port, **headers):
    """The samples of /metrics: by the name with its labels, the value."""
    status, content = get(port, "/metrics", **headers)
    assert status == 200
    lines = [line for line in content.splitlines() if line.startswith("stars_")]
    return Counter({name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)})


def requests(route, status):
    return f'stars_requests_total{{route="{route}",status="{status}"}}'


def test_the_counters_agree_with_what_was_asked(port):
    before = counted(port)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: post(port, {"inputs": ["good", "bad"]})[0] == 200, range(20)))
    post(port, {"inputs": ""})
    post(port, b"x" * 20_001)
    get(port, "/health", Host="evil.example")
    added = counted(port) - before
    assert added[requests("/predict", 200)] == 20
    assert added[requests("/predict", 422)] == added[requests("/predict", 413)] == 1
    assert added[requests("/health", 400)] == 1
    assert added["stars_texts_total"] == 40
    assert added['stars_request_seconds_count{route="/predict"}'] == 22
    assert added['stars_request_seconds_bucket{le="+Inf",route="/predict"}'] == 22
    assert added['stars_request_seconds_sum{route="/predict"}'] > 0


def test_the_model_is_named(port, folder):
    (info,) = [name for name in counted(port) if name.startswith("stars_model_info")]
    labels = dict(re.findall(r'(\w+)="([^"]*)"', info))
    told = json.loads(get(port, "/info")[1])
    assert labels == {
        name: told[name] for name in ("model_id", "model_sha256", "precision", "commit")
    }


def test_a_commit_that_is_not_known_has_an_empty_label(folder):
    make_app(load_classifier(folder, precision="fp32"), {"commit": None}, 8, 8)
    assert 'commit=""' in generate_latest().decode()


def test_no_client_makes_a_series(port):
    get(port, "/nonsense")
    ask(port, "BREW", "/predict")
    before = set(counted(port))
    for number in range(20):
        ask(port, f"BREW{number}", f"/predict?a={number}")
        get(port, f"/nonsense/{number}", **{"X-Request-ID": f"{number}", "User-Agent": f"{number}"})
    assert set(counted(port)) == before


ID = "Root-1.a_b"


@pytest.mark.parametrize("given", [ID, "x" * 64])
def test_an_id_that_is_well_formed_is_returned(port, given):
    for path, host in (("/health", "localhost"), ("/x", "localhost"), ("/health", "evil.example")):
        assert answered_id(port, path, {"X-Request-ID": given, "Host": host}) == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "é", 'a"b', "a;b", "<b>"])
def test_any_other_id_is_replaced(port, given):
    first, second = (answered_id(port, "/health", {"X-Request-ID": given}) for _ in range(2))
    assert first != second
    assert re.fullmatch("[0-9a-f]{32}", first)


def answered_id(port, path, headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    (number,) = answer.headers.get_all("X-Request-ID")
    connection.close()
    return number


@pytest.mark.thorough
def test_a_line_for_each_request_has_no_text_and_no_token(folder):
    with serving(folder, "--access-log", before=WITH_TOKEN) as (server, port):
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        body = json.dumps({"inputs": [SECRET, "fine"]})
        assert ask(port, "POST", f"/classify?{SECRET.replace(' ', '+')}", body, headers)[0] == 200
        bad = {**headers, "Authorization": f"Bearer {TOKEN}x", "X-Request-ID": ID}
        assert ask(port, "POST", "/classify", body, bad)[0] == 401
        assert ask(
            port, "POST", "/csv", f"text\n{SECRET}\n", headers | {"Content-Type": "text/csv"}
        )
        assert ask(port, "POST", "/predict", f'{{"{SECRET}": 1}}', headers)[0] == 422
        assert get(port, f"/{TOKEN}")[0] == 404
        server.terminate()
        printed = server.communicate(timeout=60)[0]
    assert not [word for word in (SECRET, SECRET.split()[1], TOKEN) if word in printed]
    lines = [json.loads(line) for line in printed.splitlines()]
    names = ("method", "route", "status", "texts")
    assert [tuple(line[name] for name in names) for line in lines] == [
        ("POST", "/classify", 200, 2),
        ("POST", "/classify", 401, 0),
        ("POST", "/csv", 200, 1),
        ("POST", "/predict", 422, 0),
        ("GET", "other", 404, 0),
    ]
    assert lines[1]["id"] == ID
    assert all(
        re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}\+00:00", line["time"]) for line in lines
    )
    assert all(0 < line["ms"] < 60_000 for line in lines)
    assert lines[0].keys() == {"time", "id", "method", "route", "status", "ms", "texts"}


@pytest.mark.thorough
def test_a_log_that_nobody_reads_stops_nothing(folder):
    with serving(folder, "--access-log") as (server, port):
        server.stdout.close()
        for _ in range(3):
            assert post(port, {"inputs": "good"})[0] == 200


def test_a_request_that_never_arrives_is_in_progress_and_then_not(port):
    before, name = counted(port), "stars_requests_in_progress"
    connection = connect(port, head("Content-Length: 500") + b'{"inputs": "good"}')
    for number, end in ((1, connection.close), (0, bool)):
        deadline = time.monotonic() + DEADLINE
        while counted(port)[name] - before[name] != number:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        end()
    added = counted(port) - before
    assert (added[requests("/predict", 499)], added["stars_texts_total"]) == (1, 0)
