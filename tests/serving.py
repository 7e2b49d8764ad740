"""Start `stars serve` on a free port, and ask it."""

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
from typing import Any

MAIN = "from yelp_stars.cli import main; main()"


def start(folder: Any, *options: str, before: str = "pass") -> Any:
    """Start a server, after some Python; returns the process and its port."""
    command = ("serve", "--model", str(folder), "--port", "0", "--precision", "fp32", *options)
    server = subprocess.Popen(
        [sys.executable, "-c", f"{before}; {MAIN}", *command],
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


@contextlib.contextmanager
def serving(folder: Any, *options: str, **others: Any) -> Any:
    """Start a server for a while; yields the process and its port."""
    server, port = start(folder, *options, **others)
    try:
        yield server, port
    finally:
        server.kill()
        server.wait()


def ask(port: int, *request: Any, **options: Any) -> tuple[int, str]:
    """The status and the content of the answer to a request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request(*request, **options)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def post(port: int, body: Any, path: str = "/predict") -> tuple[int, Any]:
    """The status and the JSON of the answer to JSON, or to bytes that are said to be JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body)
    status, content = ask(port, "POST", path, data, {"Content-Type": "application/json"})
    return status, json.loads(content)


def get(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    """The status and the content of the answer to a request without a body."""
    return ask(port, method, path, headers=headers)


def connect(port: int, sent: bytes = b"") -> socket.socket:
    """A connection that has sent some bytes."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.sendall(sent)
    return connection


def head(*lines: str, path: str = "/predict", host: str = "localhost") -> bytes:
    """The head of a POST."""
    kind = "Content-Type: application/json"
    return "\r\n".join([f"POST {path} HTTP/1.1", f"Host: {host}", kind, *lines, "", ""]).encode()
