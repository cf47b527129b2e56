"""Turns at the engine over HTTP: who waits for whom, how long, and what they are told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import aiohttp
import openai
import pytest
from aiohttp import web

from proxy.settings import ProxySettings
from tests.support.process import free_port
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.upstream import CHAT, FakeUpstream, drop, events, fake_upstream
from tests.support.wait import until

Answer = tuple[int, dict[str, Any]]


async def ask(proxy: RunningProxy, key: str, **fields: Any) -> Answer:
    """Status and JSON body of a chat completion."""
    async with proxy.chat(key, **fields) as response:
        return response.status, await response.json()


def asking(proxy: RunningProxy, key: str, **fields: Any) -> asyncio.Task[Answer]:
    return asyncio.create_task(ask(proxy, key, **fields))


async def until_waiting(proxy: RunningProxy, count: int) -> None:
    await until(lambda: proxy.waiting() == count, f"{count} requests to wait")


def users_of(upstream: FakeUpstream) -> str:
    """Whose requests reached the engine, in order."""
    return "".join(json.loads(received.body)["user"] for received in upstream.received)


async def test_a_light_user_goes_before_a_heavy_one_s_queue(
    proxy: RunningProxy, upstream: FakeUpstream, create_user: Callable[..., str]
) -> None:
    """A has one request running and 32 waiting; B's is the next one served, and one runs at a time."""
    heavy, light = create_user("heavy"), create_user("light")
    upstream.behaviour = upstream.hold
    tasks = [asking(proxy, heavy, user="A") for _ in range(33)]
    await until_waiting(proxy, 32)
    tasks.append(asking(proxy, light, user="B"))
    await until_waiting(proxy, 33)
    upstream.go_on.set()
    assert {status for status, _ in await asyncio.gather(*tasks)} == {200}
    assert users_of(upstream) == "AB" + "A" * 32
    assert upstream.most == 1
    rows = await proxy.rows(34)
    assert [row["queue_ms"] > 0 for row in rows].count(False) == 1
    assert (proxy.waiting(), proxy.at_engine()) == (0, 0)


async def test_a_user_s_weight_is_turns_in_a_round(
    proxy: RunningProxy, upstream: FakeUpstream, create_user: Callable[..., str]
) -> None:
    """Weight 2 gets two turns to the other's one."""
    one, two = create_user("one"), create_user("two", weight=2)
    upstream.behaviour = upstream.hold
    tasks = [asking(proxy, one, user="a") for _ in range(4)]
    await until_waiting(proxy, 3)
    tasks += [asking(proxy, two, user="b") for _ in range(6)]
    await until_waiting(proxy, 9)
    upstream.go_on.set()
    await asyncio.gather(*tasks)
    assert users_of(upstream) == "abbabbabba"


async def test_over_the_share_of_one_user_is_a_503_that_uses_up_nothing(
    settings: ProxySettings, upstream: FakeUpstream, create_user: Callable[..., str]
) -> None:
    """With a time to come back; other users still find room."""
    key, other = create_user("alice"), create_user("bob")
    upstream.behaviour = upstream.hold
    async with running_proxy(replace(settings, user_queue_size=2, queue_size=3)) as proxy:
        tasks = [asking(proxy, key) for _ in range(3)]
        await until_waiting(proxy, 2)
        async with proxy.chat(key) as response:
            assert response.status == 503
            error = (await response.json())["error"]
            assert (error["type"], error["code"]) == (
                "service_unavailable_error",
                "server_is_overloaded",
            )
            assert "2 requests of yours wait" in error["message"]
            assert int(response.headers["retry-after"]) >= 1
            assert int(response.headers["retry-after-ms"]) >= 1
        tasks.append(asking(proxy, other))
        await until_waiting(proxy, 3)
        status, body = await ask(proxy, other)
        assert (status, body["error"]["code"]) == (503, "server_is_overloaded")
        assert "3 requests wait" in body["error"]["message"]
        upstream.go_on.set()
        assert {status for status, _ in await asyncio.gather(*tasks)} == {200}
        async with proxy.chat(key) as response:
            assert response.headers["x-ratelimit-remaining-requests"] == str(60 - 4)
        rows = await proxy.rows(7)
    refused = [row for row in rows if row["status_code"] == 503]
    assert [(row["error"], row["admitted"]) for row in refused] == [("server_is_overloaded", False)] * 2


async def test_waiting_has_an_end_and_uses_up_nothing(
    settings: ProxySettings, upstream: FakeUpstream, create_user: Callable[..., str]
) -> None:
    """After LLAMA_PROXY_QUEUE_TIMEOUT_SECONDS a 503; the place in the window is free again."""
    key = create_user("alice", rate_limit=2)
    upstream.behaviour = upstream.hold
    async with running_proxy(replace(settings, queue_timeout_s=0.2)) as proxy:
        first = asking(proxy, key)
        await until(lambda: upstream.running, "the first to run")
        status, body = await ask(proxy, key)
        assert (status, body["error"]["code"]) == (503, "server_is_overloaded")
        assert "no turn came within 0.2s" in body["error"]["message"]
        upstream.go_on.set()
        assert (await first)[0] == 200
        assert (await ask(proxy, key))[0] == 200
        assert (await ask(proxy, key))[0] == 429
        rows = await proxy.rows(4)
    assert [(row["status_code"], row["admitted"]) for row in rows] == [
        (200, True),
        (503, False),
        (200, True),
        (429, False),
    ]
    assert 200 <= rows[1]["queue_ms"] <= rows[1]["latency_ms"]
    assert rows[3]["queue_ms"] is None


async def test_a_client_that_leaves_gives_up_its_place(
    proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """The engine never sees its request; it counts, and its row says how long it waited."""
    upstream.behaviour = upstream.hold
    first = asking(proxy, key)
    await until(lambda: upstream.running, "the first to run")
    second = asking(proxy, key)
    await until_waiting(proxy, 1)
    second.cancel()
    await until_waiting(proxy, 0)
    upstream.go_on.set()
    assert (await first)[0] == 200
    assert len(upstream.received) == 1
    row = (await proxy.rows(2))[1]
    assert (row["status_code"], row["error"], row["admitted"]) == (499, "client_left", True)
    assert row["queue_ms"] > 0
    assert proxy.at_engine() == 0


async def test_what_generates_nothing_waits_for_no_generation(
    proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """Models and tokenizing are answered while a generation runs and another waits."""
    upstream.behaviour = upstream.hold
    tasks = [asking(proxy, key) for _ in range(2)]
    await until_waiting(proxy, 1)
    await until(lambda: upstream.running, "the other to be with the engine")
    upstream.behaviour = None
    for method, path in [
        ("GET", "/v1/models"),
        ("GET", "/v1/models/x"),
        ("POST", "/extras/tokenize"),
        ("POST", "/extras/tokenize/count"),
        ("POST", "/extras/detokenize"),
    ]:
        async with proxy.request(method, path, key=key) as response:
            assert response.status == 200
    assert proxy.waiting() == 1
    upstream.go_on.set()
    await asyncio.gather(*tasks)


async def test_max_concurrent_holds_back_one_user_and_no_other(
    wide_proxy: RunningProxy, upstream: FakeUpstream, create_user: Callable[..., str]
) -> None:
    """Where the engine would take more, the user's further requests wait."""
    narrow, other = create_user("narrow", max_concurrent=2), create_user("other")
    upstream.behaviour = upstream.hold
    tasks = [asking(wide_proxy, narrow) for _ in range(5)]
    await until_waiting(wide_proxy, 3)
    tasks += [asking(wide_proxy, other) for _ in range(3)]
    await until(lambda: upstream.running == 5, "two of the one, three of the other")
    upstream.go_on.set()
    await asyncio.gather(*tasks)
    assert wide_proxy.at_engine() == 0


async def lines_until(response: aiohttp.ClientResponse, wanted: bytes) -> bytes:
    """What has come of a body, up to and with a line that begins so."""
    read = b""
    while not (line := await response.content.readline()).startswith(wanted):
        assert line, read
        read += line
    return read + line


async def test_a_stream_that_waits_long_is_told_its_place(
    settings: ProxySettings, upstream: FakeUpstream, key: str
) -> None:
    """After the grace: headers and a comment; then the engine's events, and a row as any stream's."""
    upstream.behaviour = upstream.hold
    async with running_proxy(replace(settings, queue_grace_s=0.1)) as proxy:
        first = [asking(proxy, key) for _ in range(2)]
        await until_waiting(proxy, 1)
        async with proxy.chat(key, stream=True) as response:
            assert response.status == 200
            assert response.content_type == "text/event-stream"
            assert response.headers["x-request-id"].startswith("req_")
            assert response.headers["x-ratelimit-remaining-requests"] == "57"
            comment = await lines_until(response, b"\n")
            assert comment == b": queued, 1 ahead\n\n"
            upstream.behaviour = upstream.as_asked
            upstream.go_on.set()
            rest = await response.read()
            assert rest == b"".join(events("one", "two"))
        await asyncio.gather(*first)
        row = (await proxy.rows(3))[2]
    assert (row["status_code"], row["stream"], row["error"]) == (200, True, None)
    assert row["response_bytes"] == len(comment + rest)
    assert 100 <= row["queue_ms"] <= row["ttft_ms"] <= row["latency_ms"]


@pytest.mark.parametrize("fields", [{}, {"stream": False}, {"metadata": {"stream": True}}])
async def test_one_that_wants_no_stream_is_told_nothing(
    settings: ProxySettings, upstream: FakeUpstream, key: str, fields: dict[str, Any]
) -> None:
    """It gets its answer, or its 503, whole, however long it has waited."""
    upstream.behaviour = upstream.hold
    changes = {"queue_grace_s": 0.05, "queue_timeout_s": 0.3}
    async with running_proxy(replace(settings, **changes)) as proxy:  # type: ignore[arg-type]
        first = asking(proxy, key)
        await until(lambda: upstream.running, "the first to run")
        status, body = await ask(proxy, key, **fields)
        assert (status, body["error"]["code"]) == (503, "server_is_overloaded")
        upstream.go_on.set()
        assert await first == (200, CHAT)


async def begun_stream(proxy: RunningProxy, key: str) -> aiohttp.ClientResponse:
    """A stream that waits behind another request and has had its first comment."""
    response: aiohttp.ClientResponse = await proxy.chat(key, stream=True)
    await lines_until(response, b": queued, 0 ahead")
    return response


async def test_after_the_grace_a_refusal_is_an_event(
    settings: ProxySettings, upstream: FakeUpstream, key: str
) -> None:
    """The status has gone out; the row has the true one, and the window its place back."""
    upstream.behaviour = upstream.stall
    changes = {"queue_grace_s": 0.05, "queue_timeout_s": 2.0}
    async with running_proxy(replace(settings, **changes)) as proxy:  # type: ignore[arg-type]
        first = asking(proxy, key)
        await until(lambda: upstream.running, "the first to run")
        async with await begun_stream(proxy, key) as response:
            rest = (await response.read()).strip()
        error = json.loads(rest.removeprefix(b"data: "))["error"]
        assert error["code"] == "server_is_overloaded"
        first.cancel()
        row = (await proxy.rows(2))[1]
    assert (row["status_code"], row["error"], row["stream"]) == (503, "server_is_overloaded", True)
    assert not row["admitted"]


async def test_after_the_grace_an_engine_s_error_is_an_event_in_its_words(
    settings: ProxySettings, upstream: FakeUpstream, key: str
) -> None:
    """The row has the engine's status, and the request counts."""

    async def refuse(_: web.Request) -> web.StreamResponse:
        error = {"message": "too long", "type": "invalid_request_error", "param": "messages"}
        return web.json_response({"error": error | {"code": "context_length_exceeded"}}, status=400)

    upstream.behaviour = upstream.hold
    async with running_proxy(replace(settings, queue_grace_s=0.05)) as proxy:
        first = asking(proxy, key)
        await until(lambda: upstream.running, "the first to run")
        async with await begun_stream(proxy, key) as response:
            upstream.behaviour = refuse
            upstream.go_on.set()
            rest = (await response.read()).strip()
        assert json.loads(rest.removeprefix(b"data: "))["error"] == {
            "message": "too long",
            "type": "invalid_request_error",
            "param": "messages",
            "code": "context_length_exceeded",
        }
        assert (await first)[0] == 200
        row = (await proxy.rows(2))[1]
    assert (row["status_code"], row["error"]) == (400, "context_length_exceeded")
    assert row["admitted"]


@pytest.mark.parametrize("kind", ["html", "json", "text", "drop"])
async def test_after_the_grace_any_other_answer_is_a_502_event(
    settings: ProxySettings, upstream: FakeUpstream, key: str, kind: str
) -> None:
    """What is neither a stream nor an error in the envelope, and what breaks off."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if kind == "drop":
            await drop(request)
        if kind == "html":
            return web.Response(status=500, text="<h1>no</h1>", content_type="text/html")
        if kind == "text":
            return web.json_response({"error": "no envelope"}, status=500)
        return web.json_response(CHAT)

    upstream.behaviour = upstream.hold
    async with running_proxy(replace(settings, queue_grace_s=0.05)) as proxy:
        first = asking(proxy, key)
        await until(lambda: upstream.running, "the first to run")
        async with await begun_stream(proxy, key) as response:
            upstream.behaviour = answer
            upstream.go_on.set()
            assert b'"upstream_error"' in await response.read()
        await first
        row = (await proxy.rows(2))[1]
        assert proxy.at_engine() == 0
    assert (row["status_code"], row["error"]) == (502, "upstream_error")


async def test_within_the_grace_an_engine_s_error_keeps_its_status(
    proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """Although it was waited for."""

    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": "no", "code": "x"}}, status=400)

    upstream.behaviour = upstream.hold
    first = asking(proxy, key)
    await until(lambda: upstream.running, "the first to run")
    second = asking(proxy, key, stream=True)
    await until_waiting(proxy, 1)
    upstream.behaviour = refuse
    upstream.go_on.set()
    assert (await second)[0] == 400
    await first


async def test_the_openai_client_reads_over_the_comments(
    settings: ProxySettings, upstream: FakeUpstream, key: str
) -> None:
    """It gets the answer's chunks, or an APIError where the stream ends in an error."""
    upstream.behaviour = upstream.hold
    messages: Any = [{"role": "user", "content": "Hello"}]
    async with (
        running_proxy(replace(settings, queue_grace_s=0.05)) as proxy,
        openai.AsyncOpenAI(base_url=proxy.url + "/v1", api_key=key, max_retries=0) as client,
    ):
        first = asking(proxy, key)
        await until(lambda: upstream.running, "the first to run")
        stream = await client.chat.completions.create(model="x", messages=messages, stream=True)
        upstream.behaviour = upstream.stream
        upstream.go_on.set()
        text = [chunk.choices[0].delta.content async for chunk in stream]
        assert "".join(filter(None, text)) == "onetwo"
        await first
        upstream.go_on.clear()
        upstream.behaviour = upstream.hold
        first = asking(proxy, key)
        await until(lambda: upstream.running, "the next to run")
        stream = await client.chat.completions.create(model="x", messages=messages, stream=True)
        upstream.behaviour = upstream.stream_and_drop
        upstream.go_on.set()
        with pytest.raises(openai.APIError, match="broke off"):
            [chunk async for chunk in stream]
        await first


async def test_requests_wait_for_an_engine_that_is_away(
    settings: ProxySettings, create_user: Callable[..., str]
) -> None:
    """Connection refused, then /health not ready, then there: each is answered, and seen once."""
    port, key = free_port(), create_user()
    async with running_proxy(replace(settings, backend_url=f"http://127.0.0.1:{port}")) as proxy:
        tasks = [asking(proxy, key, user=str(number)) for number in range(5)]
        models = asyncio.ensure_future(proxy.request("GET", "/v1/models", key=key))
        await until_waiting(proxy, 6)
        async with fake_upstream(port) as upstream:
            upstream.ready = False
            async with proxy.request("GET", "/readyz") as response:
                assert response.status == 503
            assert proxy.waiting() == 6
            assert upstream.received == []
            upstream.ready = True
            assert {status for status, _ in await asyncio.gather(*tasks)} == {200}
            async with await models as response:
                assert response.status == 200
            generated = [r for r in upstream.received if r.method == "POST"]
            assert sorted(json.loads(r.body)["user"] for r in generated) == list("01234")
        rows = await proxy.rows(6)
    assert all(row["status_code"] == 200 and row["admitted"] for row in rows)
    assert all(row["queue_ms"] > 0 for row in rows)


async def test_an_engine_that_is_loading_is_waited_for(
    proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """Its 503 is not the client's, as long as its /health is not good either."""

    async def loading(_: web.Request) -> web.StreamResponse:
        return web.Response(status=503)

    upstream.behaviour, upstream.ready = loading, False
    task = asking(proxy, key)
    await until_waiting(proxy, 1)
    upstream.behaviour, upstream.ready = None, True
    assert await task == (200, CHAT)
    upstream.behaviour = loading
    async with proxy.chat(key) as response:
        assert response.status == 503
    assert len(upstream.received) == 3


async def test_a_request_that_reached_the_engine_is_not_sent_again(
    proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """The engine died with it: a 502, since it may have had its effect."""

    async def die(request: web.Request) -> web.StreamResponse:
        await drop(request)
        return web.Response()

    upstream.behaviour = die
    assert (await ask(proxy, key))[0] == 502
    assert len(upstream.received) == 1
    assert (await proxy.rows(1))[0]["admitted"]


async def test_after_an_engine_broke_off_nobody_is_sent_to_it_before_it_is_well(
    proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """It may be on its way out, and cut off what it takes on the way."""

    async def die(request: web.Request) -> web.StreamResponse:
        await upstream.go_on.wait()
        upstream.ready = False
        await drop(request)
        return web.Response()

    upstream.behaviour = die
    first = asking(proxy, key)
    await until(lambda: upstream.running, "the first to run")
    second = asking(proxy, key)
    await until_waiting(proxy, 1)
    upstream.go_on.set()
    assert (await first)[0] == 502
    upstream.behaviour = None
    async with proxy.request("GET", "/readyz") as response:
        assert response.status == 503
    assert (proxy.waiting(), len(upstream.received)) == (1, 1)
    upstream.ready = True
    assert await second == (200, CHAT)


async def test_a_client_that_takes_nothing_is_cut_off(
    settings: ProxySettings, upstream: FakeUpstream, create_user: Callable[..., str]
) -> None:
    """After LLAMA_PROXY_STALL_SECONDS the engine is free for others; the row says why."""
    key = create_user()

    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while True:
            await response.write(b"x" * 2**16)

    upstream.behaviour = flood
    async with running_proxy(replace(settings, stall_timeout_s=0.3)) as proxy:
        port = int(proxy.url.rsplit(":", 1)[1])
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(
            f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
            "Content-Length: 2\r\n\r\n{}".encode()
        )
        await asyncio.wait_for(upstream.left.wait(), 10)
        upstream.behaviour = None
        assert (await ask(proxy, key))[0] == 200
        assert proxy.under_way() == 0
        rows = await proxy.rows(2)
        writer.close()
    assert (rows[0]["status_code"], rows[0]["error"]) == (499, "client_stalled")
