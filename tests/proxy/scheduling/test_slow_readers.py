"""Clients that take their responses slowly: they hold up nobody but themselves."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import psycopg
import pytest
from aiohttp import web

from proxy.settings import ProxySettings
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.slow_reader import slow_reader
from tests.support.upstream import CHAT, FakeUpstream, events
from tests.support.wait import until

SEND_BUFFER_BYTES = 4096
WAIT_S = 10.0
"""A turn that hung on the slow client would come minutes later."""
LOGPROBS = json.dumps({"logprobs": "x" * 560_000} | CHAT).encode()
"""As large as 500 tokens with `top_logprobs: 20`."""
MIB = 2**20


async def with_logprobs(_: web.Request) -> web.StreamResponse:
    """A whole response of 560 KB."""
    return web.Response(body=LOGPROBS, content_type="application/json")


async def long_stream(request: web.Request) -> web.StreamResponse:
    """A stream of 2 MiB."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for event in events(*["x" * 1024] * 2048):
        await response.write(event)
    return response


def port_of(proxy: RunningProxy) -> int:
    return int(proxy.url.rsplit(":", 1)[1])


@pytest.fixture
async def narrow_proxy(settings: ProxySettings) -> AsyncIterator[RunningProxy]:
    """A proxy with one slot whose kernel holds next to nothing of a response."""
    async with running_proxy(settings, send_buffer=SEND_BUFFER_BYTES) as proxy:
        yield proxy


async def ask(proxy: RunningProxy, key: str) -> float:
    """How long a chat request took, in seconds."""
    began = time.monotonic()
    async with asyncio.timeout(WAIT_S), proxy.chat(key) as response:
        assert response.status == 200
        await response.read()
    return time.monotonic() - began


@pytest.mark.parametrize("behaviour", [with_logprobs, long_stream])
@pytest.mark.parametrize("bytes_per_s", [0, 1024, 16_384])
async def test_a_slow_reader_does_not_hold_the_engine(
    narrow_proxy: RunningProxy,
    upstream: FakeUpstream,
    create_user: Callable[..., str],
    behaviour: Callable[[web.Request], object],
    bytes_per_s: int,
) -> None:
    """The next user gets the engine's only slot as soon as the engine has sent its last byte."""
    slow, next_user = create_user("slow"), create_user("next")
    upstream.behaviour = behaviour  # type: ignore[assignment]
    async with slow_reader(port_of(narrow_proxy), slow, bytes_per_s=bytes_per_s):
        await until(lambda: bool(upstream.received), "the engine to have the slow client's request")
        upstream.behaviour = None
        waited_s = await ask(narrow_proxy, next_user)
        print(f"{behaviour.__name__} read at {bytes_per_s} B/s: the next user waited {waited_s:.3f} s")
        assert narrow_proxy.at_engine() == 0
        assert narrow_proxy.under_way() == 1


async def test_a_slow_reader_gets_all_of_its_response(
    narrow_proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """What waited in memory comes whole, and the row has the engine's status."""
    upstream.behaviour = with_logprobs
    async with slow_reader(port_of(narrow_proxy), key, bytes_per_s=2 * MIB) as reader:
        await until(lambda: bytes(reader.received).endswith(LOGPROBS), "all of the response")
    (row,) = await narrow_proxy.rows(1)
    assert (row["status_code"], row["error"]) == (200, None)
    assert row["response_bytes"] == len(LOGPROBS)
    assert row["completion_tokens"] == 3


async def test_slow_readers_of_cheap_requests_do_not_hold_up_the_list_of_models(
    narrow_proxy: RunningProxy, upstream: FakeUpstream, create_user: Callable[..., str]
) -> None:
    """16 slow readers of /extras/detokenize: another user's GET /v1/models is answered at once."""
    slow, other = create_user("slow"), create_user("other")
    upstream.behaviour = with_logprobs
    async with AsyncExitStack() as stack:
        for _ in range(16):
            reader = slow_reader(
                port_of(narrow_proxy), slow, path="/extras/detokenize", bytes_per_s=1024
            )
            await stack.enter_async_context(reader)
        await until(lambda: len(upstream.received) >= 4, "the slow requests to reach the engine")
        async with (
            asyncio.timeout(WAIT_S),
            narrow_proxy.request("GET", "/v1/models", key=other) as response,
        ):
            assert response.status == 200


async def test_the_list_of_models_waits_for_no_tokenizing(
    proxy: RunningProxy, upstream: FakeUpstream, create_user: Callable[..., str]
) -> None:
    """However many tokenizing requests hang at the engine; and one user gets a share of them only."""
    greedy, others = create_user("greedy"), [create_user(f"user{number}") for number in range(4)]
    upstream.behaviour = upstream.hold
    path = "/extras/tokenize"
    tasks = [asyncio.create_task(_status(proxy, greedy, path)) for _ in range(10)]
    await until(lambda: upstream.running == 4, "the greedy user's share to be used up")
    await until(lambda: proxy.waiting() == 6, "the rest to wait")
    tasks += [asyncio.create_task(_status(proxy, key, path)) for key in others for _ in range(4)]
    await until(lambda: upstream.running == 16, "the others to get their turns")
    upstream.behaviour = None
    async with asyncio.timeout(WAIT_S), proxy.request("GET", "/v1/models", key=greedy) as response:
        assert response.status == 200
    upstream.go_on.set()
    assert set(await asyncio.gather(*tasks)) == {200}


async def _status(proxy: RunningProxy, key: str, path: str) -> int:
    async with proxy.request("POST", path, key=key, json={}) as response:
        return int(response.status)


async def test_beyond_the_bound_a_client_that_takes_nothing_is_cut_off_soon(
    settings: ProxySettings, upstream: FakeUpstream, create_user: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """It holds its turn then, so it has seconds to take something; the row says client_stalled."""
    monkeypatch.setattr("proxy.edge.slow_clients.TURN_GRACE_S", 0.5)
    slow, next_user = create_user("slow"), create_user("next")
    upstream.behaviour = long_stream
    settings = replace(settings, user_response_memory_bytes=100_000)
    async with (
        running_proxy(settings, send_buffer=SEND_BUFFER_BYTES) as proxy,
        slow_reader(port_of(proxy), slow, bytes_per_s=0),
    ):
        await until(lambda: bool(upstream.received), "the engine to have the request")
        upstream.behaviour = None
        waited_s = await ask(proxy, next_user)
        print(f"beyond the bound: the next user waited {waited_s:.3f} s")
        rows = await proxy.rows(2)
    assert (rows[0]["status_code"], rows[0]["error"]) == (499, "client_stalled")
    assert (rows[1]["status_code"], rows[1]["error"]) == (200, None)


async def test_beyond_the_bound_a_client_that_keeps_the_least_rate_goes_on(
    settings: ProxySettings, upstream: FakeUpstream, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is slower than the engine and faster than it must be: it gets its whole stream."""
    monkeypatch.setattr("proxy.edge.slow_clients.TURN_GRACE_S", 0.2)
    upstream.behaviour = long_stream
    settings = replace(settings, user_response_memory_bytes=100_000)
    async with (
        running_proxy(settings, send_buffer=SEND_BUFFER_BYTES) as proxy,
        slow_reader(port_of(proxy), key, bytes_per_s=2 * MIB) as reader,
    ):
        await until(lambda: bytes(reader.received).endswith(b"0\r\n\r\n"), "the end", deadline_s=60)
        (row,) = await proxy.rows(1)
    assert (row["status_code"], row["error"]) == (200, None)


async def test_one_user_s_slow_readers_use_up_that_user_s_memory_only(
    settings: ProxySettings, upstream: FakeUpstream, create_user: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """With the slow user's memory full, another user's response is still buffered whole."""
    monkeypatch.setattr("proxy.edge.slow_clients.TURN_GRACE_S", 0.5)
    slow, other, next_user = create_user("slow"), create_user("other"), create_user("next")
    upstream.behaviour = with_logprobs
    settings = replace(settings, user_response_memory_bytes=MIB, response_memory_bytes=8 * MIB)
    async with (
        running_proxy(settings, send_buffer=SEND_BUFFER_BYTES) as proxy,
        AsyncExitStack() as stack,
    ):
        for number, key in enumerate([slow, slow, slow, slow, other]):
            reader = slow_reader(port_of(proxy), key, bytes_per_s=1024)
            await stack.enter_async_context(reader)
            await until(lambda n=number: len(upstream.received) == n + 1, "the request to arrive")  # type: ignore[misc]
        upstream.behaviour = None
        await ask(proxy, next_user)
        held = proxy.app.slow_clients.held_bytes
        assert 500_000 < held < 2 * MIB + 5 * 2**17


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "shared"])
async def test_a_limit_that_is_set_while_a_client_reads_counts_what_it_used(
    settings: ProxySettings,
    upstream: FakeUpstream,
    create_user: Callable[..., str],
    database_url: str,
    shared: bool,
) -> None:
    """The engine was done before the user had a limit; the record came after the window began."""
    key = create_user("alice", token_budget=1000)
    upstream.behaviour = with_logprobs
    async with (
        running_proxy(replace(settings, shared=shared), send_buffer=SEND_BUFFER_BYTES) as proxy,
        slow_reader(port_of(proxy), key, bytes_per_s=0) as reader,
    ):
        await until(lambda: upstream.received and not proxy.at_engine(), "the engine to be done")
        upstream.behaviour = None
        with psycopg.connect(database_url) as connection:
            connection.execute("UPDATE llama_users SET token_limit = 25")
        await until(lambda: _remaining(proxy, key, 25), "the limit to be known")
        await ask(proxy, key)
        assert proxy.under_way() == 1, "the slow client must still be reading"
        await until(lambda: _remaining(proxy, key, 15), "the second request to be charged")
        reader.connection.close()
        await until(lambda: proxy.under_way() == 0, "the slow client to be gone")
        await until(lambda: _remaining(proxy, key, 5), "the first request to be charged")
        async with proxy.request("GET", "/v1/usage", key=key) as response:
            (budget,) = (await response.json())["budgets"]
        assert budget["used"] == 20


async def _remaining(proxy: RunningProxy, key: str, tokens: int) -> bool:
    async with proxy.request("GET", "/v1/usage", key=key) as response:
        windows = (await response.json())["windows"]
    return [window["remaining"] for window in windows[1:]] == [tokens]
