"""Clients that close their sending side: who still reads gets the response, who has gone is noticed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest
from aiohttp import web

from tests.support.proxy import RunningProxy
from tests.support.raw_client import RawAnswer, RawClient, raw_client
from tests.support.upstream import FakeUpstream, events
from tests.support.wait import until


def request(key: str, *, version: str = "1.1", path: str = "/v1/completions") -> bytes:
    """A request with a body of two bytes."""
    lines = [f"POST {path} HTTP/{version}", "Host: h", f"Authorization: Bearer {key}"]
    return "\r\n".join([*lines, "Content-Length: 2"]).encode() + b"\r\n\r\n{}"


async def final_answer(client: RawClient) -> RawAnswer:
    """The next response that is not an interim one."""
    while True:
        answer = await client.answer()
        assert answer is not None
        if answer.status >= 200:
            return answer


async def test_a_client_that_only_closes_its_sending_side_gets_its_response(
    proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """Then the connection ends. What it sent behind the first request is answered too."""
    upstream.behaviour = upstream.hold
    async with raw_client(proxy.url) as client:
        await client.send(request(key) + b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        client.writer.write_eof()
        await until(lambda: upstream.running, "the request to be with the engine")
        assert await asyncio.wait_for(client.reader.readexactly(12), 10) == b"HTTP/1.1 100"
        await client.reader.readuntil(b"\r\n\r\n")
        upstream.go_on.set()
        assert (await final_answer(client)).status == 200
        assert (await final_answer(client)).body == b'{"status":"ok"}'
        await client.ended()
    (row,) = await proxy.rows(1)
    assert (row["status_code"], row["error"]) == (200, None)


@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_a_client_that_has_gone_does_not_hold_the_engine(
    proxy: RunningProxy, upstream: FakeUpstream, key: str, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looks like the other one until something is sent to it; to HTTP/1.0 nothing can be sent."""
    monkeypatch.setattr("proxy.edge.half_close.SILENT_S", 0.2)
    upstream.behaviour = upstream.stall
    with socket.socket() as client:
        client.connect(("127.0.0.1", int(proxy.url.rsplit(":", 1)[1])))
        client.sendall(request(key, version=version))
        await until(lambda: upstream.running, "the request to be with the engine")
    await asyncio.wait_for(upstream.left.wait(), 10)
    (row,) = await proxy.rows(1)
    assert (row["status_code"], row["error"]) == (499, "client_left")


async def test_a_client_that_goes_in_a_silent_stream_does_not_hold_the_engine(
    proxy: RunningProxy, upstream: FakeUpstream, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No probe can be sent within a response, and the engine may be silent for minutes."""
    monkeypatch.setattr("proxy.edge.half_close.SILENT_S", 0.2)
    upstream.behaviour = upstream.stream_and_stall
    async with raw_client(proxy.url) as client:
        await client.send(request(key, path="/v1/chat/completions"))
        await client.reader.readuntil(events("one")[0])
    await asyncio.wait_for(upstream.left.wait(), 10)
    (row,) = await proxy.rows(1)
    assert (row["status_code"], row["error"]) == (499, "client_left")


async def test_a_stream_goes_on_for_a_client_that_reads_it(
    proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """Its own bytes show that the client is there: nothing else is written into it."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(received: web.Request) -> web.StreamResponse:
        begun.set()
        await go_on.wait()
        return await upstream.stream(received)

    upstream.behaviour = slow
    async with raw_client(proxy.url) as client:
        await client.send(request(key, path="/v1/chat/completions"))
        await begun.wait()
        client.writer.write_eof()
        go_on.set()
        answer = await final_answer(client)
        assert answer.body == b"".join(events("one", "two"))
        await client.ended()


async def test_an_upload_that_its_client_ends_early_has_left(
    proxy: RunningProxy, create_user: Callable[..., str]
) -> None:
    """The rest of the body cannot come any more."""
    key = create_user("alice")
    async with raw_client(proxy.url) as client:
        await client.send(request(key)[:-1])
        await until(proxy.under_way, "the request to have begun")
        client.writer.write_eof()
        await client.ended()
    (row,) = await proxy.rows(1)
    assert (row["status_code"], row["error"]) == (499, "client_left")
