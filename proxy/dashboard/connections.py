"""Bounds for connections, which uvicorn does not have: time and size of requests, time of responses."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

REQUEST_S = 10.0
"""How long a request may take to arrive, its body included; the first from the connection's begin."""
UNREAD_S = 15.0
"""How long a client may take nothing of a response that waits for it."""
MAX_HEAD_BYTES = 65_536
MAX_BODY_BYTES = 65_536
"""Only forms are sent; pages send their events through WebSockets."""


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's HTTP connection with these bounds; a WebSocket has others."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._bytes = 0
        self._start()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel()
        self._cancel_unread()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has arrived, unless it is too much for a request."""
        self._bytes += len(data)
        if self._bytes > MAX_HEAD_BYTES + MAX_BODY_BYTES:
            self.transport.abort()
        else:
            super().data_received(data)

    def on_message_begin(self) -> None:
        if self._deadline is None:
            self._start()
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._cancel()
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_unread()

    def resume_writing(self) -> None:
        self._cancel_unread()
        super().resume_writing()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # Closing waits for what has not been sent, for ever.
        if self.transport.is_closing() or self.transport.get_write_buffer_size():
            self._watch_unread()

    def handle_websocket_upgrade(self) -> None:
        self._cancel()
        self._cancel_unread()
        super().handle_websocket_upgrade()

    def _start(self) -> None:
        self._deadline = self.loop.call_later(REQUEST_S, self.transport.abort)

    def _cancel(self) -> None:
        self._bytes = 0
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _watch_unread(self) -> None:
        self._cancel_unread()
        self._unread = self.loop.call_later(UNREAD_S, self._end_unread)

    def _end_unread(self) -> None:
        if self.transport.is_closing() or self.transport.get_write_buffer_size():
            self.transport.abort()

    def _cancel_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
