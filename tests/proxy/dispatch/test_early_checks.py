"""A mistake in a request is told while the request waits: the engine checks it before its turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from proxy.settings import ProxySettings
from tests.support.engine import API_KEY, Engine
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.upstream import FakeUpstream
from tests.support.wait import until

LONG = {"max_tokens": 2000, "stream": True, "ignore_eos": True, "min_tokens": 2000}


@pytest.fixture
async def busy(
    settings: ProxySettings, engine: Engine, create_user: Callable[..., str]
) -> AsyncIterator[RunningProxy]:
    """A proxy whose only turn is taken by a long answer of the real engine."""
    settings = replace(
        settings, backend_url=engine.url, backend_key=API_KEY, max_concurrent=1, queue_grace_s=0.2
    )
    async with running_proxy(settings) as proxy:
        await until(lambda: proxy.app.turns.engine_is_ours, "the engine to be known")
        async with proxy.chat(create_user("other"), **LONG) as running:
            await running.content.readuntil(b"data: ")
            yield proxy
            running.close()


async def test_a_mistake_does_not_wait_for_a_turn(
    busy: RunningProxy, create_user: Callable[..., str]
) -> None:
    """The engine's own 400 comes at once, and counts as if the request had been sent."""
    key = create_user("alice")
    begun = time.monotonic()
    for path, body, param in (
        ("/v1/completions", {"prompt": "x", "n": 3, "best_of": 2}, "best_of"),
        ("/v1/chat/completions", {"messages": []}, "messages"),
    ):
        async with busy.request("POST", path, key=key, json=body) as response:
            answer = await response.json()
            assert (response.status, answer["error"]["param"]) == (400, param)
    assert time.monotonic() - begun < 5
    assert response.headers["x-ratelimit-remaining-requests"] == "58"
    assert busy.at_engine() == 1


async def test_a_good_request_waits_on_and_its_check_takes_no_turn(
    busy: RunningProxy, create_user: Callable[..., str]
) -> None:
    """Also one that asks for a stream, whose comments have begun it, and one that leaves."""
    key = create_user("alice")
    waiting = busy.chat(key, max_tokens=2, stream=True)
    response = await waiting
    comment = await response.content.readline()
    assert comment.startswith(b": queued")
    await asyncio.sleep(0.3)
    assert (busy.waiting(), busy.at_engine()) == (1, 1)
    response.close()
    await until(lambda: busy.waiting() == 0, "the request to have left")


async def test_the_error_of_a_stream_that_has_begun_is_an_event(
    settings: ProxySettings, upstream: FakeUpstream, create_user: Callable[..., str]
) -> None:
    """A check that takes longer than the grace ends the stream with the engine's message."""
    upstream.slots = 1
    told = asyncio.Event()

    async def behave(request: web.Request) -> web.StreamResponse:
        if request.path == "/internal/validate/v1/messages":
            await told.wait()
            error = {"message": "top_k: bad", "type": "invalid_request_error", "param": "top_k"}
            return web.json_response({"error": error | {"code": None}}, status=400)
        return await upstream.hold(request)

    upstream.behaviour = behave
    async with running_proxy(replace(settings, queue_grace_s=0.1)) as proxy:
        await until(lambda: proxy.app.turns.engine_is_ours, "the engine to be known")
        first = asyncio.create_task(_read(proxy, create_user("other")))
        await until(lambda: proxy.at_engine() == 1, "the first request to be at the engine")
        async with proxy.request(
            "POST", "/v1/messages", key=create_user("alice"), json={"stream": True}
        ) as response:
            assert (await response.content.readline()).startswith(b": queued")
            told.set()
            rest = await response.read()
        assert b"event: error\n" in rest
        assert b"top_k: bad" in rest
        upstream.go_on.set()
        await first


async def test_a_check_that_fails_is_no_failure_of_the_request(
    settings: ProxySettings, upstream: FakeUpstream, create_user: Callable[..., str]
) -> None:
    """An engine that knows no such path, or answers nonsense: the request waits for its turn."""
    upstream.slots = 1
    answers = [(404, {"error": {"code": "unknown_url"}}), (400, []), (500, {}), (503, {})]

    async def behave(request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/internal/validate"):
            status, answer = answers.pop()
            return web.json_response(answer, status=status)
        return await upstream.hold(request)

    upstream.behaviour = behave
    async with running_proxy(settings) as proxy:
        await until(lambda: proxy.app.turns.engine_is_ours, "the engine to be known")
        key = create_user("alice")
        tasks = [asyncio.create_task(_read(proxy, key)) for _ in range(5)]
        await until(lambda: not answers, "four requests to be checked")
        upstream.go_on.set()
        assert await asyncio.gather(*tasks) == [200] * 5


async def _read(proxy: RunningProxy, key: str) -> int:
    response: Any
    async with proxy.chat(key) as response:
        await response.read()
        return int(response.status)
