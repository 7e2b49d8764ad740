"""A page in headless Chromium: what it requests, what its console says, what its scripts see."""

import asyncio
import itertools
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
DEADLINE = 60  # seconds

needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="no Chromium here")


class Seen(NamedTuple):
    """What a page did after it was loaded."""

    results: list[Any]
    """Of each expression."""
    requests: list[str]
    """The URL of each request, that of the page itself first."""
    console: list[str]
    """Messages, errors and violations of the Content-Security-Policy."""


def visit(url: str, *expressions: str, width: int = 1280, dark: bool = False) -> Seen:
    """Load a page in a window of this width, and evaluate JavaScript in it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = subprocess.Popen(
            [
                CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
                "--disable-dev-shm-usage", "--remote-debugging-port=0",
                f"--user-data-dir={profile}", "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            return asyncio.run(_visit(Path(profile), url, expressions, width, dark))
        finally:
            browser.kill()
            browser.wait()


async def _visit(
    profile: Path, url: str, expressions: tuple[str, ...], width: int, dark: bool
) -> Seen:
    port = profile / "DevToolsActivePort"
    started = time.monotonic()
    while not (port.is_file() and port.read_text().count("\n")):
        assert time.monotonic() - started < DEADLINE, "Chromium does not start"
        await asyncio.sleep(0.05)
    host = f"http://127.0.0.1:{port.read_text().split()[0]}"
    timeout = aiohttp.ClientTimeout(DEADLINE)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        async with session.get(f"{host}/json/list") as answer:
            page = next(one for one in await answer.json() if one["type"] == "page")
        async with session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            numbers, events = itertools.count(), list[dict[str, Any]]()

            async def receive() -> dict[str, Any]:
                message: dict[str, Any] = json.loads((await socket.receive()).data)
                events.append(message)
                return message

            async def call(method: str, **params: Any) -> dict[str, Any]:
                number = next(numbers)
                await socket.send_json({"id": number, "method": method, "params": params})
                while True:
                    message = await receive()
                    if message.get("id") == number:
                        assert "error" not in message, message
                        return message["result"]

            async def script(expression: str) -> Any:
                found = await call(
                    "Runtime.evaluate",
                    expression=expression, returnByValue=True, awaitPromise=True,
                )  # fmt: skip
                assert "exceptionDetails" not in found, found
                return found["result"].get("value")

            for domain in ("Page", "Runtime", "Log", "Network"):
                await call(f"{domain}.enable")
            size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
            await call("Emulation.setDeviceMetricsOverride", **size)
            scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
            await call("Emulation.setEmulatedMedia", features=[scheme])
            events.clear()
            await call("Page.navigate", url=url)
            while not any(event.get("method") == "Page.loadEventFired" for event in events):
                await receive()
            results = [await script(expression) for expression in expressions]
            await script("new Promise(done => setTimeout(done, 300))")  # for late requests
    return Seen(results, [*_requests(events)], [*_console(events)])


def _requests(events: list[dict[str, Any]]):
    for event in events:
        if event.get("method") == "Network.requestWillBeSent":
            url = event["params"]["request"]["url"]
            if not url.startswith("data:"):  # a picture in the page itself
                yield url


def _console(events: list[dict[str, Any]]):
    for event in events:
        method, params = event.get("method"), event.get("params", {})
        if method == "Runtime.consoleAPICalled":
            yield str([argument.get("value") for argument in params["args"]])
        elif method == "Runtime.exceptionThrown":
            yield str(params["exceptionDetails"])
        elif method == "Log.entryAdded":
            yield params["entry"]["text"]
