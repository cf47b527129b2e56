"""What is charged for a request that ends early: what the engine did for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from proxy import errors
from proxy.settings import ProxySettings
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.upstream import CHAT, FakeUpstream, drop, events
from tests.support.wait import until

LIMIT = 10_000
USED = {"prompt_tokens": 1200, "completion_tokens": 30, "cached_tokens": 1000}
EARLY = b': usage {"prompt_tokens":900,"completion_tokens":0,"cached_tokens":0}\n\n'


async def begin(request: web.Request, *pieces: bytes, headers: Any = None) -> web.StreamResponse:
    """A response that begins with these pieces; a stream unless the headers say otherwise."""
    headers = headers or {"Content-Type": "text/event-stream"}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    for piece in pieces:
        await response.write(piece)
    return response


async def never(_: web.Request) -> web.StreamResponse:
    """The prompt is being evaluated, and nothing has come."""
    await asyncio.Event().wait()
    raise AssertionError


async def stream_for_ever(request: web.Request) -> web.StreamResponse:
    """The early usage, two events, and then no end."""
    await begin(request, EARLY, *events("one")[:2])
    return await never(request)


async def whole_for_ever(request: web.Request) -> web.StreamResponse:
    """A whole response with its usage in the header, whose text has come and whose logprobs have not."""
    usage = json.dumps({"prompt_tokens": 700, "completion_tokens": 500, "cached_tokens": 0})
    text = b'{"choices": [{"message": {"content": "all of it"}, "logprobs": ['
    headers = {"Content-Type": "application/json", "X-Llamaserve-Usage": usage}
    await begin(request, text, headers=headers)
    return await never(request)


@pytest.fixture
async def our_proxy(settings: ProxySettings, upstream: FakeUpstream) -> AsyncIterator[RunningProxy]:
    """A proxy that knows its engine to be ours."""
    upstream.slots = 2
    async with running_proxy(settings) as proxy:
        await until(lambda: proxy.app.turns.engine_is_ours, "the engine to be known")
        yield proxy


@pytest.fixture
def key(create_user: Callable[..., str]) -> str:
    """The key of a user with a token limit."""
    return create_user("alice", token_limit=LIMIT)


async def leave(
    proxy: RunningProxy, upstream: FakeUpstream, key: str, seen: bytes, **fields: Any
) -> None:
    """Send a chat request and leave, once the engine has it, or once this has been received."""

    async def read() -> None:
        async with proxy.chat(key, **fields) as response:
            received = b""
            while seen not in received:
                received += await response.content.readany()
        # The response is closed before its end: the connection is too.

    before = len(upstream.received)
    reading = asyncio.create_task(read())
    await until(lambda: len(upstream.received) > before, "the engine to have the request")
    if seen:
        await reading
    else:
        reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await asyncio.wait_for(upstream.left.wait(), 10)


async def tokens_left(proxy: RunningProxy, upstream: FakeUpstream, key: str) -> int:
    """What the user's token window has left, from the headers of a further request."""
    upstream.behaviour = None
    async with proxy.chat(key) as response:
        assert response.status == 200
        return int(response.headers["x-ratelimit-remaining-tokens"])


@pytest.mark.parametrize(
    ("behaviour", "seen", "tokens"),
    [
        (never, b"", (1200, 30)),
        (stream_for_ever, b"one", (1200, 30)),
        (whole_for_ever, b"all of it", (700, 500)),
    ],
    ids=["before the first byte", "in a stream", "in a whole response"],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_is_charged_what_the_engine_did(
    our_proxy: RunningProxy, upstream: FakeUpstream, key: str,
    behaviour: Callable[[web.Request], Awaitable[web.StreamResponse]],
    seen: bytes, tokens: tuple[int, int], stream: bool,
) -> None:  # fmt: skip
    """The row and the token window have the engine's own figures, wherever the client left."""
    upstream.behaviour, upstream.usage = behaviour, USED
    await leave(our_proxy, upstream, key, seen, stream=stream)
    (row,) = await our_proxy.rows(1)
    assert (row["status_code"], row["error"]) == (499, "client_left")
    assert (row["prompt_tokens"], row["completion_tokens"]) == tokens
    assert await tokens_left(our_proxy, upstream, key) == LIMIT - sum(tokens)
    request_id = upstream.received[0].headers["x-llamaserve-request"]
    assert upstream.asked == ([] if behaviour is whole_for_ever else [request_id])
    assert our_proxy.at_engine() == 0


async def test_if_the_engine_does_not_tell_what_was_seen_is_charged(
    our_proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """The prompt as the early comment told it, and a token for each event that came."""
    upstream.behaviour = stream_for_ever
    await leave(our_proxy, upstream, key, b"one", stream=True)
    (row,) = await our_proxy.rows(1)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (900, 2)
    assert await tokens_left(our_proxy, upstream, key) == LIMIT - 902
    assert len(upstream.asked) == 1


async def test_the_turn_lasts_until_the_engine_has_stopped(
    our_proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """Until the engine has told what it did it may still be at work: the slot is not free yet."""
    upstream.behaviour, upstream.usage, upstream.settle = never, USED, asyncio.Event()
    await leave(our_proxy, upstream, key, b"")
    await until(lambda: upstream.asked, "the engine to be asked")
    assert (our_proxy.at_engine(), our_proxy.under_way()) == (1, 0)
    upstream.settle.set()
    await until(lambda: our_proxy.at_engine() == 0, "the turn to end")
    assert await our_proxy.rows(1)


async def test_a_request_that_is_cut_off_is_charged_what_the_engine_did(
    our_proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """As when its key is revoked in the middle of a stream."""
    upstream.behaviour, upstream.usage = stream_for_ever, USED
    async with our_proxy.chat(key, stream=True) as response:
        await response.content.readuntil(b"one")
        our_proxy.app.running.end_all(errors.proxy_stopping())
        assert b'"stopping"' in await response.read()
    (row,) = await our_proxy.rows(1)
    assert (row["status_code"], row["error"]) == (503, "stopping")
    assert (row["prompt_tokens"], row["completion_tokens"]) == (1200, 30)
    assert await tokens_left(our_proxy, upstream, key) == LIMIT - 1230


async def test_a_proxy_that_stops_still_settles(
    settings: ProxySettings, upstream: FakeUpstream, key: str
) -> None:
    """The row of a request that the drain has ended has the engine's figures."""
    upstream.slots, upstream.behaviour, upstream.usage = 2, stream_for_ever, USED
    async with running_proxy(replace(settings, drain_s=0.1)) as proxy:
        await until(lambda: proxy.app.turns.engine_is_ours, "the engine to be known")
        response = await proxy.chat(key, stream=True)
        await response.content.readuntil(b"one")
    response.close()
    (row,) = await proxy.rows(1)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (1200, 30)


async def test_a_whole_stream_is_charged_its_last_usage(
    our_proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """Not the early one; the engine is not asked, and the comments pass as comments."""
    final = b': usage {"prompt_tokens":900,"completion_tokens":3,"cached_tokens":0}\n\n'

    async def stream(request: web.Request) -> web.StreamResponse:
        return await begin(request, EARLY, *events("one")[:-1], final, events()[-1])

    upstream.behaviour = stream
    async with our_proxy.chat(key, stream=True) as response:
        body = await response.read()
    assert body == EARLY + b"".join(events("one")[:-1]) + final + events()[-1]
    (row,) = await our_proxy.rows(1)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (900, 3)
    assert upstream.asked == []


async def test_the_usage_header_is_not_the_client_s(
    our_proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """It is between engine and proxy; the row has it."""
    usage = {"X-Llamaserve-Usage": '{"prompt_tokens":70,"completion_tokens":30,"cached_tokens":0}'}

    async def whole(_: web.Request) -> web.StreamResponse:
        return web.json_response(CHAT, headers=usage)

    upstream.behaviour = whole
    async with our_proxy.chat(key) as response:
        assert not {name for name in response.headers if name.lower().startswith("x-llamaserve")}
    (row,) = await our_proxy.rows(1)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (70, 30)


async def test_another_engine_is_not_asked(
    proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """It knows nothing of it: the charge is an estimate from what came."""
    upstream.behaviour = upstream.stream_and_stall
    await leave(proxy, upstream, key, b"one", stream=True)
    (row,) = await proxy.rows(1)
    assert row["prompt_tokens"] is None
    assert LIMIT - 100 < await tokens_left(proxy, upstream, key) < LIMIT
    assert upstream.asked == []


async def test_an_engine_that_breaks_off_is_asked_in_vain(
    our_proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """The client learns of it at once, the row comes, the turn ends."""

    async def broken(request: web.Request) -> web.StreamResponse:
        response = await begin(request, EARLY, events("one")[1])
        await drop(request)
        return response

    upstream.behaviour = broken
    async with our_proxy.chat(key, stream=True) as response:
        assert b'"upstream_error"' in await response.read()
    (row,) = await our_proxy.rows(1)
    assert (row["status_code"], row["prompt_tokens"]) == (502, 900)
    assert our_proxy.at_engine() == 0
