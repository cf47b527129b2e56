"""Requests behind one another on a connection: all answered, in order, and in bounded memory."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from pathlib import Path

import psutil
import pytest

from proxy.edge.limits import EdgeLimits
from proxy.settings import ProxySettings
from tests.support.process import ProxyProcess
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.raw_client import RawClient, raw_client
from tests.support.upstream import FakeUpstream
from tests.support.wait import until

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
UPGRADE = HEALTH[:-2] + b"Connection: Upgrade\r\nUpgrade: %b\r\n\r\n"


def upload(key: str, body: bytes) -> bytes:
    """A request with a body."""
    lines = ["POST /v1/completions HTTP/1.1", "Host: h", f"Authorization: Bearer {key}"]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}"]).encode() + b"\r\n\r\n" + body


async def send_all(client: RawClient, sent: bytes, piece: int) -> None:
    """Send it in pieces of about this size."""
    for start in range(0, len(sent), piece):
        await client.send(sent[start : start + piece])


async def test_ten_thousand_requests_at_once_are_answered(proxy: RunningProxy) -> None:
    """Each once; and then the connection is as good as before."""
    async with raw_client(proxy.url) as client:
        sending = asyncio.ensure_future(client.send(HEALTH * 10_000))
        for _ in range(10_000):
            answer = await client.answer()
            assert answer is not None
            assert answer.status == 200
        await sending
        assert (await client.outcome(0, closes=False)).closed is False


async def test_others_get_their_turn_between_pipelined_requests(proxy: RunningProxy) -> None:
    """One that comes later is answered before a hundred that came in one piece."""
    async with raw_client(proxy.url) as greedy, raw_client(proxy.url) as other:
        await other.send(HEALTH)
        assert await other.answer() is not None
        await greedy.send(HEALTH * 400)
        await other.send(HEALTH)
        late = await other.answer()
        answers = [await greedy.answer() for _ in range(400)]
        last = answers[-1]
        assert late is not None
        assert last is not None
        # Ids are in the order of time.
        assert late.headers["x-request-id"] < last.headers["x-request-id"]


@pytest.mark.parametrize("seed", range(4))
async def test_however_the_bytes_are_cut_each_request_is_answered_once(
    settings: ProxySettings, upstream: FakeUpstream, key: str, seed: int
) -> None:
    """Bodies of all sizes and requests without one, in order, whole."""
    chance = random.Random(seed)  # noqa: S311 - for repeating a run, not for secrets
    sizes = [chance.choice((0, 1, 700, 20_000, 70_000)) for _ in range(30)]
    bodies = [b"%d:" % number + b"x" * size for number, size in enumerate(sizes)]
    sent = b"".join(HEALTH + upload(key, body) + HEALTH for body in bodies)
    async with running_proxy(settings) as proxy, raw_client(proxy.url) as client:
        sending = asyncio.ensure_future(send_all(client, sent, chance.choice((37_000, 5_000, 900))))
        assert (await client.outcome(3 * len(bodies), closes=False)).statuses == [200] * 3 * len(bodies)
        await sending
    assert [received.body for received in upstream.received] == bodies


async def test_empty_lines_before_a_request_are_ignored(settings: ProxySettings) -> None:
    """Also behind a response: they are no head, and the connection is kept (RFC 9112, section 2.2)."""
    limits = EdgeLimits(head_s=0.2, kept_s=20)
    async with running_proxy(settings, limits) as proxy, raw_client(proxy.url) as client:
        await client.send(b"\r\n", HEALTH + b"\r\n")
        assert await client.answer() is not None
        await asyncio.sleep(0.5)  # longer than a head may take
        assert (await client.outcome(0, closes=False)).closed is False


async def test_a_head_that_has_begun_is_not_cut_by_the_time_for_idle_connections(
    settings: ProxySettings,
) -> None:
    """It has its own time, from its first byte on."""
    limits = EdgeLimits(head_s=20, kept_s=0.3)
    async with running_proxy(settings, limits) as proxy, raw_client(proxy.url) as client:
        await client.send(HEALTH)
        assert await client.answer() is not None
        await client.send(HEALTH[:10])
        await asyncio.sleep(0.6)  # longer than an idle connection is kept
        await client.send(HEALTH[10:])
        answer = await client.answer()
        assert answer is not None
        assert answer.status == 200


@pytest.mark.parametrize(("protocol", "behind", "kept"), [(b"h2c", b"", True), (b"h2c", HEALTH, False),
                                                          (b"websocket", b"", False)])  # fmt: skip
async def test_a_request_to_upgrade_is_answered_in_http(
    proxy: RunningProxy, protocol: bytes, behind: bytes, kept: bool
) -> None:
    """The connection is kept where that is safe; the response says so where it is not."""
    async with raw_client(proxy.url) as client:
        await client.send(UPGRADE % protocol + behind)
        answer = await client.answer()
        assert answer is not None
        assert answer.status == 200
        assert ("connection" in answer.headers) is not kept
        if kept:
            assert (await client.outcome(0, closes=False)).closed is False
        else:
            await client.ended()


def _resident(process: ProxyProcess) -> int:
    assert process.process is not None
    return int(psutil.Process(process.process.pid).memory_info().rss)


def _flood(connections: list[socket.socket], data: bytes) -> None:
    for connection in connections:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while connection.send(data):
                pass


async def test_pipelined_heads_without_a_key_take_little_memory(
    directory: Path, database_url: str, upstream: FakeUpstream
) -> None:
    """60 connections send as much as they can and read nothing: less than 256 KB of memory for each."""
    configuration = {
        "LLAMA_SERVER_DATABASE_URL": database_url,
        "LLAMA_SERVER_BACKEND_URL": upstream.url,
    }
    # As many headers as a head may have: parsed, each takes many times its size.
    head = b"GET /v1/models HTTP/1.1\r\nHost: h\r\n" + b"".join(b"%d:\r\n" % n for n in range(95))
    data = (head + b"\r\n") * 300
    async with ProxyProcess(directory, **configuration) as proxy:
        before = _resident(proxy)
        with contextlib.ExitStack() as stack:
            connections = []
            for _ in range(60):
                connection = socket.create_connection(("127.0.0.1", proxy.port))
                stack.enter_context(connection)
                connection.setblocking(False)
                connections.append(connection)
            end, peak = time.monotonic() + 3, before
            while time.monotonic() < end:
                await asyncio.to_thread(_flood, connections, data)
                peak = max(peak, _resident(proxy))
                await asyncio.sleep(0.05)
        assert peak - before < 60 * 256 * 1024
        await until(proxy.answers, "the proxy to answer")
