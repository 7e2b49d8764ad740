"""Servers on loopback that hold a DVC remote, and a connection that can be cut or stalled."""

import contextlib
import functools
import getpass
import http.server
import logging
import os
import shutil
import socket
import socketserver
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from helpers import DEADLINE


class Server(NamedTuple):
    """A server that holds a remote: its address, and the settings that DVC needs for it."""

    port: int
    url: str
    """With {port} in the place of the port."""
    settings: tuple[tuple[str, str], ...]

    def at(self, port: int) -> tuple[str, tuple[tuple[str, str], ...]]:
        """The url and the settings with another port, that of a `Line` to it."""
        filled = tuple((name, value.format(port=port)) for name, value in self.settings)
        return self.url.format(port=port), filled


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            assert time.monotonic() < deadline, "the server does not listen"
            time.sleep(0.05)


@contextlib.contextmanager
def ssh(folder: Path) -> Iterator[Server]:
    """OpenSSH's server, with keys of its own."""
    program = shutil.which("sshd", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    if program is None:
        pytest.skip("no OpenSSH server here; Debian's package is openssh-server")
    pytest.importorskip("dvc_ssh")
    folder.mkdir()
    for key in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
        subprocess.run(command, check=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where it drops its privileges
    port = free_port()
    lines = (
        f"ListenAddress 127.0.0.1:{port}",
        f"HostKey {folder / 'host'}",
        f"AuthorizedKeysFile {folder / 'user.pub'}",
        f"PidFile {folder / 'pid'}",
        "StrictModes no",
        "UsePAM no",
        "PasswordAuthentication no",
        "PermitRootLogin prohibit-password",
        "Subsystem sftp internal-sftp",
    )
    (folder / "config").write_text("\n".join(lines))
    process = subprocess.Popen([program, "-D", "-f", str(folder / "config")])
    try:
        wait_for(port)
        url = f"ssh://{getpass.getuser()}@127.0.0.1:{{port}}{folder / 'store'}"
        yield Server(port, url, (("keyfile", str(folder / "user")), ("allow_agent", "false")))
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def s3() -> Iterator[Server]:
    """Moto's server, with an empty bucket; AWS's variables are to hold any key."""
    pytest.importorskip("dvc_s3")
    pytest.importorskip("flask")
    moto = pytest.importorskip("moto.server")
    boto3 = pytest.importorskip("boto3")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        # It keeps the objects of earlier servers in this process.
        urllib.request.urlopen(f"{endpoint}/moto-api/reset", data=b"").close()
        boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(
            Bucket="bucket"
        )
        settings = (("endpointurl", "http://127.0.0.1:{port}"), ("region", "us-east-1"))
        yield Server(port, "s3://bucket/store", settings)
    finally:
        server.stop()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: Any, fault: int | str | None, **others: Any) -> None:
        self.fault = fault
        super().__init__(*arguments, **others)

    def do_GET(self) -> None:
        if isinstance(self.fault, int):
            self.send_error(self.fault)
        elif self.fault == "cut":
            self.do_HEAD()
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            super().do_GET()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextlib.contextmanager
def read_only_http(folder: Path, fault: int | str | None = None) -> Iterator[Server]:
    """Python's own server of a folder's files; with a fault, it says what it has, and fails."""
    handler = functools.partial(_Quiet, directory=str(folder), fault=fault)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Server(server.server_port, "http://127.0.0.1:{port}", ())
        server.shutdown()


class Line(socketserver.ThreadingTCPServer):
    """A connection to a server on another port, which after `most` bytes stalls, or is cut."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, target: int, most: int, cut: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.target, self.most, self.cut = target, most, cut
        self.carried = 0
        self.reached = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Connection(socketserver.BaseRequestHandler):
    server: Line

    def handle(self) -> None:
        if self.server.cut and self.server.reached.is_set():
            return
        with socket.create_connection(("127.0.0.1", self.server.target)) as there:
            for end in (self.request, there):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=self._carry, args=(there, self.request), daemon=True)
            back.start()
            self._carry(self.request, there)
            back.join()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self.server.carried > self.server.most:
                    self.server.reached.set()
                    if self.server.cut:
                        break
                    time.sleep(DEADLINE)
                self.server.carried += len(data)
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
