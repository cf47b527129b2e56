"""Whatever an engine sends, the client can tell whether its answer is whole, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import aiohttp
import psycopg
import pytest
from aiohttp import web

from proxy.settings import ProxySettings
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.raw_engine import HANG, KEEP, RawEngine, raw_engine
from tests.support.upstream import FakeUpstream, events

JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT = events("one")[1]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@pytest.fixture
async def engine() -> AsyncIterator[RawEngine]:
    async with raw_engine() as engine:
        yield engine


@pytest.fixture
async def trouble_proxy(
    settings: ProxySettings, engine: RawEngine, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RunningProxy]:
    """One that takes the word of an engine that broke off soon."""
    monkeypatch.setattr("proxy.scheduling.engine_watch.SETTLE_S", 0.01)
    monkeypatch.setattr("proxy.scheduling.engine_watch.CHECK_EVERY_S", 0.01)
    settings = replace(settings, backend_url=engine.url, idle_timeout_s=0.5)
    async with running_proxy(settings) as proxy:
        yield proxy


async def all_is_well(proxy: RunningProxy, engine: RawEngine, key: str) -> None:
    """The turn is given back, and the next request gets the next answer."""
    assert proxy.at_engine() == 0
    seen = len(engine.requests)
    async with proxy.chat(key) as response:
        assert (response.status, await response.read()) == (200, b"{}")
    assert len(engine.requests) == seen + 1


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param([], id="closes at once"),
        pytest.param([b"HTTP/1.1 200 OK\r\nContent-Le"], id="closes within the head"),
        pytest.param([b"220 mail.example.org ESMTP\r\n"], id="another protocol"),
        pytest.param([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\r\n\r\n"], id="TLS"),
        pytest.param([b"<html>hello</html>\r\n\r\n"], id="no status line"),
        pytest.param([b"HTTP/1.1 abc OK\r\n\r\n"], id="status is no number"),
        pytest.param([b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"], id="a line that is no header"),
        pytest.param([JSON + b"X: " + b"x" * 100_000 + b"\r\n\r\n"], id="a header of 100 kB"),
        pytest.param([JSON + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"], id="two lengths"),
        pytest.param([JSON + b"Content-Length: -2\r\n\r\n{}"], id="a negative length"),
        pytest.param([JSON + b"Content-Length: 2, 2\r\n\r\n{}"], id="a list of lengths"),
        pytest.param([b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"], id="an upgrade"),
        pytest.param([JSON + b"X: a\x00b\r\nContent-Length: 2\r\n\r\n{}"], id="NUL in a header"),
        pytest.param([JSON + b"X: a\rSet-Cookie: b\r\nContent-Length: 2\r\n\r\n{}"], id="a bare CR"),
    ],
)
async def test_what_is_no_answer_is_a_502(
    trouble_proxy: RunningProxy, engine: RawEngine, key: str, answer: list[bytes]
) -> None:
    """In OpenAI's envelope, with a row that says so, and none of the engine's text in it."""
    engine.answers.append(answer)
    async with trouble_proxy.chat(key) as response:
        assert response.status == 502
        error = (await response.json())["error"]
    assert error["code"] == "upstream_error"
    assert error["message"] == "The model server broke off its response. Please try again."
    (row,) = await trouble_proxy.rows(1)
    assert (row["status_code"], row["error"], row["admitted"]) == (502, "upstream_error", True)
    await all_is_well(trouble_proxy, engine, key)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param([JSON + b"Content-Length: 9\r\n\r\n", b"{}"], id="shorter than announced"),
        pytest.param([JSON + b"Transfer-Encoding: chunked\r\n\r\n", chunk(b"{}")], id="no last chunk"),
        pytest.param(
            [JSON + b"Transfer-Encoding: chunked\r\n\r\n", chunk(b"{}"), b"zz\r\n"], id="no chunk size"
        ),
        pytest.param(
            [JSON + b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\n{}XX0\r\n\r\n"], id="a chunk too long"
        ),
        pytest.param([JSON + b"Content-Length: 9\r\n\r\n", b"{}", HANG], id="falls silent"),
    ],
)
async def test_a_plain_body_that_is_not_whole_does_not_look_so(
    trouble_proxy: RunningProxy, engine: RawEngine, key: str, answer: list[bytes]
) -> None:
    """The client's connection breaks: nothing else can tell it."""
    engine.answers.append(answer)
    with pytest.raises(aiohttp.ClientError):
        async with trouble_proxy.chat(key) as response:
            await response.read()
    (row,) = await trouble_proxy.rows(1)
    silent = answer[-1] == HANG
    assert row["status_code"] == (504 if silent else 502)
    assert row["error"] == ("upstream_timeout" if silent else "upstream_error")
    await all_is_well(trouble_proxy, engine, key)


@pytest.mark.parametrize(
    ("rest", "code"),
    [
        pytest.param([], "upstream_error", id="closes"),
        pytest.param([b"zz\r\n"], "upstream_error", id="no chunk size"),
        pytest.param([b"5\r\nab"], "upstream_error", id="closes within a chunk"),
        pytest.param([HANG], "upstream_timeout", id="falls silent"),
    ],
)
async def test_a_stream_that_is_not_whole_ends_with_an_error_event(
    trouble_proxy: RunningProxy, engine: RawEngine, key: str, rest: list[bytes], code: str
) -> None:
    """After all that came of it."""
    engine.answers.append([STREAM + chunk(EVENT), *rest])
    async with trouble_proxy.chat(key, stream=True) as response:
        assert response.status == 200
        body = await response.read()
    assert body.startswith(EVENT)
    last = body.strip().rsplit(b"\n\n", 1)[-1]
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == code
    (row,) = await trouble_proxy.rows(1)
    assert (row["error"], row["response_bytes"], row["stream"]) == (code, len(body), True)
    if rest == [HANG]:
        await asyncio.wait_for(engine.left.wait(), 30)
    await all_is_well(trouble_proxy, engine, key)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        pytest.param([JSON + b"Content-Length: 2\r\n\r\n", b"{}", KEEP], b"{}", id="a length"),
        pytest.param(
            [JSON + b"Transfer-Encoding: chunked\r\n\r\n", chunk(b"{}"), b"0\r\n\r\n"],
            b"{}",
            id="chunked",
        ),
        pytest.param(
            [JSON + b"Transfer-Encoding: chunked\r\n\r\n", b"2;x=y\r\n{}\r\n0\r\nA: b\r\n\r\n", KEEP],
            b"{}",
            id="chunk extensions and trailers",
        ),
        pytest.param([JSON.replace(b"1.1", b"1.0") + b"\r\n", b"{", b"}"], b"{}", id="ended by closing"),
        pytest.param(
            [b"HTTP/1.1 100 Continue\r\n\r\n", JSON + b"Content-Length: 2\r\n\r\n{}", KEEP],
            b"{}",
            id="100 Continue first",
        ),
        pytest.param(
            [b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n", JSON + b"Content-Length: 2\r\n\r\n{}"],
            b"{}",
            id="103 first",
        ),
        pytest.param(
            [*(bytes([b]) for b in JSON + b"Content-Length: 2\r\n\r\n{}"), KEEP],
            b"{}",
            id="byte by byte",
        ),
        pytest.param([JSON + b"Content-Length: 0\r\n\r\n", KEEP], b"", id="an empty body"),
    ],
)
async def test_whatever_form_an_answer_has_it_arrives_whole(
    trouble_proxy: RunningProxy, engine: RawEngine, key: str, answer: list[bytes], body: bytes
) -> None:
    """As RFC 9112 allows it."""
    engine.answers.append(answer)
    async with trouble_proxy.chat(key) as response:
        assert (response.status, await response.read()) == (200, body)
    (row,) = await trouble_proxy.rows(1)
    assert (row["status_code"], row["error"], row["response_bytes"]) == (200, None, len(body))
    await all_is_well(trouble_proxy, engine, key)


async def test_what_follows_an_answer_is_nobody_s(
    trouble_proxy: RunningProxy, engine: RawEngine, key: str, create_user: Callable[..., str]
) -> None:
    """An answer longer than announced does not become the answer to the next request."""
    other = JSON + b"Content-Length: 6\r\n\r\nstolen"
    engine.answers.append([JSON + b"Content-Length: 2\r\n\r\n{}" + other, HANG])
    async with trouble_proxy.chat(key) as response:
        assert (response.status, await response.read()) == (200, b"{}")
    for user in (key, create_user("bob")):
        await all_is_well(trouble_proxy, engine, user)


async def test_a_length_beside_chunks_does_not_reach_the_client(
    trouble_proxy: RunningProxy, engine: RawEngine, key: str
) -> None:
    """The two are a way to smuggle (RFC 9112, section 6.3): the answer has one of them, or is a 502."""
    engine.answers.append(
        [JSON + b"Content-Length: 200\r\nTransfer-Encoding: chunked\r\n\r\n", chunk(b"{}"), b"0\r\n\r\n"]
    )
    async with trouble_proxy.chat(key) as response:
        await response.read()
        framing = {"Content-Length", "Transfer-Encoding"} & set(response.headers)
        assert response.status == 502 or len(framing) == 1
    await all_is_well(trouble_proxy, engine, key)


async def test_an_engine_may_refuse_a_body_that_it_has_not_read(
    trouble_proxy: RunningProxy, engine: RawEngine, key: str
) -> None:
    """Its 413 is the client's, and the next request gets a connection of its own."""
    engine.refuse_at_head = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\n{}"
    async with trouble_proxy.chat(key, padding="x" * 900_000) as response:
        assert (response.status, await response.read()) == (413, b"{}")
    (row,) = await trouble_proxy.rows(1)
    assert (row["status_code"], row["error"]) == (413, None)
    await all_is_well(trouble_proxy, engine, key)


async def test_a_request_s_bytes_reach_the_engine_as_they_came(
    settings: ProxySettings, engine: RawEngine, key: str
) -> None:
    """Target and headers, below the engine's own path; the framing is ours."""
    settings = replace(settings, backend_url=engine.url + "/base/")
    async with running_proxy(settings) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.url.rsplit(":", 1)[1]))
        writer.write(
            b"POST /v1/completions?a=%2f%ZZ&b HTTP/1.1\r\nHost: client.example\r\n"
            b"Authorization: Bearer " + key.encode() + b"\r\nx-MixedCase: \xe9 \xc3\xa9\t;\r\n"
            b"X-Llamaserve-Usage: mine\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
        )
        status = await reader.readline()
        writer.close()
        assert b" 200 " in status
    (request,) = engine.requests
    first, *lines = request.split(b"\r\n")
    assert first == b"POST /base/v1/completions?a=%2f%ZZ&b HTTP/1.1"
    assert lines[-2:] == [b"", b"{}"]
    new = (b"X-Request-ID: ", b"X-Llamaserve-Request: ", b"X-Llamaserve-User: ", b"x-llm-d-")
    headers = sorted(line for line in lines[:-2] if not line.startswith(new))
    assert len(headers) == len(lines) - 2 - len(new)
    assert headers == [
        b"Accept-Encoding: identity",
        b"Authorization: Bearer engine-key",
        b"Content-Length: 2",
        b"Host: " + engine.url.removeprefix("http://").encode(),
        b"X-Llamaserve-Usage: 1",
        b"X-Llamaserve-Weight: 1",
        b"x-MixedCase: \xe9 \xc3\xa9\t;",
    ]


async def test_an_answer_s_headers_are_the_engine_s(
    trouble_proxy: RunningProxy, engine: RawEngine, key: str
) -> None:
    """But for those of its connection, those that are ours, and cookies."""
    engine.answers.append(
        [
            b"HTTP/1.1 418 I'm a teapot\r\nContent-Length: 2\r\nX-One: 1\r\nx-one: 2\r\nEmpty:\r\n"
            b"Connection: close, X-Named\r\nX-Named: 1\r\nSet-Cookie: a=b\r\nServer: x\r\n"
            b"X-RateLimit-Foo: 1\r\nX-Utf8: \xc3\xa9\r\n\r\n{}"
        ]
    )
    async with trouble_proxy.chat(key) as response:
        assert (response.status, response.reason) == (418, "I'm a teapot")
        headers = response.headers
    assert headers.getall("X-One") == ["1", "2"]
    assert (headers["Empty"], headers["X-Utf8"], headers["Server"]) == ("", "é", "llamaserve")
    assert not {"X-Named", "Set-Cookie", "X-RateLimit-Foo"} & set(headers)
    await all_is_well(trouble_proxy, engine, key)


async def test_an_event_that_broke_off_does_not_swallow_the_error(
    trouble_proxy: RunningProxy, engine: RawEngine, key: str
) -> None:
    """It is ended first; the error is an event of its own."""
    engine.answers.append([STREAM + chunk(EVENT + b": half a com")])
    asked = {
        "include_usage": True
    }  # without it, other engines' events are passed on when they are whole
    async with trouble_proxy.chat(key, stream=True, stream_options=asked) as response:
        body = await response.read()
    before, _, event = body.strip().rpartition(b"\n\n")
    assert before == EVENT + b": half a com"
    assert json.loads(event.removeprefix(b"data: "))["error"]["code"] == "upstream_error"
    await all_is_well(trouble_proxy, engine, key)


async def test_to_a_client_of_http_1_0_half_a_body_does_not_look_whole(
    trouble_proxy: RunningProxy, engine: RawEngine, key: str
) -> None:
    """There the connection's end is the body's end: so it is reset instead."""
    engine.answers.append([JSON + b"Transfer-Encoding: chunked\r\n\r\n", chunk(b"{}")])
    port = int(trouble_proxy.url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /v1/completions HTTP/1.0\r\nAuthorization: Bearer {key}\r\nContent-Length: 2\r\n\r\n"
    writer.write(head.encode() + b"{}")
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), 30)
    writer.close()
    await all_is_well(trouble_proxy, engine, key)


@pytest.mark.parametrize("trouble", ["expired", "broken off"])
async def test_an_error_before_the_first_byte_of_a_body_has_its_status(
    proxy: RunningProxy, upstream: FakeUpstream, key: str, database_url: str, trouble: str
) -> None:
    """The engine's head has come, with the body's length: the client gets an error and no reset."""
    head_sent = asyncio.Event()

    async def head_alone(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
        )
        head_sent.set()
        await asyncio.sleep(0.2)
        if trouble == "broken off":
            request.transport.abort()
        await asyncio.Event().wait()
        raise AssertionError

    upstream.behaviour = head_alone
    asking = asyncio.ensure_future(proxy.chat(key))
    await head_sent.wait()
    if trouble == "expired":
        with psycopg.connect(database_url) as connection:
            connection.execute("UPDATE llama_api_keys SET expires_at = now()")
    async with asyncio.timeout(30):
        response = await asking
        error = (await response.json())["error"]["code"]
    expected = {"expired": (403, "key_expired"), "broken off": (502, "upstream_error")}
    assert (response.status, error) == expected[trouble]
    (row,) = await proxy.rows(1)
    assert (row["status_code"], row["error"]) == expected[trouble]
