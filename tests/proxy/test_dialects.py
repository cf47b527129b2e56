"""What clients of other dialects need of the proxy: their paths, their key headers, their errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from aiohttp import web

from proxy.settings import ProxySettings
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.upstream import CHAT, FakeUpstream
from tests.support.wait import until

ANTHROPIC = "/v1/messages"


async def test_a_bare_key_in_the_header_of_other_clients_is_as_good(
    proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """Anthropic's and Azure's headers are read, and never passed on to the engine."""
    for name in ("x-api-key", "X-Api-Key", "api-key"):
        headers = {name: key, "anthropic-version": "2023-06-01", "anthropic-beta": "tools"}
        async with proxy.request("POST", ANTHROPIC, headers=headers, json={}) as response:
            assert response.status == 200
    for received in upstream.received:
        assert not {"x-api-key", "api-key"} & set(received.headers)
        assert key not in str(received.headers)
        assert received.headers["authorization"] == "Bearer engine-key"


async def test_the_header_that_holds_a_key_counts(proxy: RunningProxy, key: str) -> None:
    """Beside a placeholder in another header a good key is found, whichever of the two it is in."""
    for headers in (
        {"Authorization": "Bearer none", "x-api-key": key},
        {"Authorization": f"Bearer {key}", "x-api-key": "dummy"},
        {"Authorization": "Basic abc", "api-key": key},
    ):
        async with proxy.request("GET", "/v1/models", headers=headers) as response:
            assert response.status == 200


MISPLACED = [
    ({"Authorization": "KEY"}, "", "no word Bearer"),
    ({"Authorization": "Basic abc"}, "", "another scheme than Bearer"),
    ({"x-goog-api-key": "KEY"}, "", "x-goog-api-key"),
    ({}, "?key=KEY", "in the URL"),
    ({}, "", "didn't provide"),
]


async def test_a_key_in_the_wrong_place_is_named(proxy: RunningProxy, key: str) -> None:
    """The 401 says where a key stands that is not read, and which header is; never the key."""
    for headers, query, named in MISPLACED:
        sent = {name: value.replace("KEY", key) for name, value in headers.items()}
        path = "/v1/models" + query.replace("KEY", key)
        async with proxy.request("GET", path, headers=sent) as response:
            assert response.status == 401
            message = (await response.json())["error"]["message"]
        assert named in message
        assert "Authorization: Bearer YOUR_KEY" in message
        assert key not in message


async def test_the_paths_of_other_dialects_are_forwarded(
    proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """Also with a slash at the end, which the engine does not see; the query passes."""
    paths = (ANTHROPIC, "/v1/messages/count_tokens", "/v1/responses", "/v1/rerank")
    for path in paths:
        for sent in (path, f"{path}/", f"{path}/?beta=true"):
            async with proxy.request("POST", sent, key=key, json={}) as response:
                assert await response.json() == CHAT
    forwarded = [received.path for received in upstream.received]
    assert forwarded == [form for path in paths for form in (path, path, f"{path}?beta=true")]
    assert {row["path"] for row in await proxy.rows(len(forwarded))} == set(paths)


async def test_one_slash_is_forgiven_and_no_more(proxy: RunningProxy, key: str) -> None:
    """A list of models with a slash behind it is a list of models; two slashes are an unknown path."""
    async with proxy.request("GET", "/v1/models/", key=key) as response:
        assert response.status == 200
    async with proxy.request("GET", "/v1/models//", key=key) as response:
        assert response.status == 404


async def test_health_has_the_name_that_others_ask_for(proxy: RunningProxy) -> None:
    """Without a key, like /healthz."""
    for path in ("/health", "/health/", "/healthz"):
        async with proxy.request("GET", path) as response:
            assert (response.status, await response.json()) == (200, {"status": "ok"})


async def test_a_wrong_base_url_is_recognised(proxy: RunningProxy, key: str) -> None:
    """The 404 names the path that was meant."""
    for path, meant in (
        ("/chat/completions", "/v1/chat/completions"),
        ("/v1/v1/messages", ANTHROPIC),
        ("/v1/nothing", None),
    ):
        async with proxy.request("POST", path, key=key, json={}) as response:
            assert response.status == 404
            message = (await response.json())["error"]["message"]
        assert ("Did you mean" in message) == (meant is not None)
        assert meant is None or f"Did you mean {meant}?" in message


def _check_envelope(answer: dict[str, Any], kind: str, request_id: str) -> None:
    assert set(answer) == {"type", "error", "request_id"}
    assert (answer["type"], answer["error"]["type"]) == ("error", kind)
    assert set(answer["error"]) == {"type", "message"}
    assert answer["request_id"] == request_id


async def test_errors_on_anthropic_s_paths_have_anthropic_s_envelope(
    settings: ProxySettings, upstream: FakeUpstream, create_user: Callable[..., str]
) -> None:
    """Each refusal of the proxy: no key, no such path, no such method, too large, limited, no room."""
    key = create_user("alice", rate_limit=1)
    async with running_proxy(replace(settings, max_body_bytes=1000)) as proxy:

        async def refused(method: str, path: str, **arguments: Any) -> tuple[int, str]:
            async with proxy.request(method, path, **arguments) as response:
                answer = await response.json()
                _check_envelope(answer, answer["error"]["type"], response.headers["request-id"])
                assert response.headers["request-id"] == response.headers["x-request-id"]
                if response.status in {429, 503}:
                    assert int(response.headers["retry-after"]) > 0
                return response.status, answer["error"]["type"]

        assert await refused("POST", ANTHROPIC) == (401, "authentication_error")
        wrong = {"x-api-key": key[:-1] + ("0" if key[-1] != "0" else "1")}
        assert await refused("POST", ANTHROPIC, headers=wrong) == (401, "authentication_error")
        assert await refused("POST", f"{ANTHROPIC}/batches", key=key) == (404, "not_found_error")
        assert await refused("GET", ANTHROPIC, key=key) == (405, "invalid_request_error")
        large = {"key": key, "data": b" " * 1001}
        assert await refused("POST", ANTHROPIC, **large) == (413, "request_too_large")
        async with proxy.request("POST", ANTHROPIC, key=key, json={}) as response:
            assert response.status == 200
        assert await refused("POST", ANTHROPIC, key=key, json={}) == (429, "rate_limit_error")
    hasty = replace(settings, queue_timeout_s=0.1)
    upstream.behaviour = upstream.hold
    async with running_proxy(hasty) as proxy:
        first = asyncio.create_task(_post(proxy, create_user("bob")))
        await until(lambda: proxy.at_engine() == 1, "the first request to be at the engine")
        assert await refused("POST", ANTHROPIC, key=create_user("carol"), json={}) == (
            503,
            "overloaded_error",
        )
        upstream.go_on.set()
        await first


async def _post(proxy: RunningProxy, key: str) -> None:
    async with proxy.request("POST", ANTHROPIC, key=key, json={}) as response:
        assert response.status == 200


async def _break_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b": ping\n\n")
    await response.write(b'event: message_start\ndata: {"type":"message_start"')
    assert request.transport is not None
    request.transport.close()
    return response


async def _events(proxy: RunningProxy, path: str, key: str) -> list[tuple[str, Any]]:
    async with proxy.request("POST", path, key=key, json={"stream": True}) as response:
        assert response.status == 200
        text = (await response.read()).decode()
    return [
        (lines[0].removeprefix("event: "), lines[-1].removeprefix("data: "))
        for lines in (event.split("\n") for event in text.split("\n\n"))
        if lines[0].startswith("event:")
    ]


async def test_an_error_in_a_stream_has_the_dialect_s_form(
    proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """Anthropic's event `error`, and an event with type and number where /v1/responses is streamed."""
    upstream.behaviour = _break_off
    name, data = (await _events(proxy, ANTHROPIC, key))[-1]
    assert name == "error"
    answer = json.loads(data)
    _check_envelope(answer, "api_error", answer["request_id"])
    await until(lambda: upstream.health_checks > 1, "the engine to be there again")
    name, data = (await _events(proxy, "/v1/responses", key))[-1]
    event = json.loads(data)
    assert (name, event["type"], event["code"]) == ("error", "error", "upstream_error")
    assert event["message"] == event["error"]["message"]
    assert event["sequence_number"] == 1  # comments have no number


USAGES = {
    "/v1/responses": [
        b'event: response.completed\ndata: {"type":"response.completed","response":{"usage":'
        b'{"input_tokens":11,"input_tokens_details":{"cached_tokens":3},"output_tokens":4,'
        b'"output_tokens_details":{"reasoning_tokens":0},"total_tokens":15}}}\n\n'
    ],
    ANTHROPIC: [
        b'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":8,'
        b'"cache_read_input_tokens":3,"output_tokens":1}}}\n\n',
        b'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":4}}\n\n',
        b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    ],
}


async def test_the_usage_of_other_dialects_is_recorded(
    proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """As another engine tells it, in its dialect: the cached part of a prompt is a part of it."""

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in USAGES[request.path]:
            await response.write(event)
        await response.write_eof()
        return response

    upstream.behaviour = stream
    for path, sent in USAGES.items():
        async with proxy.request("POST", path, key=key, json={"stream": True}) as response:
            assert await response.read() == b"".join(sent)
    for row in await proxy.rows(len(USAGES)):
        assert (row["prompt_tokens"], row["completion_tokens"]) == (11, 4)
