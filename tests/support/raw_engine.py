"""A fake engine that sends the bytes it is given as responses, valid HTTP or not."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
HANG = b"\0hang"
"""Last piece of a response: send nothing more and keep the connection open."""
KEEP = b"\0keep"
"""Last piece of a response: take another request on this connection."""


@dataclass
class RawEngine:
    """Sends the next of `answers`, a list of pieces, and closes; OK when none is left."""

    url: str = ""
    answers: list[list[bytes]] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    """Heads and bodies as received, without health checks."""
    refuse_at_head: bytes | None = None
    """Sent to the next request after its head; its body is not read and the connection is closed."""
    connections: int = 0
    """Connections accepted so far, health checks included."""
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the proxy has closed a connection."""

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left.set()
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; True if another may follow on the connection."""
        head = await reader.readuntil(b"\r\n\r\n")
        is_check = b"/health " in head.partition(b"\r\n")[0]
        if self.refuse_at_head is not None and not is_check:
            writer.write(self.refuse_at_head)
            self.refuse_at_head = None
            await writer.drain()
            return False
        length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
        body = await reader.readexactly(int(length[1])) if length else b""
        if is_check:
            answer = [OK, KEEP]
        else:
            self.requests.append(head + body)
            answer = self.answers.pop(0) if self.answers else [OK, KEEP]
        for piece in answer:
            if piece == KEEP:
                return True
            if piece == HANG:
                await reader.read()
                self.left.set()
                return False
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        return False


@asynccontextmanager
async def raw_engine() -> AsyncIterator[RawEngine]:
    """Run such an engine on a free port."""
    engine = RawEngine()
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(engine._connected(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    engine.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield engine
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
