"""Where it listens, to whom it answers, and below which path."""

import http.client
import json
import re
import threading
import time

import pytest
from helpers import DEADLINE, stars
from serving import ask, get
from starlette.responses import PlainTextResponse

from yelp_stars import load_classifier
from yelp_stars.commands.serve.server import make_app, run
from yelp_stars.pipeline.errors import UserError

pytestmark = pytest.mark.slow
FOREIGN = ("evil.example", "127.0.0.1.evil.example", "localhost.evil:80", "10.0.0.1", "", "a b")


def listen(capsys, app, host, root_path=""):
    """Run an application in a thread; returns the address that was printed."""
    arguments = (app, host, 0, 1000, root_path)
    threading.Thread(target=run, args=arguments, daemon=True).start()
    deadline = time.monotonic() + DEADLINE
    while not (found := re.fullmatch(r"http://(.*):(\d+)\n", capsys.readouterr().out)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found[1], int(found[2])


def status(address, port, host):
    connection = http.client.HTTPConnection(address, port, timeout=DEADLINE)
    connection.request("GET", "/", headers={"Host": host})
    return connection.getresponse().status


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8000"])
def test_names_of_this_machine_are_answered(port, host):
    assert get(port, "/info", Host=host)[0] == 200


@pytest.mark.parametrize("host", FOREIGN)
def test_a_name_that_an_attacker_may_have_is_not_answered(port, host):
    for path in ("/info", "/health", "/", "/docs"):
        assert get(port, path, Host=host)[0] == 400
    kind = {"Content-Type": "application/json", "Host": host}
    for path in ("/classify", "/predict", "/"):
        assert ask(port, "POST", path, '{"inputs": "x"}', kind)[0] == 400


@pytest.mark.parametrize(
    ("host", "shown", "address", "foreign"),
    [
        ("127.0.0.2", "127.0.0.2", "127.0.0.2", 400),
        ("::1", "[::1]", "::1", 400),
        ("[::1]", "[::1]", "::1", 400),
        ("localhost", "localhost", "localhost", 400),
        ("0.0.0.0", "0.0.0.0", "127.0.0.1", 200),
        ("::", "[::]", "127.0.0.1", 200),
    ],
)
def test_its_own_host_is_answered_and_any_on_all_addresses(capsys, host, shown, address, foreign):
    printed, port = listen(capsys, PlainTextResponse("ok"), host)
    assert printed == shown
    assert status(address, port, f"{shown}:{port}") == status(address, port, "localhost") == 200
    assert status(address, port, "stars.example") == foreign


@pytest.mark.parametrize(
    "host",
    ["no.such.host.invalid", "300.1.1.1", "http://127.0.0.1", "a" * 300, "a\x1b[31m", "192.0.2.1"],
)
def test_an_address_that_is_not_here_is_one_line_about_the_host(host):
    with pytest.raises(UserError) as caught:
        run(PlainTextResponse("ok"), host, 0, 1000, "")
    assert caught.value.advice == "choose another --host"
    assert "\x1b" not in str(caught.value)


def test_a_taken_port_is_one_line(port, folder):
    message = stars("serve", "--model", str(folder), "--port", str(port))
    assert message.startswith(f"error: cannot listen on '127.0.0.1', port {port} (")
    assert message.endswith("); choose another --port")


def test_a_folder_without_a_model_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert stars("serve", "--host", "") == 2
    message = stars("serve")
    assert message.startswith("error: no folder 'models/finetuned'; run `dvc repro`")


@pytest.mark.parametrize(
    "path", ["stars", "/stars/", "/", "//", "/a b", "/é", '/"><script>', "/a?b"]
)
def test_a_root_path_that_is_none_is_refused(path):
    assert stars("serve", "--root-path", path) == 2


def test_below_a_path_of_a_proxy_every_address_is_below_it(capsys, folder):
    app = make_app(load_classifier(folder, precision="fp32"), {}, 8, 8)
    _, port = listen(capsys, app, "127.0.0.1", "/stars")
    page, docs = get(port, "/")[1], get(port, "/docs")[1]
    assert not re.findall(r"""(?:src|href|fetch\()\s*=?\s*["']/""", page)
    addresses = re.findall(r"""(?:src=|href=|url: )["']([^"']+)""", docs)
    assert len(addresses) == 4
    for address in addresses:
        assert address.startswith("/stars/")
        assert get(port, address.removeprefix("/stars"), "HEAD")[0] == 200  # as the proxy asks
    assert json.loads(get(port, "/openapi.json")[1])["servers"] == [{"url": "/stars"}]
