"""What an operator sees of a request: its id, counters for Prometheus, a JSON line in the log."""

import contextlib
import datetime
import json
import re
import time
import uuid
from collections.abc import Collection

from prometheus_client import Counter, Gauge, Histogram, Info
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)  # seconds
# No client chooses the value of a label: each value is a series of its own.
REQUESTS = Counter("stars_requests", "Requests answered", ["route", "status"])
TEXTS = Counter("stars_texts", "Texts predicted")
SECONDS = Histogram("stars_request_seconds", "Duration of a request", ["route"], buckets=BUCKETS)
IN_PROGRESS = Gauge("stars_requests_in_progress", "Requests that arrive or are being answered")
MODEL = Info("stars_model", "The model that answers")


def observed(app: ASGIApp, routes: Collection[str], access_log: bool) -> ASGIApp:
    """Give each request of `app` an id, count it by its route, print a line about it if wanted.

    The line has no text, query, header or address of a client.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        started, status = time.perf_counter(), 500
        given = Headers(scope=scope).get("x-request-id", "")
        number = given if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", given) else uuid.uuid4().hex
        route = scope["path"].removeprefix(scope["root_path"])
        route = route if route in routes else "other"

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = number
            await send(message)

        try:
            with IN_PROGRESS.track_inprogress():
                await app(scope, receive, named)
        finally:
            seconds, texts = time.perf_counter() - started, scope["state"].get("texts", 0)
            REQUESTS.labels(route, str(status)).inc()
            SECONDS.labels(route).observe(seconds)
            TEXTS.inc(texts)
            now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
            line = {"time": now, "id": number, "method": scope["method"][:20], "route": route}
            line |= {"status": status, "ms": round(1000 * seconds, 1), "texts": texts}
            with contextlib.suppress(OSError):  # a full disk, or nobody reads it any more
                if access_log:
                    print(json.dumps(line), flush=True)

    return answer
