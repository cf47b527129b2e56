"""The response to the client: its progress, and the functions that write it.

The HTTP/1.1 framing (RFC 9112, section 6) is implemented here: a head that is written together with the
body's first piece costs a fraction of aiohttp's response objects. The handler decides what is written,
and `slow_clients.py` deals with clients that read slowly.
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
BODILESS = (_NO_CONTENT, HTTPStatus.NOT_MODIFIED)
"""Statuses of responses that have no body (RFC 9112, section 6.3)."""
HELD_BACK_BYTES = 1024
"""Size of the end of a response, which a slow client gets only after it has read most of the rest."""
_DATE = (0, b"")
"""A second of Unix time, and its text in the Date header."""


class Response:
    """The progress of one response. Times are monotonic seconds."""

    # Defaults on the class save the time of setting them for each response.
    status_code: int | None = None
    """The engine's status; None until its head has come."""
    first_byte_at: float | None = None
    """When the engine's first byte came; comments to a stream that waits for its turn do not count."""
    response_bytes = 0
    """Length of the body so far, without transfer coding."""
    stream = False
    ended = False
    """Whether the end of the response has been sent, or is being sent: nothing may follow."""
    has_body = True
    stalled = False
    """Whether the client was cut off for being too slow."""
    watched = False
    """Whether `slow_clients.py` watches it, which sets `user_id` and what follows to `taken_in_turn`."""
    user_id = 0
    """The user whose response memory is charged."""
    held_bytes = 0
    """Unread bytes that are charged to the user."""
    behind_since: float | None = None
    """Since when the client has had unread bytes; None while it has none."""
    taken_then = 0
    """How many bytes the client had read at `behind_since`."""
    moved_at = 0.0
    """When the client last read something while it was behind."""
    moved_to = 0
    """How many bytes the client had read at `moved_at`."""
    turn_held_since: float | None = None
    """Since when the engine has been waiting for the client; None while it is not."""
    taken_in_turn = 0
    """How many bytes the client had read at `turn_held_since`."""
    held_back = b""
    """The last bytes of the body, while they are held back from a slow client."""
    _head = b""
    """The head, until it is sent with the first piece of the body."""
    _chunked = False

    def __init__(self, request: Request) -> None:
        self.request = request
        self.scanner = UsageScanner()

    def begin(self, status: int, reason: bytes, headers: bytes, *, length: int | None = None) -> None:
        """Begin the response. Its head is sent with the next `write`.

        `headers` are whole lines, without those for framing and the connection, which are added here.
        `length` is the body's length in bytes, if it is known.
        """
        request = self.request
        request.begun = True
        request.is_last = last = request.client.closes_after(request, status)
        http_1_1 = request.version == HttpVersion11
        framing = b""
        if request.method == "HEAD" or status in BODILESS:
            self.has_body = False
        elif length is None and http_1_1:
            self._chunked = True
            framing = b"Transfer-Encoding: chunked\r\n"
        elif length is None:
            request.is_last = last = True  # closing the connection ends the body
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
        """Begin a stream before the engine has sent anything."""
        self.stream = True
        self.begin(HTTPStatus.OK, b"OK", _EVENT_STREAM + headers)

    def whole(
        self, status: int, headers: bytes, body: bytes, *, content_type: bytes = b"application/json"
    ) -> None:
        """Send a complete response that the proxy itself has made."""
        headers = b"Content-Type: %b\r\n%b" % (content_type, headers)
        self.begin(status, HTTPStatus(status).phrase.encode(), headers, length=len(body))
        self.write(body)
        self.end()

    def empty(self, headers: bytes) -> None:
        """Send a complete response without a body: 204."""
        self.begin(_NO_CONTENT, b"No Content", headers)
        self.write(b"")
        self.end()

    def write(self, piece: bytes) -> None:
        """Send a piece of the body; an empty one sends the head alone. Does not wait: see `drained`.

        Raises:
            ConnectionError: the client has gone.
        """
        if not self.has_body or not piece:
            data = self._head
        elif self._chunked:
            data = b"%b%x\r\n%b\r\n" % (self._head, len(piece), piece)
        else:
            data = self._head + piece if self._head else piece
        self._head = b""
        self.request.client.write(data)

    def write_but_the_end(self, piece: bytes) -> None:
        """Send one of the last pieces, but hold back the last HELD_BACK_BYTES, which `end` sends.

        So a client cannot have the whole response while a part of it is still unread.
        """
        last = self.held_back + piece
        if len(last) > HELD_BACK_BYTES:
            self.write(last[:-HELD_BACK_BYTES])
        self.held_back = last[-HELD_BACK_BYTES:]

    def take_back(self) -> bool:
        """Undo `begin`, if nothing of the response has been sent. Returns whether it is undone."""
        if not self._head:
            return False
        self._head = b""
        self._chunked = self.stream = self.request.begun = False
        self.has_body = True
        return True

    def unsent_bytes(self) -> int | None:
        """How many bytes wait in memory for the client to read them; None if it has gone."""
        transport = self.request.client.transport
        if transport is None or transport.is_closing():
            return None
        return transport.get_write_buffer_size() + len(self.held_back)

    async def drained(self) -> None:
        """Wait until a slow client has read enough of what was written.

        Raises:
            ConnectionError: the client has gone.
        """
        client = self.request.client
        if client.writing_paused:
            await client.drained()

    def end(self) -> None:
        """Send the end of the response.

        Raises:
            ConnectionError: the client has gone.
        """
        self.ended = True
        if self._head or self.held_back:
            self.write(self.held_back)
            self.held_back = b""
        if self._chunked:
            self.request.client.write(b"0\r\n\r\n")

    def cut_off(self) -> None:
        """Close the connection of a client that is too slow."""
        self.stalled = True
        if self.request.client.transport is not None:
            self.request.client.transport.abort()

    def break_off(self) -> None:
        """Reset the client's connection, so that it does not take a part for the whole response."""
        self.request.client.flush()
        transport = self.request.client.transport
        if transport is None:
            return
        connection = transport.get_extra_info("socket")
        if connection is not None:
            # An orderly close would mark the end of the body for an HTTP/1.0 client.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


def _date() -> bytes:
    """The time in the form of the Date header (RFC 9110, section 5.6.7)."""
    global _DATE  # noqa: PLW0603 - written out once a second
    now = int(time.time())
    if now != _DATE[0]:
        _DATE = now, formatdate(now, usegmt=True).encode()
    return _DATE[1]
