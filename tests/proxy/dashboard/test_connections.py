"""Connections to the dashboard: TLS as the proxy has it; those that are slow or too many end."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import nicegui
import psutil
import pytest

from proxy.dashboard import listener
from proxy.dashboard.listener import Listener, listen
from tests.support.authority import Authority, serial
from tests.support.process import DashboardProcess
from tests.support.raw_client import RawClient
from tests.support.wait import until

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
LARGE = f"/_nicegui/{nicegui.__version__}/static/sass.dart.js"
SLOW = {
    "a handshake": b"",
    "the second part of a handshake": b"\x16\x03\x01",
    "a head": b"GET / HTTP/1.1\r\nHost: h\r\n",
    "a body": b"POST /login HTTP/1.1\r\nHost: h\r\nOrigin: https://h\r\nContent-Length: 999\r\n\r\nkey=",
}
SLOW_S, UNREAD_S, KEPT_S = 10.0, 15.0, 5.0
LATE_S = 6.0
"""How much later than promised an end may be seen on a machine that is busy."""


@pytest.fixture
def authority(directory: Path) -> Authority:
    return Authority(directory)


class Served(DashboardProcess):
    """A dashboard with TLS."""

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    def peers(self) -> set[int]:
        """The ports that it has connections with."""
        assert self.process is not None
        found = psutil.Process(self.process.pid).net_connections("inet")
        return {one.raddr.port for one in found if one.raddr}


@pytest.fixture
def served(authority: Authority, database_url: str, directory: Path) -> Iterator[Served]:
    pem = str(authority.pem)
    served = Served(
        directory,
        LLAMA_SERVER_DATABASE_URL=database_url,
        LLAMA_PROXY_TLS_CERT=pem,
        LLAMA_PROXY_TLS_KEY=pem,
    )
    process = served.start()
    try:
        yield served
    finally:
        process.terminate()
        process.wait(timeout=20)


async def connected(authority: Authority, served: Served) -> RawClient:
    """A connection, once the dashboard listens."""

    async def connect() -> RawClient | None:
        try:
            return await authority.connect(served.address)
        except ConnectionRefusedError:
            return None

    client: RawClient = await until(connect, "the dashboard to listen")
    return client


async def abort(writer: asyncio.StreamWriter) -> None:
    """Close a connection without a word."""
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


async def answer(client: RawClient) -> bytes:
    """The head of the response to a request for /healthz."""
    client.writer.write(HEALTH)
    return await client.reader.readuntil(b"ok\n")


async def dripping(client: RawClient, sent: bytes) -> float:
    """Send this and then a byte a second; how long it took until the connection was closed."""
    begun = time.monotonic()
    client.writer.write(sent)
    end = asyncio.ensure_future(client.reader.read())
    while not end.done():
        await asyncio.wait({end}, timeout=1)
        if sent:
            client.writer.write(b"a")
    end.exception()
    await abort(client.writer)
    return time.monotonic() - begun


async def unread(served: Served, authority: Authority) -> float:
    """Ask for large files and read nothing; how long the dashboard holds the connection."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(served.address)
    _, writer = await asyncio.open_connection(
        sock=connection, ssl=authority.context, server_hostname=served.address[0], limit=1024
    )
    begun = time.monotonic()
    writer.write(f"GET {LARGE} HTTP/1.1\r\nHost: h\r\n\r\n".encode() * 5)  # more than a kernel takes
    port = connection.getsockname()[1]
    await until(lambda: port not in served.peers(), "an unread response to be given up", deadline_s=90)
    await abort(writer)
    return time.monotonic() - begun


async def test_tls_is_renewed_and_slow_connections_end(authority: Authority, served: Served) -> None:
    """New connections get a renewed certificate, and one that is used goes on. Whoever is slow with a
    handshake or a request is dropped after ten seconds, however steadily the bytes come; whoever reads
    nothing of a response, a little later."""
    lively = await connected(authority, served)
    assert b"200 OK" in await answer(lively)
    authority.issue()
    slow = {
        name: asyncio.create_task(
            dripping(
                RawClient(*await asyncio.open_connection(*served.address))
                if "handshake" in name
                else await authority.connect(served.address),
                sent,
            )
        )
        for name, sent in SLOW.items()
    }
    forgetful = asyncio.create_task(unread(served, authority))

    async def is_renewed() -> bool:
        assert b"200 OK" in await answer(lively)
        client = await authority.connect(served.address)
        await abort(client.writer)
        await asyncio.sleep(0.5)
        return serial(client) != serial(lively)

    await until(is_renewed, "the renewed certificate")
    for name, dropped in slow.items():
        lasted_s = await asyncio.wait_for(dropped, SLOW_S + LATE_S)
        assert lasted_s >= SLOW_S - 1 or "second part" in name, name
        assert b"200 OK" in await answer(lively)
    assert await forgetful < KEPT_S + UNREAD_S + LATE_S
    await abort(lively.writer)


async def test_connections_are_bounded_for_an_address_and_in_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Handshakes that have not ended count. Those too many are closed, and an end makes room."""
    made: list[asyncio.Transport] = []

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            made.append(transport)

    listening = listen("127.0.0.1", 0)
    address = listening.getsockname()
    accepting = Listener(
        listening,
        Protocol,
        peers=lambda: ["127.0.0.1" for one in made if not one.is_closing()] + ["10.0.0.1"],
        context=None,
        exempt=(),
    )
    try:
        monkeypatch.setattr(listener, "MAX_CONNECTIONS", 4)
        await hold(address, 5, stay=3)
        await until(lambda: all(one.is_closing() for one in made), "them to be closed")
        monkeypatch.setattr(listener, "MAX_PER_ADDRESS", 2)
        await hold(address, 3, stay=3)  # this machine is no one's address
        await until(lambda: all(one.is_closing() for one in made), "them to be closed")
        monkeypatch.setattr(listener, "_is_loopback", lambda _: False)
        await hold(address, 3, stay=2)
    finally:
        accepting.close()


async def hold(address: tuple[str, int], number: int, *, stay: int) -> None:
    """Open so many connections, one after another: so many of them are not closed."""
    opened = [await asyncio.open_connection(*address) for _ in range(number)]
    ends = [asyncio.ensure_future(reader.read()) for reader, _ in opened]
    await until(lambda: sum(not end.done() for end in ends) <= stay, "the others to be closed")
    await asyncio.wait(ends, timeout=0.3)  # for those that must not be
    assert sum(not end.done() for end in ends) == stay
    for _, writer in opened:
        await abort(writer)
    await asyncio.gather(*ends, return_exceptions=True)
