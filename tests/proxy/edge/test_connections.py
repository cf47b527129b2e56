"""Connections: how long each of their steps may take, and how many there may be."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import cast

import pytest
import trustme
from aiohttp import web

from proxy import errors
from proxy.edge.acceptor import KEPT_DESCRIPTORS, connection_limit, raise_descriptor_limit
from proxy.edge.connection import ClientConnection
from proxy.edge.limits import EdgeLimits
from proxy.edge.registry import ConnectionRegistry, RegisteredConnection
from proxy.health import Readiness
from proxy.log_format import LineLimit
from proxy.server import ProxyServer
from proxy.settings import ProxySettings
from proxy.tls import ServerCertificate
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.raw_client import PROBE, RawAnswer, RawClient, raw_client
from tests.support.upstream import FakeUpstream
from tests.support.wait import until

HEAD = b"GET /healthz HTTP/1.1\r\nHost: h\r\n"
SHORT = EdgeLimits(head_s=0.3, kept_s=0.6, linger_s=0.2, take_s=0.3, handshake_s=0.3)


def upload(key: str, *headers: str) -> bytes:
    """The head of a request with a body."""
    lines = ["POST /v1/completions HTTP/1.1", "Host: h", f"Authorization: Bearer {key}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


async def refusal(client: RawClient) -> RawAnswer:
    """The response after which the server closes the connection."""
    answer = await client.answer()
    assert answer is not None
    assert answer.headers["connection"] == "close"
    await client.ended()
    return answer


@pytest.fixture
async def short_proxy(settings: ProxySettings) -> AsyncIterator[RunningProxy]:
    """A proxy with short time limits."""
    async with running_proxy(settings, SHORT, send_buffer=8192) as proxy:
        yield proxy


async def test_a_head_that_does_not_come_to_its_end_is_a_408(short_proxy: RunningProxy) -> None:
    """However often a byte of it arrives. A connection on which nothing arrives is closed silently."""
    async with raw_client(short_proxy.url) as drip, raw_client(short_proxy.url) as silent:
        await drip.send(HEAD)

        async def go_on() -> None:
            while True:
                await drip.send(b"X: y\r\n")
                await asyncio.sleep(0.02)

        dripping = asyncio.ensure_future(go_on())
        answer = await refusal(drip)
        dripping.cancel()
        assert (answer.status, answer.code) == (408, "request_timeout")
        await silent.ended()
    await until(lambda: not len(short_proxy.connections), "both to be counted out")


async def test_the_next_head_has_its_time_from_its_first_byte_on(short_proxy: RunningProxy) -> None:
    """A connection that is kept without a request is closed after a longer time."""
    async with raw_client(short_proxy.url) as slow, raw_client(short_proxy.url) as idle:
        for client in (slow, idle):
            await client.send(HEAD + b"\r\n")
            answer = await client.answer()
            assert answer is not None
            assert answer.status == 200
        await slow.send(HEAD)
        assert (await refusal(slow)).status == 408
        await idle.ended()


async def test_a_body_that_trickles_is_a_408(
    settings: ProxySettings, upstream: FakeUpstream, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte now and then is not enough. A body that arrives steadily may take longer than that."""
    monkeypatch.setattr("proxy.edge.body.IDLE_S", 0.3)
    monkeypatch.setattr("proxy.edge.body.MIN_BYTES_PER_S", 1000)
    async with running_proxy(settings, SHORT) as proxy:
        async with raw_client(proxy.url) as client:
            await client.send(upload(key, "Content-Length: 1000"))

            async def trickle() -> None:
                while True:
                    await client.send(b"x")
                    await asyncio.sleep(0.02)

            trickling = asyncio.ensure_future(trickle())
            answer = await client.answer()
            trickling.cancel()
            assert answer is not None
            assert (answer.status, answer.code) == (408, "request_timeout")
            assert b"slower than" in answer.body
        assert upstream.received == []
        async with raw_client(proxy.url) as client:
            monkeypatch.setattr("proxy.edge.body.IDLE_S", 1.5)
            monkeypatch.setattr("proxy.edge.body.MIN_BYTES_PER_S", 100)
            await client.send(upload(key, "Content-Length: 1000"))
            for _ in range(8):
                await client.send(b"x" * 125)
                await asyncio.sleep(0.25)
            outcome = await client.outcome(1, closes=False)
        assert outcome.statuses == [200]
        assert upstream.received[0].body == b"x" * 1000


@asynccontextmanager
async def connected(proxy: RunningProxy, count: int) -> AsyncIterator[list[RawClient]]:
    """This number of connections that have had a request each, in order."""
    async with AsyncExitStack() as stack:
        clients = []
        for _ in range(count):
            client = await stack.enter_async_context(raw_client(proxy.url))
            await client.send(HEAD + b"\r\n")
            assert await client.answer() is not None
            clients.append(client)
        yield clients


async def test_at_the_bound_the_connection_idle_for_longest_goes(settings: ProxySettings) -> None:
    """The others and the new one are served."""
    async with (
        running_proxy(replace(settings, max_connections=12)) as proxy,
        connected(proxy, 3) as (first, second, third),  # a quarter of 12
    ):
        await first.send(HEAD + b"\r\n")
        assert await first.answer() is not None, "the first is the youngest now"
        async with raw_client(proxy.url) as new:
            assert (await new.outcome(0, closes=False)).closed is False
        await second.ended()
        for client in (first, third):
            assert (await client.outcome(0, closes=False)).closed is False


async def test_who_takes_nothing_of_an_answer_makes_room(settings: ProxySettings) -> None:
    """Without a key: requests ahead of their answers, of which nothing is read."""
    async with running_proxy(replace(settings, max_connections=4), send_buffer=8192) as proxy:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", int(proxy.url.rsplit(":", 1)[1])))
            client.setblocking(False)

            def is_behind() -> bool:
                with contextlib.suppress(BlockingIOError):
                    client.send((HEAD + b"\r\n") * 100)
                made = cast("list[ClientConnection]", proxy.connections.established())
                return bool(made) and made[0].writing_paused

            await until(is_behind, "the answers to wait for their reader")
            async with raw_client(proxy.url) as new:
                assert (await new.outcome(0, closes=False)).closed is False


async def test_who_does_not_send_the_body_of_a_refused_request_makes_room(
    settings: ProxySettings,
) -> None:
    """The answer has been sent, and the rest of the body is only waited for."""
    async with (
        running_proxy(replace(settings, max_connections=4)) as proxy,
        raw_client(proxy.url) as slow,
    ):
        await slow.send(upload("no-key", "Content-Length: 1000"))
        answer = await slow.answer()
        assert answer is not None
        assert answer.status == 401
        async with raw_client(proxy.url) as new:
            assert (await new.outcome(0, closes=False)).closed is False
        await slow.ended()


async def test_where_all_connections_have_a_request_the_new_one_is_a_503(
    settings: ProxySettings, upstream: FakeUpstream, key: str
) -> None:
    """Its error is `server_is_overloaded`, and it is closed. Requests under way are not affected."""
    upstream.behaviour = upstream.hold
    async with running_proxy(replace(settings, max_connections=4)) as proxy:
        running = asyncio.ensure_future(_chat(proxy, key))
        await until(lambda: upstream.running, "the request to be with the engine")
        async with raw_client(proxy.url) as new:
            answer = await refusal(new)
        assert (answer.status, answer.code) == (503, "server_is_overloaded")
        assert answer.headers["retry-after"] == "2"
        upstream.go_on.set()
        assert await running == 200


async def _chat(proxy: RunningProxy, key: str) -> int:
    async with proxy.chat(key) as response:
        await response.read()
        return int(response.status)


class _Closable:
    def __init__(self) -> None:
        self.left = False

    def leave(self) -> None:
        self.left = True

    def drain(self) -> None: ...

    def cut(self) -> None: ...


async def test_one_address_has_a_quarter_of_the_connections() -> None:
    """An IPv6 /64 counts as one address, a mapped IPv4 address as IPv4, and an exempt one not at all."""
    connections = ConnectionRegistry(8, exempt=[ip_network("10.0.0.0/8")])

    def enter(host: str) -> RegisteredConnection | None:
        entry = connections.enter(host)
        if entry is not None:
            entry.connection = _Closable()
        return entry

    assert enter("192.0.2.1")
    assert enter("::ffff:192.0.2.1")
    assert enter("192.0.2.1") is None
    first = enter("2001:db8::1")
    assert first
    idle = first.connection
    assert isinstance(idle, _Closable)
    assert enter("2001:db8::ffff:1%eth0")
    assert enter("2001:db8::2") is None
    connections.waits(first)
    assert enter("2001:db8::2"), "the idle one has made room"
    assert idle.left
    assert all(enter("10.1.2.3") for _ in range(4))
    assert enter("10.1.2.3") is None, "the bound of all holds for it too"
    assert len(connections) == 8


def test_the_descriptors_bound_the_connections(caplog: pytest.LogCaptureFixture) -> None:
    """Each connection may need two, and some are kept. The limit of open files is raised."""
    assert connection_limit(100, KEPT_DESCRIPTORS + 200) == 100
    assert caplog.text == ""
    assert connection_limit(100, KEPT_DESCRIPTORS + 100) == 50
    assert "ulimit -n" in caplog.text
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, before[1]), before[1]))
    try:
        assert raise_descriptor_limit() == min(before[1], 65_536)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_a_client_that_takes_no_answer_does_not_keep_its_connection(
    settings: ProxySettings, upstream: FakeUpstream, key: str
) -> None:
    """A complete response that waits in the proxy for its reader does not keep the connection open."""
    async with running_proxy(settings, SHORT, send_buffer=8192) as proxy:

        async def until_it_waits(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            (connection,) = proxy.connections.established()
            assert isinstance(connection, ClientConnection)
            while connection.transport and not connection.transport.get_write_buffer_size():
                await response.write(b":" * 16_384)
                await asyncio.sleep(0.005)
            return response

        upstream.behaviour = until_it_waits
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", int(proxy.url.rsplit(":", 1)[1])))
            client.send(upload(key, "Content-Length: 0"))
            (row,) = await proxy.rows(1)
            assert (row["status_code"], row["error"]) == (200, None)
            await until(lambda: not len(proxy.connections), "the connection to be given up")


async def test_a_client_that_asks_on_and_takes_nothing_is_cut_off(short_proxy: RunningProxy) -> None:
    """This needs no key; without it such a connection would last as long as its client likes."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", int(short_proxy.url.rsplit(":", 1)[1])))
        client.setblocking(False)

        def ask_on() -> bool:
            with contextlib.suppress(BlockingIOError, ConnectionError):
                client.send((HEAD + b"\r\n") * 100)
            return not len(short_proxy.connections)

        await until(lambda: len(short_proxy.connections), "the connection to be accepted")
        await until(ask_on, "the connection to be given up")


async def test_a_tls_handshake_has_its_time_too(settings: ProxySettings, directory: Path) -> None:
    """A client that sends nothing, or no TLS, is closed and counted out. Others are served."""
    authority = trustme.CA()
    pem = directory / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(pem)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    listener = socket.create_server(("127.0.0.1", 0))
    async with ProxyServer(
        settings, listener, certificate=ServerCertificate(pem, pem), limits=SHORT
    ) as server:
        url = f"http://127.0.0.1:{server.address[1]}"
        async with raw_client(url) as silent, raw_client(url) as plain:
            await plain.send(PROBE)
            with contextlib.suppress(ConnectionError):
                await asyncio.wait_for(plain.reader.read(), 10)
            await silent.ended()
        reader, writer = await asyncio.open_connection(*server.address, ssl=client_context)
        client = RawClient(reader, writer)
        assert (await client.outcome(0, closes=False)).closed is False
        writer.close()
        await until(lambda: not len(server.connections), "all to be counted out")


async def test_a_head_that_begins_behind_a_request_has_its_time_too(
    short_proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """It has that time from its first byte after the response on; then the client gets a 408."""
    upstream.behaviour = upstream.hold
    async with raw_client(short_proxy.url) as client:
        await client.send(upload(key, "Content-Length: 2") + b"{}")
        await until(lambda: upstream.running, "the request to be with the engine")
        await client.send(HEAD)
        upstream.go_on.set()
        answer = await client.answer()
        assert answer is not None
        assert answer.status == 200
        assert (await refusal(client)).status == 408


async def test_a_user_who_is_cut_off_while_slow_takes_nobody_along(
    settings: ProxySettings, upstream: FakeUpstream, key: str, create_user: Callable[..., str]
) -> None:
    """The next request on the same connection, which may be another user's, is answered."""

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while True:
            await response.write(b"data: " + b"z" * 50_000 + b"\n\n")

    bob = create_user("bob")
    upstream.behaviour = endless
    async with running_proxy(settings, send_buffer=8192) as proxy, raw_client(proxy.url) as client:
        transport = cast("asyncio.Transport", client.writer.transport)
        transport.pause_reading()
        await client.send(upload(key, "Content-Length: 2") + b"{}")
        seen: list[bool] = []
        await until(lambda: _stays_blocked(proxy, seen), "the proxy to wait for the client for good")
        await client.send(
            f"GET /v1/models HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {bob}\r\n\r\n".encode()
        )
        upstream.behaviour = None
        proxy.app.running.end_all(errors.user_inactive())
        await until(lambda: not proxy.under_way(), "the request to have been ended")
        transport.resume_reading()
        first, second = await client.answer(), await client.answer()
        assert first is not None
        assert second is not None
        assert b"user_inactive" in first.body
        assert second.status == 200


def _stays_blocked(proxy: RunningProxy, seen: list[bool]) -> bool:
    """Whether a client was blocked at each of the last 20 calls."""
    connections = proxy.connections.established()
    seen.append(any(isinstance(one, ClientConnection) and one.writing_paused for one in connections))
    return len(seen) > 20 and all(seen[-20:])


async def test_a_defect_of_the_proxy_is_a_500_and_in_the_log(
    short_proxy: RunningProxy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The client gets it at once, and the connection is closed."""

    async def broken(_: object) -> bool:
        raise RuntimeError("a defect")

    monkeypatch.setattr(Readiness, "_database", broken)
    async with raw_client(short_proxy.url) as client:
        await client.send(b"GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await refusal(client)).status == 500
    assert "a defect" in caplog.text


async def test_a_flood_of_what_is_not_http_is_no_flood_of_lines(
    proxy: RunningProxy, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten lines a second; the next line says how many were left out."""
    limit = proxy.connections.refusal_lines = LineLimit(10, clock=lambda: 0.0)
    port = int(proxy.url.rsplit(":", 1)[1])

    async def refused() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"no http\r\n\r\n")
        assert b" 400 " in await asyncio.wait_for(reader.readline(), 30)
        writer.close()

    with caplog.at_level("INFO", logger="proxy.edge.connection"):
        await asyncio.gather(*(refused() for _ in range(50)))
        limit._clock = lambda: 1.0
        await refused()
    lines = [record for record in caplog.records if "not valid HTTP" in record.message]
    assert len(lines) == 11
    assert lines[-1].fields["left_out_before"] == 40  # type: ignore[attr-defined]
