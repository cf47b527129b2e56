"""A client that takes its response slowly, or not at all, without the kernel's help.

The kernel would take megabytes for it: a small receive buffer and small segments keep that to a few
kilobytes (both have to be set before the connection is made).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

RECEIVE_BUFFER_BYTES = 2048
SEGMENT_BYTES = 536
STEP_S = 0.05


@dataclass
class SlowReader:
    """One connection. `received` is what it has taken so far."""

    connection: socket.socket
    received: bytearray = field(default_factory=bytearray)
    closed: bool = False
    """Whether the server has closed the connection."""

    async def read(self, bytes_per_s: int) -> None:
        """Take so many bytes a second until the connection is closed; 0: take nothing, for ever."""
        loop = asyncio.get_running_loop()
        if not bytes_per_s:
            await asyncio.Event().wait()
        begun = loop.time()
        while not self.closed:
            try:
                piece = await loop.sock_recv(self.connection, max(1, int(bytes_per_s * STEP_S)))
            except ConnectionError:
                piece = b""
            self.received += piece
            self.closed = not piece
            # No credit for a time in which nothing came.
            begun = max(begun, loop.time() - len(self.received) / bytes_per_s - STEP_S)
            await asyncio.sleep(max(0, begun + len(self.received) / bytes_per_s - loop.time()))


@asynccontextmanager
async def slow_reader(
    port: int, key: str, *, path: str = "/v1/chat/completions", body: bytes = b"{}", bytes_per_s: int
) -> AsyncIterator[SlowReader]:
    """Sends a POST to the proxy at `port` and takes the response at `bytes_per_s`."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, ("127.0.0.1", port))
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        await loop.sock_sendall(connection, head.encode() + body)
        reader = SlowReader(connection)
        task = asyncio.create_task(reader.read(bytes_per_s))
        try:
            yield reader
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
