"""One connection to the engine: sends requests and receives responses, with back-pressure both ways.

`pool.py` chooses and keeps connections; `parser.py` parses the bytes.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable
from typing import cast

from proxy.edge.write_batching import WriteBatcher
from proxy.upstream.parser import BadResponseError, ResponseParser

HIGH_WATER_BYTES = 65_536
"""Reading from the engine pauses while more unread bytes than this have arrived."""
SLICE_BYTES = 262_144
"""A longer body is sent in slices, so that a response that arrives before its end is noticed."""


class UpstreamError(Exception):
    """The engine has sent no complete response."""


class ConnectError(UpstreamError):
    """No connection could be made: the engine has received nothing of the request."""


class BrokeOffError(UpstreamError):
    """The engine closed the connection early or sent no valid response. It may have seen the request."""


class SilentError(UpstreamError):
    """The engine sent nothing for the time-out. It may have seen the request."""


class UpstreamConnection(asyncio.Protocol):
    """One connection, and the response on it so far. Only `UpstreamPool` makes them."""

    def __init__(self, writes: WriteBatcher, on_lost: Callable[[UpstreamConnection], None]) -> None:
        self.parser = ResponseParser()
        self.moved_at = 0.0
        """When bytes were last sent or received, by the loop's clock."""
        self._writes = writes
        self._out = b""
        """A request that is sent at the end of this turn of the event loop."""
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._readiness = select.poll()
        self._busy = False
        self._whole = False
        """Whether all of the request has been sent."""
        self._error: UpstreamError | None = None
        self._lost = False
        self._waiter: asyncio.Future[None] | None = None
        self._reading_paused = False
        self._paused_at = 0.0
        self.paused_s = 0.0
        """Seconds that the engine has had to wait for us to read this response."""
        self._is_patient = False
        self._writing_paused = False

    async def exchange(self, head: bytes, body: bytes, *, bodiless: bool, is_patient: bool) -> None:
        """Send a request and wait for the head of its response, which may come before all is sent.

        `is_patient`: the engine may be silent for as long as it answers others.

        Raises:
            BrokeOffError, SilentError: there is no response.
        """
        if self._lost or self._error is not None:
            raise BrokeOffError("closed before the request was sent")
        self._busy, self._whole = True, False
        self._out = b""
        self.moved_at = self._loop.time()
        self.paused_s = 0.0
        self._is_patient = is_patient
        self.parser.begin(bodiless=bodiless)
        if len(body) <= HIGH_WATER_BYTES:
            self._out = head + body
            self._writes.add(self)
            self._whole = True
        else:
            await self._send_in_slices(head, body)
        parser = self.parser
        while not parser.status:
            await self.news()

    def send_out(self) -> None:
        """Send the request that waits for the end of the turn."""
        if self._out and not self._transport.is_closing():
            self._transport.write(self._out)
            self._out = b""

    async def _send_in_slices(self, head: bytes, body: bytes) -> None:
        """Send until all is sent or the engine has answered: it may refuse a body before its end."""
        self._writes.record()
        self._transport.write(head)
        view = memoryview(body)
        for start in range(0, len(body), SLICE_BYTES):
            while self._writing_paused and not self.parser.status:
                await self.news()
            # The response may be here already; once the engine has closed, a write would lose it.
            await asyncio.sleep(0)
            if self.parser.status or self._lost or self._error or self._transport.is_closing():
                return
            self._transport.write(view[start : start + SLICE_BYTES])
        self._whole = True

    async def read(self) -> bytes:
        """Return all of the body that has arrived since the last call, after a wait if nothing has.

        Returns nothing at the end of the body.

        Raises:
            BrokeOffError, SilentError: the response is incomplete; all that arrived has been returned.
        """
        parser = self.parser
        while not parser.pieces:
            if parser.complete:
                return b""
            await self.news()
        return self.take()

    async def read_all(self, limit_bytes: int) -> bytes:
        """The rest of the body, which is meant to be small.

        Raises:
            BrokeOffError, SilentError: the response is not whole, or longer than `limit_bytes`.
        """
        body = b""
        while piece := await self.read():
            body += piece
            if len(body) > limit_bytes:
                raise BrokeOffError("more than is expected here")
        return body

    def news(self) -> asyncio.Future[None]:
        """Return a future that is done when bytes have arrived or the connection has failed.

        Raises:
            BrokeOffError, SilentError: nothing more will come.
        """
        if self._error is not None:
            raise ConnectError("closed before the request was sent") if self._out else self._error
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def take(self) -> bytes:
        """The part of the body that has arrived and is unread; it may be empty."""
        data = self.parser.take()
        if self._reading_paused:
            self._reading_paused = False
            self.moved_at = now = self._loop.time()
            self.paused_s += now - self._paused_at
            if not self._transport.is_closing():
                self._transport.resume_reading()
        return data

    def rest(self) -> bool:
        """End the exchange; returns whether another request can be sent on the connection."""
        parser = self.parser
        self._busy = False
        self.moved_at = self._loop.time()
        sent = self._whole and not self._out
        return parser.complete and parser.reusable and sent and not self._lost

    def fresh(self) -> bool:
        """Whether a kept connection can be used: nothing has arrived on it, and it is not closed.

        Bytes that the kernel has and the loop has not seen count too: if a request is sent into a closed
        connection, nobody can tell whether the engine has seen it.
        """
        if self._lost or self._error or self._reading_paused or self._transport.is_closing():
            return False
        return not self._readiness.poll(0)

    def check(self, now: float, timeout_s: float) -> None:
        """Fail a wait for the engine that has lasted longer than `timeout_s`."""
        waiting = self._waiter is not None and not self._reading_paused
        if waiting and not self._is_patient and now - self.moved_at >= timeout_s:
            self._fail(SilentError(f"nothing came for {timeout_s:g} s"))

    def give_up_silent(self, now: float, silent_s: float) -> None:
        """Fail a wait that has lasted so long: the engine does not answer others either."""
        waiting = self._waiter is not None and not self._reading_paused
        if waiting and now - self.moved_at >= silent_s:
            self._fail(BrokeOffError("it does not answer any more"))

    def abort(self) -> None:
        """Close at once, so that the engine stops working on the request."""
        self._busy = False
        self._fail(BrokeOffError("given up"))

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _fail(self, error: UpstreamError) -> None:
        if self._error is None:
            self._error = error
        self._transport.abort()
        self._wake()

    # The event loop calls the methods below.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods only
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._readiness.register(sock.fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        if self._error is not None:
            return
        if not self._busy:
            # It belongs to no request. The parser skips line ends between responses; so does this.
            if data.strip(b"\r\n"):
                self._transport.abort()
            return
        self.moved_at = self._loop.time()
        try:
            self.parser.feed(data)
        except BadResponseError as error:
            self._fail(BrokeOffError(str(error)))
            return
        if self.parser.buffered > HIGH_WATER_BYTES and not self._reading_paused:
            self._reading_paused = True
            self._paused_at = self.moved_at
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc)
        self._on_lost(self)

    def _end(self, error: Exception | None) -> None:
        if self._lost:
            return
        self._lost = True
        if self._busy and self._error is None and not self.parser.complete:
            try:
                if error is not None:
                    raise BadResponseError(str(error) or type(error).__name__)
                self.parser.end()
            except BadResponseError as reason:
                self._error = BrokeOffError(str(reason))
        self._wake()

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        self.moved_at = self._loop.time()
        self._wake()
