"""Where it listens, to whom it answers, and below which path."""

import contextlib
import http.client
import io
import json
import re
import threading
import time
import tomllib

import pytest
from helpers import DEADLINE, ROOT, stars
from serving import ask, get
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from yelp_stars import load_classifier
from yelp_stars.commands.serve.server import make_app, run
from yelp_stars.pipeline.errors import UserError

pytestmark = pytest.mark.slow
OK = Starlette(routes=[Route("/", lambda request: PlainTextResponse("ok"))])
FOREIGN = ("evil.example", "127.0.0.1.evil.example", "localhost.evil:80", "10.0.0.1", "", "a b")


def listen(app, host, root_path=""):
    """Run an application in a thread; returns the address that was printed."""
    arguments = (app, host, 0, 1000, root_path, False)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        threading.Thread(target=run, args=arguments, daemon=True).start()
        deadline = time.monotonic() + DEADLINE
        while not (found := re.fullmatch(r"http://(.*):(\d+)\n", out.getvalue())):
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
def test_its_own_host_is_answered_and_any_on_all_addresses(host, shown, address, foreign):
    printed, port = listen(OK, host)
    assert printed == shown
    assert status(address, port, f"{shown}:{port}") == status(address, port, "localhost") == 200
    assert status(address, port, "stars.example") == foreign


@pytest.mark.parametrize(
    "host",
    ["no.such.host.invalid", "300.1.1.1", "http://127.0.0.1", "a" * 300, "a\x1b[31m", "192.0.2.1"],
)
def test_an_address_that_is_not_here_is_one_line_about_the_host(host):
    with pytest.raises(UserError) as caught:
        run(OK, host, 0, 1000, "", False)
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


def test_its_packages_are_named_where_they_may_be_missing():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    names = [re.match(r"[\w-]+", one)[0] for one in project["optional-dependencies"]["serve"]]
    for file in ("docs/using-the-model.md", "yelp_stars/commands/serve/command.py"):
        assert f"pip install {' '.join(names)}" in (ROOT / file).read_text("utf-8")


@pytest.mark.parametrize(
    "path", ["stars", "/stars/", "/", "//", "/a b", "/é", '/"><script>', "/a?b"]
)
def test_a_root_path_that_is_none_is_refused(path):
    assert stars("serve", "--root-path", path) == 2


def test_below_a_path_of_a_proxy_every_address_is_below_it(folder):
    app = make_app(load_classifier(folder, precision="fp32"), {}, 8, 8)
    _, port = listen(app, "127.0.0.1", "/stars")
    page, docs = get(port, "/")[1], get(port, "/docs")[1]
    assert not re.findall(r"""(?:src|href|fetch\()\s*=?\s*["']/""", page)
    addresses = re.findall(r"""(?:src=|href=|url: )["']([^"']+)""", docs)
    assert len(addresses) == 4
    for address in addresses:
        assert address.startswith("/stars/")
        assert get(port, address.removeprefix("/stars"), "HEAD")[0] == 200  # as the proxy asks
    assert json.loads(get(port, "/openapi.json")[1])["servers"] == [{"url": "/stars"}]


# --- The token, and pages of other origins --------------------------------------------------------

TOKEN = "0123456789abcdef.~+/-_="
ORIGIN = "https://example.org"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def guarded(folder):
    """A server with a token that lets one origin in: its application and its port."""
    app = make_app(load_classifier(folder, precision="fp32"), {}, 8, 8, TOKEN, [ORIGIN])
    return app, listen(app, "127.0.0.1")[1]


def answered(port, method, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    connection.request(method, path, '{"inputs": "good"}', headers)
    answer = connection.getresponse()
    answer.read()
    return answer


WRONG = ["", "Bearer", "Bearer ", "Bearer é", "Bearer " + "x" * 5000, TOKEN, f"Basic {TOKEN}"]
WRONG += [f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x"]


@pytest.mark.parametrize("given", WRONG)
def test_without_the_token_nothing_is_told_about_the_model_or_its_use(guarded, given):
    app, port = guarded
    open_to_all = {"/", "/health", "/docs", "/docs/oauth2-redirect", "/openapi.json"}
    headers = {"Authorization": given.encode("latin-1"), **JSON} if given else JSON
    routes = [
        (route.path, method) for route in app.routes for method in getattr(route, "methods", ())
    ]
    assert {"/csv", "/predict", "/classify", "/info", "/metrics"} <= {path for path, _ in routes}
    for path, method in routes:
        answer = answered(port, method, path, **headers)
        if method != "POST" and path in open_to_all:
            assert answer.status == 200, path
        else:
            assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer"), path


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_with_the_token_it_answers(guarded, scheme):
    _, port = guarded
    headers = {"Authorization": f"{scheme} {TOKEN}", **JSON}
    for path in ("/predict", "/classify", "/"):
        assert answered(port, "POST", path, **headers).status == 200
    assert answered(port, "GET", "/metrics", **headers).status == 200
    assert "HTTPBearer" in get(port, "/openapi.json")[1]  # /docs asks for it


@pytest.mark.parametrize("token", ["", " ", "a b", "é", "a\nb", '"a"'])
def test_a_token_that_no_header_can_hold_is_refused_and_not_shown(monkeypatch, token):
    monkeypatch.setenv("STARS_TOKEN", token)
    message = stars("serve")
    assert message == (
        "error: STARS_TOKEN is empty, or has other characters than letters, digits and -._~+/=; "
        "set it to the output of `openssl rand -hex 32`"
    )


def preflight(port, origin):
    asking = {"Access-Control-Request-Method": "POST"}
    asking["Access-Control-Request-Headers"] = "authorization,content-type"
    return answered(port, "OPTIONS", "/predict", Origin=origin, **asking)


def test_pages_of_an_origin_that_is_let_in_may_ask(guarded):
    _, port = guarded
    assert preflight(port, ORIGIN).status == 200
    for token, status in ((TOKEN, 200), ("x", 401)):
        headers = {"Authorization": f"Bearer {token}", "Origin": ORIGIN, **JSON}
        answer = answered(port, "POST", "/predict", **headers)
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (status, ORIGIN)
        assert answer.headers["Vary"] == "Origin"
        assert answer.headers["Access-Control-Expose-Headers"] == "X-Request-ID"


@pytest.mark.parametrize(
    "origin", ["https://example.org.evil.example", "http://example.org", "null"]
)
def test_pages_of_no_other_origin_may(guarded, port, origin):
    for server in (guarded[1], port):
        assert preflight(server, origin).status in (400, 405)
        answer = answered(server, "POST", "/predict", Origin=origin, **JSON)
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["*", "null", "", "example.org", "https://example.org/", "https://*.example.org",
               "https://EXAMPLE.org", "https://a,https://b", "file:///a", "https://a\n"]
)  # fmt: skip
def test_an_origin_that_is_none_is_refused(origin):
    assert stars("serve", "--cors-origin", origin) == 2


# --- The report -----------------------------------------------------------------------------------


def test_a_report_is_there_only_if_it_is_named_and_not_with_a_token(port, monkeypatch, tmp_path):
    assert get(port, "/report")[0] == 404
    assert "hidden href" in get(port, "/")[1]
    monkeypatch.setenv("STARS_TOKEN", TOKEN)
    report = tmp_path / "report.html"
    report.write_text("report")
    assert stars("serve", "--report", str(report)) == 2


@pytest.mark.parametrize(("name", "problem"), [("no.html", "not exist"), (".", "is a directory")])
def test_a_report_that_is_no_file_is_a_usage_error(capsys, tmp_path, name, problem):
    assert stars("serve", "--report", str(tmp_path / name)) == 2
    assert problem in " ".join(capsys.readouterr().err.split())
