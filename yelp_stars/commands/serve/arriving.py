"""Bound the time and the size of a request that arrives."""

from typing import Any

import h11
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

# How long a request may take to arrive, and a client pause while it reads; at most twice as long.
LOOK_SECONDS = 15.0
# How long a connection stays open after an answer. A proxy must be the first to close it, or it
# sends a request into a closed connection: nginx and AWS keep theirs for 60 s, Google for 600.
KEEP_SECONDS = 620
KEPT, KEEP_SECONDS_BEYOND = 256, 5  # connections, and for how long those after them stay open


class Connection(H11Protocol):
    """A connection that is closed when its client stalls; uvicorn itself waits forever."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        is_crowded = len(self.connections) > KEPT
        self.timeout_keep_alive = KEEP_SECONDS_BEYOND if is_crowded else KEEP_SECONDS
        self._look(None)

    def _look(self, before: Any) -> None:
        is_waiting = self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        is_kept = self.timeout_keep_alive_task is not None  # nothing has come since the last answer
        unread = self.transport.get_write_buffer_size()
        # The last request, and how much of the answers is left.
        now = (unread or (is_waiting and not is_kept)) and (self.cycle, unread)
        if now and now == before:
            self.transport.abort()
        elif self in self.connections:
            self.loop.call_later(LOOK_SECONDS, self._look, now)


def whole(app: ASGIApp, max_body: int) -> ASGIApp:
    """Call `app` with requests that have arrived whole; refuse a body above `max_body` bytes.

    Ten times as many are read, and dropped: a client that is still sending would not see the answer
    (RFC 9112, section 9.6). HEAD is answered as GET; uvicorn leaves out the content.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        body, size, more = bytearray(), 0, True
        while more and size <= 10 * max_body:
            message = await receive()
            if message["type"] == "http.disconnect":  # what has arrived is no whole body
                return await Response(status_code=499)(scope, receive, send)
            size += len(message.get("body", b""))
            body += message.get("body", b"") if size <= max_body else b""
            more = message.get("more_body", False)
        if size > max_body:
            detail = {"detail": f"the body has more than {max_body} bytes"}
            refusal = JSONResponse(detail, 413, {"Connection": "close"} if more else None)
            return await refusal(scope, receive, send)
        parts = [{"type": "http.request", "body": bytes(body)}]

        async def received() -> Message:
            return parts.pop() if parts else await receive()

        await app({**scope, "method": scope["method"].replace("HEAD", "GET")}, received, send)

    return answer
