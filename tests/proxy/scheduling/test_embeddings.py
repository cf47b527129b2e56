"""Requests for embeddings do not wait for those that generate if the engine has a model for each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest
from aiohttp import web

from proxy.settings import ProxySettings
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.upstream import CHAT, FakeUpstream
from tests.support.wait import until

PATHS = ("/v1/embeddings", "/v1/rerank", "/v2/rerank", "/rerank", "/v1/reranking")


async def status_of(proxy: RunningProxy, key: str, path: str) -> int:
    async with proxy.request("POST", path, key=key, json={"input": "tea"}) as response:
        await response.read()
        return int(response.status)


def send(proxy: RunningProxy, key: str, path: str, count: int) -> list[asyncio.Task[int]]:
    return [asyncio.create_task(status_of(proxy, key, path)) for _ in range(count)]


def at_engine(upstream: FakeUpstream) -> int:
    """Requests for embeddings that the engine has got."""
    return sum(received.path == PATHS[0] for received in upstream.received)


async def test_embeddings_pass_by_requests_that_generate(
    settings: ProxySettings, upstream: FakeUpstream, key: str
) -> None:
    """On every path: while a chat has the only slot and another waits."""
    upstream.slots, upstream.embedding_slots = 1, 8
    release = asyncio.Event()

    async def hold_chats(request: web.Request) -> web.StreamResponse:
        if "chat" in request.path:
            await release.wait()
        return web.json_response(CHAT)

    upstream.behaviour = hold_chats
    async with running_proxy(settings) as proxy:
        await until(lambda: proxy.app.turns.engine_is_ours, "the slots to be read")
        chats = send(proxy, key, "/v1/chat/completions", 2)
        await until(lambda: (upstream.running, proxy.waiting()) == (1, 1), "one to run, one to wait")
        assert [await status_of(proxy, key, path) for path in PATHS] == [200] * len(PATHS)
        queues = proxy.app.turns.queues
        assert (queues["generate"].running, queues["embed"].limit) == (1, 8)
        release.set()
        assert set(await asyncio.gather(*chats)) == {200}


async def test_one_user_has_a_share_of_the_slots_for_embeddings(
    settings: ProxySettings, upstream: FakeUpstream, create_user: Callable[..., str]
) -> None:
    """Half of the eight; another user's request does not wait for theirs, and none loses one."""
    upstream.slots, upstream.embedding_slots, upstream.behaviour = 1, 8, upstream.hold
    many, few = create_user("many"), create_user("few")
    async with running_proxy(settings) as proxy:
        await until(lambda: proxy.app.turns.engine_is_ours, "the slots to be read")
        tasks = send(proxy, many, PATHS[0], 9)
        await until(lambda: at_engine(upstream) == 4, "four of them to run")
        tasks += send(proxy, few, PATHS[0], 1)
        await until(lambda: at_engine(upstream) == 5, "the other user's to run")
        upstream.go_on.set()
        assert set(await asyncio.gather(*tasks)) == {200}


async def test_embeddings_wait_their_turn_where_the_same_model_makes_them(
    proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """An engine that reports no slots for them gets one request at a time, whichever it is."""
    upstream.behaviour = upstream.hold
    tasks = send(proxy, key, "/v1/chat/completions", 1) + send(proxy, key, PATHS[0], 1)
    await until(lambda: (upstream.running, proxy.waiting()) == (1, 1), "the second to wait")
    assert "embed" not in proxy.app.turns.queues  # its requests are counted once
    upstream.go_on.set()
    assert set(await asyncio.gather(*tasks)) == {200}
    assert upstream.most == 1


@pytest.mark.parametrize("path", PATHS)
async def test_their_tokens_are_recorded_and_charged(
    settings: ProxySettings, upstream: FakeUpstream, create_user: Callable[..., str], path: str
) -> None:
    """As the engine's header tells; the next request finds the window of tokens used up."""
    used = {"prompt_tokens": 1200, "completion_tokens": 0, "cached_tokens": 0}

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"data": []}, headers={"X-Llamaserve-Usage": json.dumps(used)})

    upstream.slots, upstream.embedding_slots, upstream.behaviour = 1, 8, answer
    key = create_user("alice", token_limit=1000)
    async with running_proxy(settings) as proxy:
        assert [await status_of(proxy, key, path) for _ in range(2)] == [200, 429]
        row, _ = await proxy.rows(2)
    assert (row["path"], row["prompt_tokens"], row["completion_tokens"]) == (path, 1200, 0)
