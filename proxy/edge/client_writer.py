"""The sending half of a client's connection: batched writes, and back-pressure from the client."""

from __future__ import annotations

import asyncio

from proxy.edge.write_batching import AT_ONCE_BYTES, WriteBatcher


class ClientWriter(asyncio.BufferedProtocol):
    """Collects what is written until the end of an event loop turn, and waits for slow clients.

    Attributes:
        transport: None before the connection is made and after it is lost.
        writing_paused: the transport's buffer is above its high-water mark: call `drained`.
        has_sent: set whenever bytes are handed to the transport; a reader may clear it.
    """

    __slots__ = ("_out", "_waiters", "_writes", "has_sent", "transport", "writing_paused")

    def __init__(self, writes: WriteBatcher) -> None:
        self._writes = writes
        self._out = b""
        """Written in this turn of the event loop, not yet sent."""
        self._waiters: list[asyncio.Future[None]] = []
        self.transport: asyncio.Transport | None = None
        self.writing_paused = False
        self.has_sent = False

    def write(self, data: bytes) -> None:
        """Send `data` by the end of this turn of the event loop.

        Raises:
            ConnectionError: the connection is closed.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        if self._out:
            self._out += data
        else:
            self._out = data
            self._writes.add(self)
        if len(self._out) > AT_ONCE_BYTES:
            self.flush()

    def flush(self) -> None:
        """Send now what has been written; the records come first, as at the end of a turn."""
        if self._out:
            self._writes.record()
            self.send_out()

    def send_out(self) -> None:
        """Send what has been written. The records have been written already."""
        out, self._out = self._out, b""
        transport = self.transport
        if out and transport is not None and not transport.is_closing():
            self.has_sent = True
            transport.write(out)

    async def drained(self) -> None:
        """Wait until the client has taken enough of what was written.

        Raises:
            ConnectionError: the connection is lost.
        """
        if self.transport is None:
            raise ConnectionResetError("the client has gone")
        if self.writing_paused:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def pause_writing(self) -> None:
        """asyncio: the transport's buffer is above its high-water mark."""
        self.writing_paused = True

    def resume_writing(self) -> None:
        """asyncio: the transport's buffer is below its low-water mark again."""
        self.writing_paused = False
        self._wake(None)

    def connection_lost(self, exc: BaseException | None) -> None:
        """asyncio: nothing can be sent any more. Wakes whoever waits in `drained`."""
        del exc
        self.transport = None
        self._out = b""
        self._wake(ConnectionResetError("the client has gone"))

    def _wake(self, error: ConnectionError | None) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)
