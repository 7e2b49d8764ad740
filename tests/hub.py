"""A Hugging Face Hub on loopback: just the requests that our stages make."""

import contextlib
import hashlib
import http.server
import json
import re
import threading
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from huggingface_hub import constants

REVISION = "c1f9ee939b7d05667af864ee1cb066393154bf85"


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.files`: "datasets/owner/name" or "models/owner/name" -> {path: bytes}."""

    protocol_version = "HTTP/1.1"
    server: "Hub"

    def do_GET(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        if self.is_refused(url.path):
            return
        if parts[0] == "api" and len(parts) >= 4:
            self.api("/".join(parts[1:4]), parts[4:])
            return
        kind = "datasets" if parts[0] == "datasets" else "models"
        rest = parts[1:] if kind == "datasets" else parts
        repo, name = "/".join([kind, *rest[:2]]), "/".join(rest[4:])
        content = self.server.files.get(repo, {}).get(name)
        if content is None or len(rest) < 5 or rest[3] != self.server.revision:
            self.answer(404, b"{}", {"X-Error-Code": "EntryNotFound"})
            return
        headers = {
            "ETag": f'"{hashlib.sha1(content).hexdigest()}"',
            "X-Repo-Commit": self.server.revision,
            "Accept-Ranges": "bytes",
        }
        if self.server.cdn is not None:
            headers["X-Linked-Etag"], headers["X-Linked-Size"] = headers["ETag"], str(len(content))
            self.answer(302, b"", {**headers, "Location": f"{self.server.cdn.address}{self.path}"})
            return
        wanted = self.headers.get("Range")
        if wanted and wanted.startswith("bytes="):
            first, last = wanted.removeprefix("bytes=").split("-")
            start, stop = int(first), min(int(last or len(content)), len(content) - 1) + 1
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
            self.answer(206, content[start:stop], headers)
        else:
            self.answer(200, content, headers)

    do_HEAD = do_GET

    def is_refused(self, path: str) -> bool:
        """Note a request, and answer it if it is one to refuse."""
        self.server.requests.append(Request(self.command, path, dict(self.headers.items())))
        if path.startswith("/api/agent-harnesses"):  # the client's own, without a token
            self.answer(404, b"{}", {})
        elif self.server.failures and re.search(self.server.failing, f"{self.command} {path}"):
            self.server.failures -= 1
            self.answer(self.server.status, b"{}", self.server.error)
        elif (
            self.server.token
            and not path.startswith("/storage/")
            and self.headers.get("Authorization") != f"Bearer {self.server.token}"
        ):
            self.answer(401, b"{}", {"X-Error-Code": "RepoNotFound"})
        else:
            return False
        return True

    def api(self, repo: str, rest: list[str]) -> None:
        files = self.server.files.get(repo)
        if files is None:
            self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif len(rest) > 1 and rest[1] != self.server.revision:
            self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        elif rest[:1] == ["tree"]:
            folder = "/".join(rest[2:])
            self.json(
                [entry(name, data) for name, data in files.items() if name.startswith(folder)]
            )
        else:
            self.json(
                {
                    "id": repo.split("/", 1)[1],
                    "sha": self.server.revision,
                    "siblings": [{"rfilename": name} for name in files],
                    "tags": [],
                    "private": False,
                    "downloads": 0,
                    "likes": 0,
                }
            )

    def json(self, value: object) -> None:
        self.answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        if not status:  # the connection is cut
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            if len(body) > self.server.cut > 0 and self.server.cuts:
                self.server.cuts -= 1
                self.wfile.write(body[: self.server.cut])
                self.wfile.flush()
                time.sleep(self.server.stalls)
                self.close_connection = True
                return
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def entry(name: str, content: bytes) -> dict[str, object]:
    return {
        "type": "file",
        "path": name,
        "size": len(content),
        "oid": hashlib.sha1(content).hexdigest(),
    }


class Request(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]


class Hub(http.server.ThreadingHTTPServer):
    """A server whose attributes say what it has, and what is wrong with it."""

    daemon_threads = True
    handler = Handler

    def __init__(self, revision: str) -> None:
        super().__init__(("127.0.0.1", 0), self.handler)
        self.revision = revision
        self.files: dict[str, dict[str, bytes]] = {}
        self.requests: list[Request] = []
        self.token = ""  # required of every request
        self.failures = 0  # so many requests for paths that match `failing` get `status`
        self.failing, self.status, self.error = "", 503, dict[str, str]()
        self.cuts = 0  # so many bodies end after `cut` bytes, and `stalls` seconds
        self.cut, self.stalls = 0, 0.0
        self.cdn: Hub | None = None  # where files really are
        self.address = f"http://127.0.0.1:{self.server_port}"

    def add_folder(self, repo: str, folder: Path) -> None:
        self.files[repo] = {path.name: path.read_bytes() for path in folder.iterdir()}


@contextlib.contextmanager
def serving(revision: str, kind: type[Hub] = Hub) -> Iterator[Any]:
    hub = kind(revision)
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()


def online(hub: Hub, cache: Path) -> dict[str, str]:
    """The environment of a stage that uses this Hub and an empty cache."""
    return {
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(cache),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "USE_TORCH": "0",  # datasets imports it for a stream
    }


def connect(patch: pytest.MonkeyPatch, hub: Hub, cache: Path) -> None:
    """Let the client in this process use this Hub and a cache of its own."""
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    patch.setattr(constants, "HF_HUB_CACHE", str(cache))
    patch.setattr(constants, "ENDPOINT", hub.address)
    template = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
