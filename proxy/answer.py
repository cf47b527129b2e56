"""The answer on its way to the client: how far it has come, and the writing of it.

Leaves what is written to the relay and the handler, and clients that take nothing to `stalls.py`.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import HttpVersion11, web

from proxy.usage import AnswerScanner

_EVENT_STREAM = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx would hold the comments back
}


@dataclass(kw_only=True, slots=True, eq=False)
class Answer:
    """How far an answer has come. Times are monotonic seconds."""

    status_code: int | None = None
    first_byte_at: float | None = None
    """The engine's first byte; what a waiting stream is told does not count."""
    response_bytes: int = 0
    stream: bool = False
    scanner: AnswerScanner = field(default_factory=AnswerScanner)
    ended: bool = False
    """Whether what says that it is whole has been sent, or is being sent: nothing may follow."""
    stalled: bool = False
    """Whether the client was cut off since it took nothing."""
    response: web.StreamResponse | None = None
    """What goes to the client; None until the engine, or a long wait, has begun the answer."""

    @property
    def begun(self) -> bool:
        """Whether the client has its status: no other can be given any more."""
        return self.response is not None and self.response.prepared

    async def begin(
        self, request: web.Request, response: web.StreamResponse, *, more: bool = False
    ) -> None:
        """Send the head of the answer; `more`: together with what `send` is given next, or `end`."""
        if more:
            # One write for both, a tenth of a request's cost. aiohttp does so for its own whole answers,
            # by this attribute; should it go, the head is just sent by itself.
            response._send_headers_immediately = False
        if request.version >= HttpVersion11 and response.content_length is None:
            response.enable_chunked_encoding()
        self.response = response
        await response.prepare(request)

    async def begin_events(self, request: web.Request, headers: Mapping[str, str]) -> None:
        """Send the head of a stream before the engine has said anything."""
        self.stream = True
        await self.begin(request, web.StreamResponse(headers={**_EVENT_STREAM, **headers}))

    async def write(self, chunk: bytes) -> None:
        """Count a piece of the body and send it; waits for a client that is slow.

        Raises:
            ConnectionError: the client has gone.
        """
        self.response_bytes += len(chunk)
        await self.send(chunk)

    async def send(self, chunk: bytes) -> None:
        """Send what has been counted."""
        assert self.response is not None
        await self.response.write(chunk)

    async def end(self) -> web.StreamResponse:
        """Send what says that the answer is whole."""
        assert self.response is not None
        self.ended = True
        await self.response.write_eof()
        return self.response

    def break_off(self, request: web.Request) -> None:
        """Break the client's connection, so that it cannot take what it has for a whole answer."""
        transport = request.transport
        if transport is None:
            return
        connection = transport.get_extra_info("socket")
        if connection is not None:
            # A reset: for a client of HTTP/1.0 the connection's usual end would be the body's.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
