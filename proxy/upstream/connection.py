"""One connection to the engine: a request goes out, its answer comes in, with back-pressure both ways.

Leaves to `upstream.py` which connection is used and for how long it is kept, and to
`parser.py` what the bytes mean.
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
"""More than this that the client has not taken, and the engine has to wait."""
SLICE_BYTES = 262_144
"""A longer body is sent in slices, so that an answer that comes before its end is seen."""


class UpstreamError(Exception):
    """The engine gave no whole answer."""


class ConnectError(UpstreamError):
    """No connection came about: the engine has seen nothing of the request."""


class BrokeOffError(UpstreamError):
    """The engine broke off, or sent what is no answer. It may have seen the request."""


class SilentError(UpstreamError):
    """The engine sent nothing for the time-out. It may have seen the request."""


class UpstreamConnection(asyncio.Protocol):
    """One connection, and what has come of the answer on it. Made by `Upstream` alone."""

    def __init__(self, writes: WriteBatcher, on_lost: Callable[[UpstreamConnection], None]) -> None:
        self.answer = ResponseParser()
        self.moved_at = 0.0
        """When anything last came or went, by the loop's clock."""
        self._writes = writes
        self._out = b""
        """A request that goes out at the end of this turn of the event loop."""
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
        self._writing_paused = False

    async def exchange(self, head: bytes, body: bytes, *, bodiless: bool) -> None:
        """Send a request and wait for the head of its answer, which may come before all is sent.

        Raises:
            BrokeOffError, SilentError: instead of an answer.
        """
        if self._lost or self._error is not None:
            raise BrokeOffError("closed before the request was sent")
        self._busy, self._whole = True, False
        self._out = b""
        self.moved_at = self._loop.time()
        self.answer.begin(bodiless=bodiless)
        if len(body) <= HIGH_WATER_BYTES:
            self._out = head + body
            self._writes.add(self)
            self._whole = True
        else:
            await self._send_in_slices(head, body)
        answer = self.answer
        while not answer.status:
            await self._news()

    def send_out(self) -> None:
        """Send the request that waits for the end of the turn."""
        if self._out and not self._transport.is_closing():
            self._transport.write(self._out)
            self._out = b""

    async def _send_in_slices(self, head: bytes, body: bytes) -> None:
        """Send until all is sent or the engine has answered, as it may when it wants no more."""
        self._writes.record()
        self._transport.write(head)
        view = memoryview(body)
        for start in range(0, len(body), SLICE_BYTES):
            while self._writing_paused and not self.answer.status:
                await self._news()
            # Its answer may be here already; once the engine has closed, a write would lose it.
            await asyncio.sleep(0)
            if self.answer.status or self._lost or self._error or self._transport.is_closing():
                return
            self._transport.write(view[start : start + SLICE_BYTES])
        self._whole = True

    async def read(self) -> bytes:
        """The next piece of the body, all that has come of it; nothing at its end.

        Raises:
            BrokeOffError, SilentError: the answer is not whole; after all that came of it.
        """
        answer = self.answer
        while not answer.pieces:
            if answer.complete:
                return b""
            await self._news()
        return self.take()

    def take(self) -> bytes:
        """What has come of the body and not been read, perhaps nothing."""
        data = self.answer.take()
        if self._reading_paused:
            self._reading_paused = False
            self.moved_at = self._loop.time()
            if not self._transport.is_closing():
                self._transport.resume_reading()
        return data

    def rest(self) -> bool:
        """The exchange is over: get ready for another, or say no where there can be none."""
        answer = self.answer
        self._busy = False
        self.moved_at = self._loop.time()
        sent = self._whole and not self._out
        return answer.complete and answer.reusable and sent and not self._lost

    def fresh(self) -> bool:
        """Whether a kept connection can be used: nothing has come on it, nor has it been closed.

        What the kernel has and the loop has not seen counts too: of a request sent into a closed
        connection nobody could say whether the engine had it.
        """
        if self._lost or self._error or self._reading_paused or self._transport.is_closing():
            return False
        return not self._readiness.poll(0)

    def check(self, now: float, timeout_s: float) -> None:
        """Give up if somebody has waited for the engine for too long."""
        waiting = self._waiter is not None and not self._reading_paused
        if waiting and now - self.moved_at >= timeout_s:
            self._fail(SilentError(f"nothing came for {timeout_s:g} s"))

    def abort(self) -> None:
        """Close at once: that is how the engine learns that nobody wants the rest."""
        self._busy = False
        self._fail(BrokeOffError("given up"))

    def _news(self) -> asyncio.Future[None]:
        """To be awaited: done when anything has happened.

        Raises:
            BrokeOffError, SilentError: nothing more will come.
        """
        if self._error is not None:
            raise ConnectError("closed before the request was sent") if self._out else self._error
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _fail(self, error: UpstreamError) -> None:
        if self._error is None:
            self._error = error
        self._transport.abort()
        self._wake()

    # What follows is called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods only
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._readiness.register(sock.fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        if self._error is not None:
            return
        if not self._busy:
            # Of nobody; the parser skips line ends between answers, so they do no harm here either.
            if data.strip(b"\r\n"):
                self._transport.abort()
            return
        self.moved_at = self._loop.time()
        try:
            self.answer.feed(data)
        except BadResponseError as error:
            self._fail(BrokeOffError(str(error)))
            return
        if self.answer.buffered > HIGH_WATER_BYTES and not self._reading_paused:
            self._reading_paused = True
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
        if self._busy and self._error is None and not self.answer.complete:
            try:
                if error is not None:
                    raise BadResponseError(str(error) or type(error).__name__)
                self.answer.end()
            except BadResponseError as reason:
                self._error = BrokeOffError(str(reason))
        self._wake()

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        self.moved_at = self._loop.time()
        self._wake()
