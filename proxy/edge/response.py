"""The answer on its way to the client: how far it has come, and the writing of it.

HTTP/1.1's framing (RFC 9112, section 6) is here, since a head made once and written with the body's
first piece costs a fraction of what aiohttp's response objects do. Leaves what is written to the relay
and the handler, and clients that take nothing to `slow_clients.py`.
"""

from __future__ import annotations

import socket
import struct
import time
from email.utils import formatdate
from http import HTTPStatus

from aiohttp import HttpVersion11

from proxy.edge.request import Request
from proxy.edge.usage_scanner import UsageScanner

_EVENT_STREAM = (
    b"Content-Type: text/event-stream; charset=utf-8\r\n"
    b"Cache-Control: no-cache\r\n"
    b"X-Accel-Buffering: no\r\n"  # nginx would hold the comments back
)
# Looked up once: a member of an enumeration costs a call of Python each time (3.11).
_NO_CONTENT = HTTPStatus.NO_CONTENT
_BODILESS = (_NO_CONTENT, HTTPStatus.NOT_MODIFIED)
_DATE = (0, b"")
"""A second of Unix time, and how the header has it."""


class Response:
    """How far an answer has come. Times are monotonic seconds."""

    # Defaults of the class: what does not happen to an answer costs it nothing.
    status_code: int | None = None
    """The engine's."""
    first_byte_at: float | None = None
    """The engine's first byte; what a waiting stream is told does not count."""
    response_bytes = 0
    stream = False
    ended = False
    """Whether what says that it is whole has been sent, or is being sent: nothing may follow."""
    has_body = True
    stalled = False
    """Whether the client was cut off since it took nothing."""
    seen = (0, 0)
    moved_at = 0.0
    """Both are for `slow_clients.py`: how things stood when it was last seen to move, and when."""
    _head = b""
    """What has to go out before anything else."""
    _chunked = False

    def __init__(self, request: Request) -> None:
        self.request = request
        self.scanner = UsageScanner()

    def begin(self, status: int, reason: bytes, headers: bytes, *, length: int | None = None) -> None:
        """Begin the answer; its head goes out with what is written next.

        `headers` are whole lines; those that are about framing and the connection come from here.
        `length`: of the body, where it is known.
        """
        request = self.request
        request.begun = True
        request.is_last = last = request.client.closes_after(request, status)
        http_1_1 = request.version == HttpVersion11
        framing = b""
        if request.method == "HEAD" or status in _BODILESS:
            self.has_body = False
        elif length is None and http_1_1:
            self._chunked = True
            framing = b"Transfer-Encoding: chunked\r\n"
        elif length is None:
            request.is_last = last = True  # the connection's end is the body's
        if length is not None and status != _NO_CONTENT:
            framing = b"Content-Length: %d\r\n" % length
        if last:
            framing += b"Connection: close\r\n"
        elif not http_1_1:
            framing += b"Connection: keep-alive\r\n"
        version = b"HTTP/1.1" if http_1_1 else b"HTTP/1.0"
        self._head = b"%b %d %b\r\n%bDate: %b\r\n%b\r\n" % (
            version, status, reason, headers, _date(), framing,
        )  # fmt: skip

    def begin_events(self, headers: bytes) -> None:
        """Begin a stream before the engine has said anything."""
        self.stream = True
        self.begin(HTTPStatus.OK, b"OK", _EVENT_STREAM + headers)

    def whole(self, status: int, headers: bytes, body: bytes) -> None:
        """Give a whole answer of our own, in JSON."""
        headers = b"Content-Type: application/json\r\n" + headers
        self.begin(status, HTTPStatus(status).phrase.encode(), headers, length=len(body))
        self.write(body)
        self.end()

    def write(self, chunk: bytes) -> None:
        """Send a piece of the body, or with none what has to go before it. Does not wait: see `drained`.

        Raises:
            ConnectionError: the client has gone.
        """
        if not self.has_body or not chunk:
            data = self._head
        elif self._chunked:
            data = b"%b%x\r\n%b\r\n" % (self._head, len(chunk), chunk)
        else:
            data = self._head + chunk if self._head else chunk
        self._head = b""
        self.request.client.write(data)

    async def drained(self) -> None:
        """Wait for a client that is slow to take what was written.

        Raises:
            ConnectionError: the client has gone.
        """
        client = self.request.client
        if client.writing_paused:
            await client.drained()

    def end(self) -> None:
        """Send what says that the answer is whole.

        Raises:
            ConnectionError: the client has gone.
        """
        self.ended = True
        if self._head:
            self.write(b"")
        if self._chunked:
            self.request.client.write(b"0\r\n\r\n")

    def break_off(self) -> None:
        """Break the client's connection, so that it cannot take what it has for a whole answer."""
        self.request.client.flush()
        transport = self.request.client.transport
        if transport is None:
            return
        connection = transport.get_extra_info("socket")
        if connection is not None:
            # A reset: for a client of HTTP/1.0 the connection's usual end would be the body's.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


def _date() -> bytes:
    """The time in the form of the Date header (RFC 9110, section 5.6.7)."""
    global _DATE  # noqa: PLW0603 - written out once a second
    now = int(time.time())
    if now != _DATE[0]:
        _DATE = now, formatdate(now, usegmt=True).encode()
    return _DATE[1]
