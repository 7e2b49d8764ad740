"""Requests that arrive slowly, half, too large or too many close the server for nobody else."""

import contextlib
import json
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers import DEADLINE, soak
from serving import ask, connect, get, head, post, serving

pytestmark = pytest.mark.slow

SHORT = (
    "from yelp_stars.commands.serve import arriving; arriving.LOOK_SECONDS = 1; "
    "arriving.KEEP_SECONDS = 8; arriving.KEPT = 20; arriving.KEEP_SECONDS_BEYOND = 1"
)
HELD = {
    "nothing": b"",
    "half a line": b"GET /hea",
    "half the headers": b"GET /health HTTP/1.1\r\nHost: localhost\r\nA: ",
    "half a body": head("Content-Length: 500") + b'{"inputs": ',
    "half a chunk": head("Transfer-Encoding: chunked") + b"10\r\nabc",
    "one request, and idle": b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "one request, half the next": b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET",
}


@pytest.fixture(scope="module")
def hurried(folder):
    """A server that waits for a request for one to two seconds, and computes one at a time."""
    options = ("--max-requests", "1", "--max-texts", "3000", "--max-body", "900000")
    with serving(folder, *options, before=SHORT) as (_, port):
        yield port


def is_closed(connection):
    connection.settimeout(DEADLINE)
    with contextlib.suppress(ConnectionError):
        while connection.recv(1000):
            pass
    return True


def test_connections_that_send_nothing_or_half_leave_room_and_are_closed(hurried):
    held = [connect(hurried, sent) for sent in HELD.values() for _ in range(43)]
    assert len(held) > 256
    assert get(hurried, "/health")[0] == post(hurried, {"inputs": "good"})[0] == 200
    assert all(map(is_closed, held))
    assert get(hurried, "/health")[0] == 200


def test_a_connection_stays_open_after_an_answer_unless_there_are_many(hurried):
    kept = [connect(hurried, HELD["one request, and idle"]) for _ in range(40)]
    assert all(connection.recv(1000).startswith(b"HTTP/1.1 200 ") for connection in kept)
    time.sleep(4)  # longer than a request may take to arrive, and than those beyond are kept
    open_now = []
    for connection in kept:
        connection.setblocking(False)
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while connection.recv(1000):
                pass
            continue  # closed
        open_now.append(connection)
    assert 1 <= len(open_now) <= 20
    open_now[0].setblocking(True)
    open_now[0].sendall(HELD["one request, and idle"])
    assert open_now[0].recv(1000).startswith(b"HTTP/1.1 200 ")
    assert all(map(is_closed, kept))


@pytest.mark.parametrize("name", ["half the headers", "half a body"])
def test_to_send_slowly_does_not_hold_a_connection(hurried, name):
    connection = connect(hurried, HELD[name])
    started = time.monotonic()
    with contextlib.suppress(ConnectionError):
        while time.monotonic() < started + DEADLINE:
            connection.sendall(b" ")
            time.sleep(0.05)
    assert time.monotonic() < started + DEADLINE


@pytest.mark.parametrize("is_reading", [True, False])
def test_a_client_that_does_not_read_is_closed_and_a_slow_one_is_not(hurried, is_reading):
    """The answers have more bytes than the buffers of both systems."""
    path = re.search(r'src="(/[^"]*bundle.js)"', get(hurried, "/docs")[1])[1]
    size, connection = len(get(hurried, path)[1].encode()), connect(hurried)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 30)
    got, started = 0, time.monotonic()
    while time.monotonic() < started + 4:
        time.sleep(0.2)
        got += len(connection.recv(2**21)) if is_reading else 0
    connection.settimeout(3)
    with contextlib.suppress(ConnectionError, TimeoutError):
        while part := connection.recv(2**21):
            got += len(part)
    assert (got > 30 * size) == is_reading


def test_a_request_in_parts_is_answered(hurried):
    connection = connect(hurried)
    body = b'{"inputs": "good"}'
    for part in (head(f"Content-Length: {len(body)}"), body[:5], body[5:]):
        connection.sendall(part)
        time.sleep(0.3)
    assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_beyond_the_limit_of_requests_is_503_and_health_answers(hurried):
    long = {"inputs": ["a review of some words " * 9] * 3000}
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(post, hurried, long)
        time.sleep(0.3)
        answer = post(hurried, {"inputs": "good"})
        assert answer == (503, {"detail": "1 requests are in progress"})
        assert get(hurried, "/health")[0] == 200
        assert not asked.done()
        assert asked.result(DEADLINE)[0] == 200  # though it took longer than one may take to arrive
    assert post(hurried, {"inputs": "good"})[0] == 200


@pytest.mark.parametrize("path", ["/predict", "/", "/nonsense", "/health"])
def test_a_body_above_the_limit_is_refused_also_if_its_length_is_not_declared(port, path):
    chunks = (b"x" * 1000 for _ in range(100))
    headers = {"Transfer-Encoding": "chunked"}
    assert ask(port, "POST", path, chunks, headers, encode_chunked=True)[0] == 413
    assert ask(port, "POST", path, b"x" * 150_000)[0] == 413
    message = {"detail": "the body has more than 20000 bytes"}
    assert json.loads(ask(port, "POST", path, b"x" * 20_001)[1]) == message


@pytest.mark.parametrize("path", ["/predict", "/nonsense"])
@pytest.mark.parametrize("host", ["localhost", "evil.example"])
def test_a_body_without_an_end_is_cut(port, path, host):
    connection = connect(port, head("Transfer-Encoding: chunked", path=path, host=host))
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < 100_000_000:
            connection.sendall(b"1000\r\n" + b"a" * 4096 + b"\r\n")
            sent += 4096
    assert sent < 20_000_000  # read are ten times 20,000; the rest is in the system's buffers
    assert get(port, "/health")[0] == 200


def test_a_refusal_closes_only_what_has_not_arrived(port):
    for length, closes in ((20_001, False), (1_000_000, True)):
        connection = connect(port, head(f"Content-Length: {length}") + b"x" * min(length, 250_000))
        answer = connection.recv(1000).lower()
        assert answer.startswith(b"http/1.1 413 ")
        assert (b"connection: close" in answer) == closes
        if closes:
            assert is_closed(connection)


@pytest.mark.thorough
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=soak)])
def test_a_signal_lets_requests_end_and_stops(folder, number):
    with (
        serving(folder, "--max-texts", "3000", "--max-body", "9000000") as (server, port),
        ThreadPoolExecutor(1) as pool,
    ):
        asked = pool.submit(post, port, {"inputs": ["a review of some words " * 9] * 3000})
        time.sleep(1)
        server.send_signal(number)
        status, content = asked.result(60)
        assert (status, len(content)) == (200, 3000)
        output = server.communicate(timeout=60)[0]
    assert server.returncode in (0, -number, 128 + number)
    assert "Traceback" not in output
