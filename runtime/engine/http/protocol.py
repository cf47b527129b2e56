"""The engine's side of HTTP connections: uvicorn's faster protocol, with bounds for heads and clients.

It frames a chunk of a stream with a tenth of the work of the one on h11, but reads heads of any length
and waits for them for ever, and keeps what a client does not read for as long as that client likes, also
after the response's end.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from runtime.engine import errors
from runtime.engine.errors import Refusal

MAX_HEAD_BYTES = 65_536
"""The most of a request's head, that is its first line and headers, in bytes; or of a trailer. What is
read at once with its end may be longer, up to 256 KiB."""
LEAST_BYTES_PER_S = 512
"""The least average rate of a client that has not read all of what was sent, as in the proxy."""


def protocol_for(stall_s: float) -> type[BoundedProtocol]:
    """The protocol. Clients have so many seconds for a head, and may read nothing for as long."""

    class Protocol(BoundedProtocol):
        _stall_s = stall_s

    return Protocol


class BoundedProtocol(HttpToolsProtocol):
    """One connection; `protocol_for` makes its class."""

    _head_bytes = 0
    """Bytes that came since the end of the last head or piece of a body."""
    _stall_s = 60.0
    _look_timer: asyncio.TimerHandle | None = None
    """Set while the client is behind."""
    _head_timer: asyncio.TimerHandle | None = None
    """Set while the head of a request is waited for."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The transport calls this at the beginning."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Parse what came; refuse a head that does not end."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(errors.head_too_large(MAX_HEAD_BYTES))
        # Until it begins, a kept connection has uvicorn's own time, which is longer than the proxy's.
        if self._head_timer is None and self.cycle is not None and self.cycle.response_complete:
            self._await_head()

    def on_headers_complete(self) -> None:
        """The parser calls this at the end of a head."""
        self._head_bytes = 0
        self._await_no_head()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """The parser calls this for each piece of a body."""
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The parser calls this at the end of a request."""
        self._head_bytes = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be parsed, in the API's envelope."""
        self._refuse(errors.not_http("its method, path, headers or framing cannot be parsed"))

    def pause_writing(self) -> None:
        """The transport calls this when much is unread: nothing more is given to it until it resumes."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """The transport calls this when most has been read."""
        super().resume_writing()
        self._watch()

    def on_response_complete(self) -> None:
        """The request's cycle calls this when all of a response has been given to the transport."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport calls this at the end."""
        self._watch_no_longer()
        self._await_no_head()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self._stall_s, self.transport.abort)

    def _await_no_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _watch(self) -> None:
        """Give the client `stall_s` seconds to read what is unread, if it is all that there is."""
        self._watch_no_longer()
        unread_bytes = self.transport.get_write_buffer_size()
        if unread_bytes and (self.flow.write_paused or self.cycle.response_complete):
            self._look_timer = self.loop.call_later(self._stall_s, self._look, unread_bytes, self.cycle)

    def _watch_no_longer(self) -> None:
        if self._look_timer is not None:
            self._look_timer.cancel()
            self._look_timer = None

    def _look(self, unread_bytes: int, cycle: RequestResponseCycle) -> None:
        """Close the connection if the client has read too little; the work for it ends with that."""
        if cycle is not self.cycle and not self.flow.write_paused:
            return  # there is a next request, whose response is watched in its turn
        read_bytes = unread_bytes - self.transport.get_write_buffer_size()
        if read_bytes < min(LEAST_BYTES_PER_S * self._stall_s, unread_bytes):
            self.transport.abort()
        else:
            self._watch()

    def _refuse(self, refusal: Refusal) -> None:
        body = refusal.body()
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        self.transport.write(STATUS_LINE[refusal.status] + head % len(body) + body)
        self.transport.close()
