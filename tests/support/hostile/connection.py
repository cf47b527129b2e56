"""An attacker's connection: a socket with a small receive buffer, and what an attack does with it."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache

_RECEIVE_BYTES = 4096
"""The kernel's buffer and asyncio's: a server feels after a few kilobytes that nobody reads."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """The proxy under attack, and the attacker's key ("" for one without)."""

    port: int
    key: str = field(default="", repr=False)
    tls: bool = False


@dataclass(frozen=True, kw_only=True)
class Connection:
    """One connection to the target."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def status(self) -> str:
        """Read the head of a response and return its status, "closed" if there is none."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return "closed"
        return head.split(b" ", 2)[1].decode()

    async def read_slowly(self, bytes_per_s: int) -> int:
        """Read to the connection's end at this pace; the number of bytes read."""
        read, pause_s = 0, 0.5
        while data := await self.reader.read(max(1, int(bytes_per_s * pause_s))):
            read += len(data)
            await asyncio.sleep(pause_s)
        return read


Step = Callable[[Target, "Tally"], Awaitable[None]]
"""An attack: one connection from its beginning to its end. OSError where the server closes it."""
Tally = Counter[str]
"""How often each thing happened, such as a status that came back."""


@asynccontextmanager
async def connected(target: Target, *, handshake: bool = True) -> AsyncIterator[Connection]:
    """Open a connection, with TLS where the target has it and `handshake` is set; reset it at the end.

    The receive buffer is small, so the server notices early that nobody reads.
    """
    loop = asyncio.get_running_loop()
    plain = socket.socket()
    plain.setblocking(False)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
    try:
        await loop.sock_connect(plain, ("127.0.0.1", target.port))
        context = _trusting() if target.tls and handshake else None
        reader, writer = await asyncio.open_connection(
            sock=plain,
            limit=_RECEIVE_BYTES,
            ssl=context,
            server_hostname="localhost" if context else None,
        )
    except BaseException:
        plain.close()
        raise
    try:
        yield Connection(reader=reader, writer=writer)
    finally:
        writer.transport.abort()


@cache
def _trusting() -> ssl.SSLContext:
    """A client's context that takes any certificate: the attacker does not care whose it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def request_head(target: Target, line: str, *headers: str) -> bytes:
    """The head of a request with the attacker's key, if there is one."""
    lines = [line, "Host: attacked", *headers]
    if target.key:
        lines.append(f"Authorization: Bearer {target.key}")
    return "".join(f"{text}\r\n" for text in lines).encode() + b"\r\n"


def post(target: Target, path: str, body: dict[str, object]) -> bytes:
    """A whole request with a JSON body."""
    data = json.dumps(body).encode()
    headers = ("Content-Type: application/json", f"Content-Length: {len(data)}")
    return request_head(target, f"POST {path} HTTP/1.1", *headers) + data


async def ask(connection: Connection, request: bytes, tally: Tally) -> None:
    """Send a request and read the head of the response; count both."""
    await connection.send(request)
    tally["sent"] += 1
    tally[await connection.status()] += 1
