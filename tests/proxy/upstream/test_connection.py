"""Connections to the engine: kept and not kept, early answers, slow readers, TLS, time-outs.

On uvloop as in a running proxy, and on asyncio's own loop as in most tests: the two differ in details.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trustme

from proxy.edge.write_batching import WriteBatcher
from proxy.upstream.connection import (
    HIGH_WATER_BYTES,
    BrokeOffError,
    ConnectError,
    SilentError,
    UpstreamConnection,
)
from proxy.upstream.pool import KEEP_IDLE_S, UpstreamPool
from tests.support.raw_engine import HANG, KEEP, OK, RawEngine, raw_engine
from tests.support.wait import until

HEAD = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\n"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


pytestmark = pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])


@pytest.fixture
async def engine() -> AsyncIterator[RawEngine]:
    async with raw_engine() as engine:
        yield engine


@asynccontextmanager
async def connected(
    url: str, *, idle_timeout_s: float = 30, connect_timeout_s: float = 10
) -> AsyncIterator[UpstreamPool]:
    upstream = UpstreamPool(
        url, writes=WriteBatcher(), connect_timeout_s=connect_timeout_s, idle_timeout_s=idle_timeout_s
    )
    try:
        yield upstream
    finally:
        await upstream.close()


@asynccontextmanager
async def serving(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """An engine that does what a test wants; its address without the scheme."""
    tasks: set[asyncio.Task[None]] = set()

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await serve(reader, writer)
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(guarded(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls, limit=2**16)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def request(body: bytes = b"{}") -> tuple[bytes, bytes]:
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body), body


async def read_all(connection: UpstreamConnection) -> bytes:
    body = b""
    while piece := await connection.read():
        body += piece
    return body


async def ask(upstream: UpstreamPool, *, bodiless: bool = False) -> tuple[int, bytes]:
    """One whole exchange."""
    connection = await upstream.send(*request(), bodiless=bodiless)
    try:
        return connection.parser.status, await read_all(connection)
    finally:
        upstream.release(connection)


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        ([OK, KEEP], True),
        ([b"HTTP/1.1 204 No Content\r\n\r\n", KEEP], True),
        ([b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", KEEP], True),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\nX: y\r\n\r\n", KEEP], True),
        ([b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", KEEP], False),
        ([OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), KEEP], False),
        ([OK + b"x", KEEP], False),
        ([OK, b"HTTP/1.1 200 OK\r\n", KEEP], False),
        ([OK], False),
        ([b"HTTP/1.1 200 OK\r\n\r\nuntil it closes"], False),
    ],
)
async def test_only_a_clean_connection_is_used_again(
    engine: RawEngine, answer: list[bytes], kept: bool
) -> None:
    """Not one that was closed or is to be closed, nor one with bytes that nobody asked for."""
    engine.answers.append(answer)
    async with connected(engine.url) as upstream:
        status, _ = await ask(upstream)
        assert status in (200, 204, 304)
        # An engine that closes without a word may do so while the next request is on its way.
        await until(lambda: kept or not upstream._idle, "the close to be seen")
        assert await ask(upstream) == (200, b"{}")
    assert engine.connections == (1 if kept else 2)


async def test_the_connection_used_last_is_used_first(engine: RawEngine) -> None:
    """So that those that a burst needed come to their end."""
    async with connected(engine.url) as upstream:
        first, second = [await upstream.send(*request()) for _ in range(2)]
        for connection in (first, second):
            await read_all(connection)
            upstream.release(connection)
        third = await upstream.send(*request())
        assert third is second
        upstream.release(third)
    assert engine.connections == 2


async def test_a_connection_that_rests_is_given_up_before_the_engine_does(
    engine: RawEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uvicorn drops it after 5 s; a request that crossed that would be lost."""
    assert KEEP_IDLE_S + 0.5 < 5
    monkeypatch.setattr("proxy.upstream.pool.KEEP_IDLE_S", 0.05)
    async with connected(engine.url, idle_timeout_s=5) as upstream:
        await ask(upstream)
        await asyncio.wait_for(engine.left.wait(), 10)


async def test_a_close_that_only_the_kernel_knows_of_is_seen_before_a_request_is_sent() -> None:
    """The engine died a moment ago: the request goes to its successor, on a new connection."""
    loop = asyncio.get_running_loop()

    async def answer(engine: socket.socket) -> None:
        assert (await loop.sock_recv(engine, 4096)).endswith(b"\r\n\r\n{}")
        await loop.sock_sendall(engine, OK)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        async with connected(f"http://127.0.0.1:{listener.getsockname()[1]}") as upstream:
            for _ in range(2):
                asked = asyncio.ensure_future(ask(upstream))
                engine, _ = await asyncio.wait_for(loop.sock_accept(listener), 10)
                with engine:
                    await answer(engine)
                    assert await asked == (200, b"{}")
                # Closed just now: the loop has no turn before the next request is sent.


async def test_who_cannot_be_reached_has_seen_nothing(unused_tcp_port: int) -> None:
    """Nobody there, no such name, nobody who answers in time: it may be sent again."""
    async with connected(f"http://127.0.0.1:{unused_tcp_port}") as upstream:
        with pytest.raises(ConnectError):
            await ask(upstream)
    async with connected("http://nowhere.invalid:80") as upstream:
        with pytest.raises(ConnectError):
            await ask(upstream)

    async def never_shakes_hands(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with (
        serving(never_shakes_hands) as address,
        connected(f"https://{address}", connect_timeout_s=0.2) as upstream,
    ):
        with pytest.raises(ConnectError):
            await ask(upstream)


async def test_an_answer_that_comes_before_the_end_of_the_body_is_read() -> None:
    """The engine says 413 and closes, having read next to nothing of 16 MB."""
    answer = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!"

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async with serving(refuse) as address, connected(f"http://{address}") as upstream:
        connection = await upstream.send(*request(b"x" * 2**24))
        assert connection.parser.status == 413
        assert await read_all(connection) == b"no!"
        assert not connection.rest()
        upstream.release(connection)


async def test_16_mb_go_both_ways_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it changes; what a slow reader has not taken stays with the engine."""
    size = 2**24
    data = bytes(range(256)) * (size // 256)
    sent = 0

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(size)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for start in range(0, size, 2**16):
            writer.write(body[start : start + 2**16])
            await writer.drain()
            sent += 2**16

    async with serving(echo) as address, connected(f"http://{address}") as upstream:
        connection = await upstream.send(*request(data))
        before = -1
        while sent != before:  # until the engine is held up
            before = sent
            await asyncio.sleep(0.05)
        assert sent < size
        # One read of the loop's may go beyond the mark.
        assert connection.parser.buffered <= HIGH_WATER_BYTES + 2**18
        assert await read_all(connection) == data
        upstream.release(connection)
    assert sent == size


async def test_an_engine_that_takes_nothing_of_the_body_is_given_up() -> None:
    """It is silence like any other."""

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with serving(deaf) as address, connected(f"http://{address}", idle_timeout_s=0.2) as upstream:
        with pytest.raises(SilentError):
            await upstream.send(*request(b"x" * 2**25))


async def test_a_reader_that_takes_its_time_is_no_silence_of_the_engine() -> None:
    """The time-out counts from when the engine is waited for; how long it had to wait is known."""
    more = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 200001\r\n\r\n" + b"x" * 200_000)
        await more.wait()
        writer.write(b"y")
        await writer.drain()

    async with serving(serve) as address, connected(f"http://{address}", idle_timeout_s=0.3) as upstream:
        connection = await upstream.send(*request())
        await until(lambda: connection.parser.buffered > 2**16, "the reading to be paused")
        await asyncio.sleep(0.5)
        more.set()
        assert await read_all(connection) == b"x" * 200_000 + b"y"
        assert connection.paused_s >= 0.5
        upstream.release(connection)


async def test_silence_is_told_from_breaking_off(engine: RawEngine) -> None:
    """Before the head and within the body; the connection is closed."""
    begun = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"
    engine.answers += [[HANG], [begun, HANG], [b"HT"], [begun]]
    async with connected(engine.url, idle_timeout_s=0.7) as upstream:
        for error in (SilentError, SilentError, BrokeOffError, BrokeOffError):
            with pytest.raises(error):
                await ask(upstream)
    assert engine.connections == 4


async def test_who_leaves_closes_the_connection(engine: RawEngine) -> None:
    """Before the answer as within it: that is how the engine learns."""
    engine.answers += [[HANG], [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", HANG]]
    async with connected(engine.url) as upstream:
        for number in (1, 2):
            engine.left.clear()
            task = asyncio.ensure_future(ask(upstream))
            await until(lambda n=number: len(engine.requests) == n, "the engine to have the request")  # type: ignore[misc]
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait_for(engine.left.wait(), 10)
            with pytest.raises(asyncio.CancelledError):
                await task


async def test_an_answer_to_head_has_no_body(engine: RawEngine) -> None:
    """Whatever its head says."""
    engine.answers.append([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", KEEP])
    async with connected(engine.url) as upstream:
        assert await ask(upstream, bodiless=True) == (200, b"")
        assert await ask(upstream) == (200, b"{}")


async def test_an_engine_s_certificate_is_verified(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For its name; the connection is kept as any other, and 16 MB pass."""
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    names: list[str | None] = []
    tls.set_servername_callback(lambda _, name, __: names.append(name))
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.split()[-1]))
            writer.write(OK)

    async with serving(serve, tls) as address:
        async with connected(f"https://{address}") as upstream:
            with pytest.raises(ConnectError, match="certificate"):
                await ask(upstream)
        authority.cert_pem.write_to_path(directory / "ca.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(directory / "ca.pem"))
        async with connected(f"https://{address}") as upstream:
            for body in (b"{}", b"x" * 2**24, b"{}"):
                connection = await upstream.send(*request(body))
                assert await read_all(connection) == b"{}"
                upstream.release(connection)
        assert connections == 1
        async with connected(f"https://localhost:{address.split(':')[1]}") as upstream:
            with pytest.raises(ConnectError, match="localhost"):
                await ask(upstream)
    assert names[-1] == "localhost"


async def test_addresses_are_taken_apart() -> None:
    """An IPv6 address has brackets in the Host header alone; a default port is not named."""

    def parts(url: str) -> tuple[str, int, str, bytes]:
        made = UpstreamPool(url, writes=WriteBatcher(), connect_timeout_s=1, idle_timeout_s=1)
        return made._host, made._port, made.host_header, made.base_path

    assert parts("http://127.0.0.1:8000") == ("127.0.0.1", 8000, "127.0.0.1:8000", b"")
    assert parts("http://[::1]:8000/base/") == ("::1", 8000, "[::1]:8000", b"/base")
    assert parts("http://host/a%2fb") == ("host", 80, "host", b"/a%2Fb")
    assert parts("https://host") == ("host", 443, "host", b"")
