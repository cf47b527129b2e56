"""The way through the proxy and back, against an engine that does what it is told."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable
from dataclasses import replace

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from proxy.edge.write_batching import WriteBatcher
from proxy.settings import ProxySettings
from proxy.upstream.connection import BrokeOffError
from proxy.upstream.relay import Relay
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.upstream import CHAT, FakeUpstream, drop, events
from tests.support.wait import until


async def test_an_answer_comes_back_as_the_engine_gave_it(
    proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """Status, type and bytes are the engine's; the request reaches it with the engine's own key."""
    body = b'{"model": "x",  "messages": []}'
    async with proxy.request(
        "POST",
        "/v1/chat/completions?a=%26",
        key=key,
        data=body,
        headers={
            "Content-Type": "application/json",
            "Connection": "X-Mine",
            "X-Mine": "1",
            "X-Other": "2",
            "Cookie": "c=1",
            "X-Request-ID": "not a uuid",
        },
    ) as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        assert await response.json() == CHAT
        assert response.headers["x-request-id"].startswith("req_")
        assert response.headers["x-ratelimit-limit-requests"] == "60"
        assert response.headers["x-ratelimit-remaining-requests"] == "59"
        assert response.headers["x-ratelimit-reset-requests"] == "1m0s"
        assert int(response.headers["openai-processing-ms"]) >= 0
        request_id = response.headers["x-request-id"]
    (received,) = upstream.received
    assert (received.method, received.path) == ("POST", "/v1/chat/completions?a=%26")
    assert received.body == body
    assert received.headers["authorization"] == "Bearer engine-key"
    assert received.headers["x-other"] == "2"
    assert received.headers["x-request-id"].replace("-", "") == request_id.removeprefix("req_")
    assert not {"x-mine", "cookie"} & set(received.headers)
    (row,) = await proxy.rows(1)
    assert row["id"].hex == request_id.removeprefix("req_")
    assert row["username"] == "alice"
    assert (row["method"], row["path"]) == ("POST", "/v1/chat/completions")
    assert (row["status_code"], row["error"], row["stream"]) == (200, None, False)
    assert (row["request_bytes"], row["response_bytes"]) == (len(body), len(json.dumps(CHAT)))
    assert (row["model"], row["prompt_tokens"], row["completion_tokens"]) == ("fake.gguf", 7, 3)
    assert 0 < row["ttft_ms"] <= row["latency_ms"]


async def test_a_stream_is_passed_on_as_it_comes(
    proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """The first event is with the client while the engine has not sent the second."""
    go_on = asyncio.Event()

    async def in_two_parts(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(events("one")[0])
        await go_on.wait()
        for event in events("one")[1:]:
            await response.write(event)
        return response

    upstream.behaviour = in_two_parts
    async with proxy.chat(key, stream=True) as response:
        assert await response.content.readline() == events("one")[0].splitlines(keepends=True)[0]
        go_on.set()
        rest = await response.content.read()
    assert rest.endswith(b"data: [DONE]\n\n")
    (row,) = await proxy.rows(1)
    assert row["stream"]
    assert row["status_code"] == 200
    assert row["response_bytes"] == sum(map(len, events("one")))
    assert row["ttft_ms"] < row["latency_ms"]


async def test_the_row_is_certain_before_the_client_has_the_end(
    proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """A client that leaves at [DONE], as openai's does, is not recorded as one that left early."""

    async def never_closes(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"".join(events("one")))
        await asyncio.Event().wait()
        return response

    upstream.behaviour = never_closes
    async with proxy.chat(key, stream=True) as response:
        while await response.content.readline() != b"data: [DONE]\n":
            pass
        response.close()
    (row,) = await proxy.rows(1)
    assert (row["status_code"], row["error"]) == (200, None)
    await upstream.left.wait()


@pytest.mark.parametrize("behaviour", ["stall", "stream_and_stall"])
async def test_a_client_that_leaves_ends_the_engine_s_work(
    proxy: RunningProxy, upstream: FakeUpstream, key: str, behaviour: str
) -> None:
    """Before the answer or within it: the engine's connection is closed, the row says 499."""
    upstream.behaviour = getattr(upstream, behaviour)
    request = asyncio.ensure_future(_read_all(proxy, key))
    await until(lambda: bool(upstream.received), "the engine to have the request")
    request.cancel()
    await asyncio.wait_for(upstream.left.wait(), 5)
    (row,) = await proxy.rows(1)
    assert (row["status_code"], row["error"]) == (499, "client_left")
    assert proxy.under_way() == 0


async def _read_all(proxy: RunningProxy, key: str) -> bytes:
    async with proxy.chat(key, stream=True) as response:
        return bytes(await response.read())


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/docs", 404, "unknown_url"),
        ("GET", "/openapi.json", 404, "unknown_url"),
        ("GET", "/v1", 404, "unknown_url"),
        ("GET", "/v1/models//", 404, "unknown_url"),
        ("GET", "/v1/models/../../docs", 404, "unknown_url"),
        ("GET", "/v1/models/x/%2e%2e/docs", 404, "unknown_url"),
        ("POST", "/v1//chat/completions", 404, "unknown_url"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
    ],
)
async def test_only_the_api_s_own_paths_are_forwarded(
    proxy: RunningProxy,
    upstream: FakeUpstream,
    key: str,
    method: str,
    path: str,
    status: int,
    code: str,
) -> None:
    """Anything else is refused in OpenAI's envelope, uses up nothing and gets a row."""
    url = URL(proxy.url + path, encoded=True)
    async with proxy.client.request(method, url, headers={"Authorization": f"Bearer {key}"}) as response:
        assert response.status == status
        assert (await response.json())["error"]["code"] == code
    assert upstream.received == []
    (row,) = await proxy.rows(1)
    assert (row["status_code"], row["error"], row["admitted"]) == (status, code, False)
    assert row["response_bytes"] == int(response.headers["Content-Length"])


async def test_an_engine_that_is_not_there_is_a_503(
    settings: ProxySettings, create_user: Callable[..., str], unused_tcp_port: int
) -> None:
    """`starting`, with a time to come back, after waiting for it; and it uses up nothing."""
    nowhere = replace(settings, backend_url=f"http://127.0.0.1:{unused_tcp_port}", queue_timeout_s=0.3)
    key = create_user()
    async with running_proxy(nowhere) as proxy:
        async with proxy.chat(key) as response:
            assert response.status == 503
            assert (await response.json())["error"]["code"] == "starting"
            assert response.headers["retry-after"] == "2"
        (row,) = await proxy.rows(1)
        assert (row["status_code"], row["error"], row["admitted"]) == (503, "starting", False)
        assert row["queue_ms"] >= 300
        async with proxy.request("GET", "/readyz") as response:
            assert response.status == 503
            assert await response.json() == {
                "status": "unavailable",
                "database": True,
                "engine": False,
            }


async def test_an_engine_that_drops_the_connection_is_a_502(
    proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """Before its answer."""

    async def drop_at_once(request: web.Request) -> web.StreamResponse:
        await drop(request)
        return web.Response()

    upstream.behaviour = drop_at_once
    async with proxy.chat(key) as response:
        assert response.status == 502
        assert (await response.json())["error"]["code"] == "upstream_error"
    (row,) = await proxy.rows(1)
    assert (row["status_code"], row["error"]) == (502, "upstream_error")


async def test_an_engine_that_drops_a_stream_ends_it_with_an_error_event(
    proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """The client can read what went wrong; the row has the true status."""
    upstream.behaviour = upstream.stream_and_drop
    async with proxy.chat(key, stream=True) as response:
        assert response.status == 200
        body = await response.read()
    last = body.strip().rsplit(b"\n\n", 1)[-1]
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "upstream_error"
    (row,) = await proxy.rows(1)
    assert (row["status_code"], row["error"]) == (502, "upstream_error")
    assert row["response_bytes"] == len(body)


async def test_an_engine_that_drops_a_plain_body_breaks_the_client_s_connection(
    proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """Half a body must not look whole."""

    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = 100
        await response.prepare(request)
        await response.write(b"{")
        await drop(request)
        return response

    upstream.behaviour = half
    with pytest.raises(aiohttp.ClientError):
        async with proxy.chat(key) as response:
            await response.read()
    (row,) = await proxy.rows(1)
    assert (row["status_code"], row["error"]) == (502, "upstream_error")


async def test_an_engine_that_falls_silent_is_a_504(
    settings: ProxySettings, upstream: FakeUpstream, create_user: Callable[..., str]
) -> None:
    """After LLAMA_PROXY_IDLE_SECONDS, before the answer or within a stream."""
    key = create_user()
    async with running_proxy(replace(settings, idle_timeout_s=0.2)) as proxy:
        upstream.behaviour = upstream.stall
        async with proxy.chat(key) as response:
            assert response.status == 504
            assert (await response.json())["error"]["code"] == "upstream_timeout"
        upstream.behaviour = upstream.stream_and_stall
        async with proxy.chat(key, stream=True) as response:
            assert b"upstream_timeout" in await response.read()
        rows = await proxy.rows(2)
    assert [row["error"] for row in rows] == ["upstream_timeout"] * 2


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_a_413(
    proxy: RunningProxy, upstream: FakeUpstream, key: str, chunked: bool
) -> None:
    """Whether its length was announced or not, and the engine sees nothing of it."""

    async def pieces() -> object:
        for _ in range(20):
            yield b"x" * 100_000

    body = pieces() if chunked else io.BytesIO(b"x" * 2_000_000)
    async with proxy.request("POST", "/v1/completions", key=key, data=body) as response:
        assert response.status == 413
        assert (await response.json())["error"]["code"] == "request_too_large"
    assert upstream.received == []
    await proxy.rows(1)


async def test_a_compressed_body_is_a_415(proxy: RunningProxy, key: str) -> None:
    """A small body must not become a large one here."""
    async with proxy.request(
        "POST", "/v1/completions", key=key, data=b"x", headers={"Content-Encoding": "gzip"}
    ) as response:
        assert response.status == 415
        assert (await response.json())["error"]["code"] == "unsupported_content_encoding"
    (row,) = await proxy.rows(1)
    assert not row["admitted"]


async def test_an_engine_s_refusal_is_passed_on(
    proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """Its status and body are the client's, and it counts as a request."""

    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": "no", "code": "x"}}, status=400)

    upstream.behaviour = refuse
    async with proxy.chat(key) as response:
        assert response.status == 400
        assert (await response.json())["error"]["code"] == "x"
        assert response.headers["x-ratelimit-remaining-requests"] == "59"
    (row,) = await proxy.rows(1)
    assert (row["status_code"], row["admitted"]) == (400, True)


async def test_an_engine_that_refuses_our_key_is_not_the_user_s_fault(
    proxy: RunningProxy, upstream: FakeUpstream, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A 502 to the user, whose key is good; the log names the setting."""

    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.json_response({"detail": "Invalid API key"}, status=401)

    upstream.behaviour = refuse
    async with proxy.chat(key) as response:
        assert response.status == 502
        assert (await response.json())["error"]["code"] == "upstream_error"
    assert "LLAMA_SERVER_API_KEY" in caplog.text
    (row,) = await proxy.rows(1)
    assert (row["status_code"], row["error"]) == (502, "upstream_error")


async def test_an_http_1_0_client_gets_a_whole_stream(
    proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """Without chunks, ended by the connection's close."""
    upstream.behaviour = upstream.stream
    reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.rsplit(":", 1)[1]))
    writer.write(
        f"POST /v1/chat/completions HTTP/1.0\r\nAuthorization: Bearer {key}\r\n"
        "Content-Length: 2\r\n\r\n{}".encode()
    )
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding" not in head
    assert body == b"".join(events("one", "two"))


async def test_health_needs_no_key(proxy: RunningProxy) -> None:
    """`/healthz` is alive, `/readyz` has the database and the engine; neither gets a row."""
    async with proxy.request("GET", "/healthz") as response:
        assert (response.status, await response.json()) == (200, {"status": "ok"})
    async with proxy.request("GET", "/readyz") as response:
        assert (response.status, (await response.json())["status"]) == (200, "ok")


async def test_all_connection_headers_are_heeded(
    proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """Of several, each may name headers that are not to be passed on (RFC 9110, sections 5.3, 7.6.1)."""
    headers = [("Connection", "keep-alive"), ("Connection", "X-Mine"), ("X-Mine", "1")]
    headers.append(("Authorization", f"Bearer {key}"))
    async with proxy.client.get(proxy.url + "/v1/models", headers=headers) as response:
        assert response.status == 200
    assert "x-mine" not in upstream.received[0].headers


async def test_the_answer_to_head_has_no_body(proxy: RunningProxy, key: str) -> None:
    """And its row says so."""
    async with proxy.request("HEAD", "/v1/models", key=key) as response:
        assert response.status == 405
    (row,) = await proxy.rows(1)
    assert row["response_bytes"] == 0


async def test_a_path_with_a_line_end_is_refused_as_any_other(proxy: RunningProxy, key: str) -> None:
    """By us, in the envelope, not by the framework."""
    url = URL(proxy.url + "/v1/%0a", encoded=True)
    async with proxy.client.get(url, headers={"Authorization": f"Bearer {key}"}) as response:
        assert response.status == 404
        assert (await response.json())["error"]["code"] == "unknown_url"
    await proxy.rows(1)


async def test_a_body_that_stops_coming_is_a_408(
    proxy: RunningProxy, upstream: FakeUpstream, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the engine sees nothing of it."""
    monkeypatch.setattr("proxy.edge.body.IDLE_S", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.rsplit(":", 1)[1]))
    writer.write(
        f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n".encode()
    )
    assert b" 408 " in await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    assert upstream.received == []
    (row,) = await proxy.rows(1)
    assert (row["status_code"], row["error"]) == (408, "request_timeout")


async def test_a_connection_to_the_engine_serves_many_requests(
    proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """Plain answers and whole streams give it back; only one that was broken off costs a new one."""
    ports = set()

    async def note_port(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername")[1])
        return await upstream.stream(request)

    upstream.behaviour = note_port
    for _ in range(3):
        async with proxy.chat(key, stream=True) as response:
            await response.read()
    assert len(ports) == 1


@pytest.mark.parametrize(("paused_s", "is_broken"), [(0.0, True), (5.0, False)])
async def test_an_engine_that_gives_up_on_a_slow_reader_is_not_taken_for_broken(
    settings: ProxySettings, paused_s: float, is_broken: bool
) -> None:
    """If it was kept waiting for the client, no other request is held back."""
    broken: list[bool] = []
    async with Relay(
        settings, WriteBatcher(), on_broken=lambda _: broken.append(True), on_refused=print
    ) as relay:
        failure = relay.broke_off(0, BrokeOffError("closed before the end"), paused_s)
    assert failure.error.code == "upstream_error"
    assert broken == [True] * is_broken
