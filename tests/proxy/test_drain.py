"""The drain: what has begun may end, what has not is not begun, and what is cut is told so."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import psycopg
from aiohttp import web

from proxy.edge.connection import ClientConnection
from proxy.edge.limits import EdgeLimits
from proxy.server import ProxyServer
from proxy.settings import ProxySettings
from tests.support.raw_client import RawAnswer, RawClient, raw_client
from tests.support.upstream import FakeUpstream, events
from tests.support.wait import until

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
LIMITS = EdgeLimits(fresh_s=0.3)


class Draining:
    """A proxy that can be told to drain."""

    def __init__(self, settings: ProxySettings, limits: EdgeLimits) -> None:
        self.settings = settings
        self.server = ProxyServer(settings, socket.create_server(("127.0.0.1", 0)), limits=limits)
        self.url = f"http://127.0.0.1:{self.server.address[1]}"
        self.drained: asyncio.Task[None] | None = None

    def drain(self) -> None:
        """Begin; `drained` ends with it."""
        self.drained = asyncio.ensure_future(self.server.__aexit__(None, None, None))

    async def end(self) -> None:
        """Wait for it."""
        assert self.drained is not None
        await asyncio.wait_for(self.drained, 20)

    def blocked(self) -> bool:
        """Whether a client takes nothing of what is to be written."""
        connections = self.server.connections.established()
        return any(isinstance(one, ClientConnection) and one.writing_paused for one in connections)

    def rows(self) -> list[tuple[object, ...]]:
        """Status and error of each record."""
        with psycopg.connect(self.settings.database_url) as connection:
            query = "SELECT status_code, error FROM llama_requests ORDER BY id"
            return connection.execute(query).fetchall()


@asynccontextmanager
async def serving(settings: ProxySettings, limits: EdgeLimits = LIMITS) -> AsyncIterator[Draining]:
    """A proxy for as long as the context lasts."""
    draining = Draining(settings, limits)
    await draining.server.__aenter__()
    try:
        yield draining
    finally:
        if draining.drained is None:
            draining.drain()
        await draining.end()


def chat(key: str, body: bytes = b"{}", *, length: int | None = None) -> bytes:
    """A request for a chat, with all of its body or a part."""
    size = len(body) if length is None else length
    lines = ["POST /v1/chat/completions HTTP/1.1", "Host: h", f"Authorization: Bearer {key}"]
    return "\r\n".join([*lines, f"Content-Length: {size}"]).encode() + b"\r\n\r\n" + body


async def last_answer(client: RawClient) -> RawAnswer:
    """The answer on a connection that is then closed."""
    answer = await client.answer()
    assert answer is not None
    await client.ended()
    return answer


async def test_all_that_has_begun_may_end(
    settings: ProxySettings, upstream: FakeUpstream, key: str
) -> None:
    """A head, an upload, a request that waits, one at the engine: answered, and then closed."""
    upstream.behaviour = upstream.hold
    async with (
        serving(settings) as proxy,
        raw_client(proxy.url) as head,
        raw_client(proxy.url) as upload,
        raw_client(proxy.url) as runs,
        raw_client(proxy.url) as waits,
    ):
        await head.send(HEALTH[:20])
        await runs.send(chat(key))
        await until(lambda: upstream.running, "a request to be with the engine")
        await waits.send(chat(key))
        await upload.send(chat(key, b"1", length=2))
        await until(lambda: len(proxy.server.app.running) == 3, "all to have begun")
        proxy.drain()
        await until(lambda: _refused(proxy.url), "the listener to be closed")
        await head.send(HEALTH[20:])
        assert (await last_answer(head)).headers["connection"] == "close"
        await upload.send(b"2")
        upstream.go_on.set()
        for client in (upload, runs, waits):
            answer = await last_answer(client)
            assert (answer.status, answer.headers["connection"]) == (200, "close")
        await proxy.end()
        assert proxy.rows() == [(200, None)] * 3


def _refused(url: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(url.rsplit(":", 1)[1]))) != 0


async def test_idle_connections_close_and_fresh_ones_have_a_moment(settings: ProxySettings) -> None:
    """One that has just been accepted has its request on the way, one that is kept has not."""
    async with (
        serving(settings, EdgeLimits(late_s=0.05, fresh_s=2.5)) as proxy,
        raw_client(proxy.url) as kept,
        raw_client(proxy.url) as fresh,
        raw_client(proxy.url) as silent,
    ):
        await kept.send(HEALTH)
        assert await kept.answer() is not None
        await until(lambda: len(proxy.server.connections) == 3, "all to be accepted")
        proxy.drain()
        await kept.ended()
        await fresh.send(HEALTH)
        assert (await last_answer(fresh)).status == 200
        await silent.ended()
        await proxy.end()


async def test_a_request_that_crosses_the_drain_on_a_kept_connection_is_answered(
    settings: ProxySettings,
) -> None:
    """It was sent before its client could know; its response says that it is the last."""
    async with serving(settings, EdgeLimits(late_s=5.0)) as proxy, raw_client(proxy.url) as kept:
        await kept.send(HEALTH)
        assert await kept.answer() is not None
        proxy.drain()
        await until(lambda: _refused(proxy.url), "the listener to be closed")
        await kept.send(HEALTH)
        answer = await last_answer(kept)
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        await proxy.end()


async def test_what_does_not_end_in_time_is_told_so(
    settings: ProxySettings, upstream: FakeUpstream, key: str
) -> None:
    """503 `stopping`, in a stream as an event, to an upload too; and each has its record."""
    upstream.behaviour = upstream.stream_and_stall
    async with (
        serving(replace(settings, drain_s=0.2)) as proxy,
        raw_client(proxy.url) as runs,
        raw_client(proxy.url) as waits,
        raw_client(proxy.url) as upload,
    ):
        await runs.send(chat(key))
        await until(lambda: upstream.running, "a request to be with the engine")
        await waits.send(chat(key))
        await until(lambda: proxy.server.app.turns.waiting() == 1, "one to wait")
        await upload.send(chat(key, b"1", length=2))
        await until(lambda: len(proxy.server.app.running) == 3, "the third to have begun")
        proxy.drain()
        stream = await runs.answer()
        assert stream is not None
        assert stream.body.startswith(events("one")[0])
        last = stream.body.rstrip().rpartition(b"data: ")[2]
        assert json.loads(last)["error"]["code"] == "stopping"
        for client in (waits, upload):
            answer = await client.answer()
            assert answer is not None
            assert (answer.status, answer.code) == (503, "stopping")
            assert (answer.headers["connection"], answer.headers["retry-after"]) == ("close", "2")
        await proxy.end()
        assert proxy.rows() == [(503, "stopping")] * 3


async def test_a_drain_can_be_cut_short(
    settings: ProxySettings, upstream: FakeUpstream, key: str
) -> None:
    """What runs is told so at once."""
    upstream.behaviour = upstream.stall
    async with serving(replace(settings, drain_s=600)) as proxy, raw_client(proxy.url) as client:
        await client.send(chat(key))
        await until(lambda: upstream.running, "the request to be with the engine")
        proxy.drain()
        proxy.server.hurry()
        assert (await last_answer(client)).code == "stopping"
        await proxy.end()


async def test_a_client_that_takes_nothing_does_not_hold_up_the_end(
    settings: ProxySettings, upstream: FakeUpstream, key: str
) -> None:
    """Its record is written, and its connection cut."""

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while True:
            await response.write(b":" * 65_536)

    upstream.behaviour = endless
    async with serving(replace(settings, drain_s=0.0)) as proxy:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(proxy.server.address)
            client.send(chat(key))
            await until(proxy.blocked, "the proxy to wait for the client")
            proxy.drain()
            await proxy.end()
        assert proxy.rows() == [(503, "stopping")]
