"""The usage of streams from engines that are not ours: asked for, recorded, and not shown unasked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import orjson
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from proxy.upstream.foreign_usage import (
    MAX_EVENT_BYTES,
    THREAD_FROM_BYTES,
    UsageChunks,
    asking_for_usage,
)
from tests.support.proxy import RunningProxy
from tests.support.upstream import FakeUpstream, events
from tests.support.wait import until

COMMENT = b': usage {"prompt_tokens":5,"completion_tokens":6}\n\n'
CHUNK = (
    b'data: {"id":"1","choices":[],"usage":{"prompt_tokens":5,"total_tokens":11,"completion_tokens":6,'
    b'"prompt_tokens_details":{"cached_tokens":0}}}\n\n'
)
*TEXT, DONE = events("one", "two")


class Asked:
    """An engine that tells the usage of streams as OpenAI does: in a chunk, and when asked."""

    def __init__(self, upstream: FakeUpstream, *, length: bool = False) -> None:
        self._upstream = upstream
        self._length = length
        """Whether it tells the length of its stream beforehand."""

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        fields = json.loads(self._upstream.received[-1].body)
        asked = (fields.get("stream_options") or {}).get("include_usage") is True
        pieces = [*TEXT, *[CHUNK] * asked, DONE]
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        if self._length:
            response.content_length = sum(map(len, pieces))
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        return response


async def stream(proxy: RunningProxy, key: str, body: bytes) -> bytes:
    """What a client gets that sends this body."""
    async with proxy.request("POST", "/v1/chat/completions", key=key, data=body) as response:
        assert response.status == 200
        content: bytes = await response.read()
        return content


@pytest.mark.parametrize("length", [False, True])
async def test_a_client_that_did_not_ask_sees_no_usage_and_is_charged_exactly(
    proxy: RunningProxy, upstream: FakeUpstream, create_user: Callable[..., str], length: bool
) -> None:
    """Its record and its token window have the engine's numbers; the rest of its body is untouched."""
    key = create_user("alice", token_limit=1000)
    upstream.behaviour = Asked(upstream, length=length)
    assert await stream(proxy, key, b'{ "stream":true,  "x": 1.50}') == b"".join([*TEXT, COMMENT, DONE])
    (received,) = upstream.received
    assert received.body == b'{"stream_options":{"include_usage":true}, "stream":true,  "x": 1.50}'
    (row,) = await proxy.rows(1)
    assert (row["prompt_tokens"], row["completion_tokens"], row["tokens_charged"]) == (5, 6, 11)
    assert (row["status_code"], row["error"], row["request_bytes"]) == (200, None, 28)
    async with proxy.chat(key) as response:
        assert int(response.headers["x-ratelimit-remaining-tokens"]) == 989


async def test_a_client_that_asks_sees_the_chunk(
    proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """Its request and the response pass as they are."""
    upstream.behaviour = Asked(upstream)
    body = b'{"stream": true, "stream_options": {"include_usage": true}}'
    assert await stream(proxy, key, body) == b"".join([*TEXT, CHUNK, DONE])
    assert upstream.received[-1].body == body
    (row,) = await proxy.rows(1)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (5, 6)


async def test_an_escaped_field_is_found(proxy: RunningProxy, upstream: FakeUpstream, key: str) -> None:
    """The engine understands it, so it must not hide the usage from the record."""
    upstream.behaviour = Asked(upstream)
    body = b'{"str\\u0065am": true}'
    assert await stream(proxy, key, body) == b"".join([*TEXT, COMMENT, DONE])


async def test_our_own_engine_is_not_asked_in_the_body(
    proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """It is asked by a header: the body passes untouched."""
    upstream.slots = 2
    proxy.app.turns.engine_broke()  # and so its health is asked for again
    await until(lambda: proxy.app.turns.engine_is_ours, "the engine to be known")
    upstream.behaviour = Asked(upstream)
    assert await stream(proxy, key, b'{"stream": true}') == b"".join([*TEXT, DONE])
    assert upstream.received[-1].body == b'{"stream": true}'


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ("null", {"include_usage": True}),
        ('{"include_usage": false, "x": [1]}', {"include_usage": True, "x": [1]}),
        ("{}", {"include_usage": True}),
    ],
)
def test_options_that_do_not_ask_are_completed(options: str, sent: dict[str, object]) -> None:
    """The other fields stay."""
    body = b'{"stream": true, "stream_options": %b, "n": 1}' % options.encode()
    asking = asyncio.run(asking_for_usage(body))
    assert asking is not None
    assert orjson.loads(asking) == {"stream": True, "stream_options": sent, "n": 1}


@pytest.mark.parametrize(
    "body",
    [
        b'{"stream": true, "stream_options": {"include_usage": true}}',
        b'{"stream": false}',
        b'{"messages": "stream: true"}',
        b'{"stream": true, "stream_options": "wrong"}',
        b'{"stream": true, ',
        b"[true]",
        b"",
    ],
)
def test_other_bodies_are_left_alone(body: bytes) -> None:
    """Those that ask, are no streams, or that the engine will refuse."""
    assert asyncio.run(asking_for_usage(body)) is None


def test_a_long_body_asks_too() -> None:
    """It is parsed in a thread."""
    body = orjson.dumps({"stream": True, "prompt": "x" * THREAD_FROM_BYTES})
    asking = asyncio.run(asking_for_usage(body))
    assert asking is not None
    assert orjson.loads(asking)["stream_options"] == {"include_usage": True}


def _through(body: bytes, size: int) -> bytes:
    chunks = UsageChunks()
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(
        [chunks.feed(piece, last=number == len(pieces) - 1) for number, piece in enumerate(pieces)]
    )


@given(st.integers(1, 400), st.sampled_from([b"\n\n", b"\r\n\r\n"]))
def test_the_chunk_is_found_however_the_network_cuts_it(size: int, blank_line: bytes) -> None:
    """Everything else passes byte for byte, also without a final blank line."""
    pieces = [piece.replace(b"\n\n", blank_line) for piece in (*TEXT, b": ping\n\n", CHUNK, DONE)]
    shown = b"".join([*pieces[:-2], COMMENT, pieces[-1]])
    assert _through(b"".join(pieces), size) == shown
    assert _through(b"".join(pieces)[:-1], size) == shown[:-1]


@given(st.binary(max_size=2000), st.integers(1, 500))
def test_what_is_no_usage_chunk_passes(noise: bytes, size: int) -> None:
    """Whatever an engine sends: a chunk with choices, an usage of null, what is no JSON."""
    others = (
        b'data: {"choices":[],"usage":null}\n\n'
        b'data: {"choices":[],"prompt_filter_results":[]}\n\n'
        b'data: {"choices":[{"text":"\\"choices\\":[]"}],"usage":{"prompt_tokens":1}}\n\n'
        b'data: {"choices":[] and more}\n\n'
        b'event: x\ndata: {"choices":[],"usage":{"prompt_tokens":1}}\n\n'
    )
    assert _through(others + noise, size) == others + noise


def test_an_event_is_held_back_within_a_bound() -> None:
    """An engine that sends one without an end cannot fill the memory."""
    chunks = UsageChunks()
    sent = 0
    for _ in range(100):
        sent += len(chunks.feed(b"data: " + b"x" * 10_000, last=False))
    assert sent >= 100 * 10_000 - MAX_EVENT_BYTES
