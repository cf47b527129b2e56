"""The proxy as a process: its socket, TLS, drain, and death."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest
import trustme

from tests.support.process import ProxyProcess
from tests.support.upstream import FakeUpstream, events
from tests.support.wait import until


@pytest.fixture
def configuration(database_url: str, upstream: FakeUpstream) -> dict[str, str]:
    """What a proxy needs, by way of its environment."""
    return {
        "LLAMA_SERVER_DATABASE_URL": database_url,
        "LLAMA_SERVER_BACKEND_URL": upstream.url,
        "LLAMA_SERVER_API_KEY": "engine-key",
    }


def chat(client: aiohttp.ClientSession, url: str, key: str) -> Any:
    return client.post(
        url + "/v1/chat/completions",
        headers={"Authorization": f"Bearer {key}"},
        json={"messages": [], "stream": True},
    )


def rows(database_url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database_url) as connection:
        query = "SELECT status_code, error FROM llama_requests ORDER BY created_at, id"
        return connection.execute(query).fetchall()


async def test_sigterm_lets_a_stream_finish(
    directory: Path, configuration: dict[str, str], upstream: FakeUpstream, key: str,
    database_url: str,
) -> None:  # fmt: skip
    """No new connection is accepted, the running stream comes whole, its row is there at the end."""
    go_on = asyncio.Event()

    async def slow(request: Any) -> Any:
        await go_on.wait()
        return await upstream.stream(request)

    upstream.behaviour = slow
    async with aiohttp.ClientSession() as client, ProxyProcess(directory, **configuration) as proxy:
        stream = asyncio.ensure_future(chat(client, proxy.url, key))
        await until(lambda: bool(upstream.received), "the request to be with the engine")
        proxy.signal(signal.SIGTERM)
        await until(lambda: b"draining" in proxy.log.read_bytes(), "the drain to begin")
        with pytest.raises(aiohttp.ClientConnectorError):
            await client.get(proxy.url + "/healthz")
        go_on.set()
        async with await stream as response:
            assert (await response.read()) == b"".join(events("one", "two"))
        assert await proxy.wait() == 0
    assert rows(database_url) == [(200, None)]


@pytest.mark.parametrize("seconds", ["0", "2"])
async def test_the_drain_has_an_end(
    directory: Path, configuration: dict[str, str], upstream: FakeUpstream, key: str,
    database_url: str, seconds: str,
) -> None:  # fmt: skip
    """After LLAMA_PROXY_DRAIN_SECONDS what still runs is ended, is told so, and gets its row."""
    upstream.behaviour = upstream.stream_and_stall
    configuration["LLAMA_PROXY_DRAIN_SECONDS"] = seconds
    async with aiohttp.ClientSession() as client, ProxyProcess(directory, **configuration) as proxy:
        response = await chat(client, proxy.url, key)
        await response.content.readline()
        begun = time.monotonic()
        proxy.signal(signal.SIGTERM)
        assert b'"code": "stopping"' in await response.content.read()
        assert time.monotonic() - begun >= float(seconds)
        assert await proxy.wait(10) == 0
    assert rows(database_url) == [(503, "stopping")]


async def test_a_second_sigterm_cuts_the_drain_short(
    directory: Path, configuration: dict[str, str], upstream: FakeUpstream, key: str,
    database_url: str,
) -> None:  # fmt: skip
    """What runs is told so at once, and the proxy ends as well as ever."""
    upstream.behaviour = upstream.stream_and_stall
    configuration["LLAMA_PROXY_DRAIN_SECONDS"] = "3600"
    async with aiohttp.ClientSession() as client, ProxyProcess(directory, **configuration) as proxy:
        response = await chat(client, proxy.url, key)
        await response.content.readline()
        proxy.signal(signal.SIGTERM)
        await until(lambda: b"draining" in proxy.log.read_bytes(), "the drain to begin")
        proxy.signal(signal.SIGTERM)
        assert b'"code": "stopping"' in await response.content.read()
        assert await proxy.wait(10) == 0
    assert rows(database_url) == [(503, "stopping")]


async def test_sigusr1_keeps_requests_for_the_engine_that_comes(
    directory: Path, configuration: dict[str, str], upstream: FakeUpstream, key: str
) -> None:
    """The old one answers still, and gets nothing more; what waits is for the next."""
    async with aiohttp.ClientSession() as client, ProxyProcess(directory, **configuration) as proxy:
        proxy.signal(signal.SIGUSR1)
        await until(lambda: b"is being restarted" in proxy.log.read_bytes(), "the news to be heard")
        waiting = asyncio.ensure_future(chat(client, proxy.url, key))
        async with client.get(proxy.url + "/readyz") as response:
            assert response.status == 200, "the old one is there"
        assert not upstream.received
        upstream.ready = False
        await until(lambda: upstream.checked_in_vain, "the proxy to see that it has gone")
        assert not upstream.received
        upstream.ready = True
        async with await waiting as response:
            assert response.status == 200
        assert len(upstream.received) == 1


async def test_kill_9_loses_no_record(
    directory: Path, configuration: dict[str, str], upstream: FakeUpstream, key: str,
    database_url: str,
) -> None:  # fmt: skip
    """What the client saw whole has its row, what ran has one that says it was interrupted."""
    async with aiohttp.ClientSession() as client:
        async with ProxyProcess(directory, **configuration) as proxy:
            upstream.behaviour = upstream.stream
            async with chat(client, proxy.url, key) as response:
                await response.read()
            upstream.behaviour = upstream.stream_and_stall
            running = await chat(client, proxy.url, key)
            async with chat(client, proxy.url, "lsk_wrong"):
                pass
            proxy.signal(signal.SIGKILL)
            await proxy.wait()
            running.close()
        async with ProxyProcess(directory, **configuration):
            await until(lambda: len(rows(database_url)) == 2, "both rows")
    assert rows(database_url) == [(200, None), (None, "interrupted")]


async def test_it_serves_on_a_socket_handed_down(directory: Path, configuration: dict[str, str]) -> None:
    """The supervisor owns the listener: connections wait in it while no proxy runs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        proxy = ProxyProcess(
            directory, **configuration, LLAMASERVE_LISTEN_FD="0", LLAMA_PROXY_PORT=str(port)
        )
        async with aiohttp.ClientSession() as client:
            waiting = asyncio.ensure_future(client.get(proxy.url + "/healthz"))
            proxy.start(stdin=listener.fileno())
            try:
                async with await waiting as response:
                    assert response.status == 200
            finally:
                proxy.signal(signal.SIGTERM)
                assert await proxy.wait() == 0


async def test_two_proxies_can_stand_side_by_side(
    directory: Path, configuration: dict[str, str], key: str, database_url: str
) -> None:
    """On two ports and one data directory; each records what went through it."""
    async with (
        ProxyProcess(directory, **configuration) as one,
        ProxyProcess(directory, **configuration) as two,
    ):
        async with aiohttp.ClientSession() as client:
            for proxy in (one, two):
                async with chat(client, proxy.url, key) as response:
                    assert response.status == 200
        await until(lambda: len(rows(database_url)) == 2, "both rows")


async def test_it_speaks_tls_when_told_to(
    directory: Path, configuration: dict[str, str], key: str
) -> None:
    """With a certificate and its key; what is not one is named."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(directory / "server.pem")
    pem = str(directory / "server.pem")
    proxy = ProxyProcess(directory, **configuration, LLAMA_PROXY_TLS_CERT=pem, LLAMA_PROXY_TLS_KEY=pem)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    proxy.start()
    try:
        await until(lambda: b"listening" in proxy.log.read_bytes(), "the proxy to listen")
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as client,
            chat(client, proxy.url.replace("http", "https"), key) as response,
        ):
            assert response.status == 200
    finally:
        proxy.signal(signal.SIGTERM)
        assert await proxy.wait() == 0


async def test_sighup_takes_up_a_renewed_certificate(
    directory: Path, configuration: dict[str, str]
) -> None:
    """New connections get it."""
    authority = trustme.CA()
    pem = directory / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(pem)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    tls = {"LLAMA_PROXY_TLS_CERT": str(pem), "LLAMA_PROXY_TLS_KEY": str(pem)}
    proxy = ProxyProcess(directory, **configuration, **tls)

    async def serial() -> object:
        _, writer = await asyncio.open_connection("127.0.0.1", proxy.port, ssl=context)
        certificate = writer.get_extra_info("peercert")
        writer.close()
        return certificate["serialNumber"]

    proxy.start()
    try:
        await until(lambda: b"listening" in proxy.log.read_bytes(), "the proxy to listen")
        first = await serial()
        pem.unlink()
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(pem)
        proxy.signal(signal.SIGHUP)
        await until(lambda: b"new connections use" in proxy.log.read_bytes(), "the renewal")
        assert await serial() != first
    finally:
        proxy.signal(signal.SIGTERM)
        assert await proxy.wait() == 0


async def test_sighup_without_tls_does_nothing(directory: Path, configuration: dict[str, str]) -> None:
    """The proxy goes on."""
    async with ProxyProcess(directory, **configuration) as proxy:
        proxy.signal(signal.SIGHUP)
        assert await asyncio.to_thread(proxy.answers)
        proxy.signal(signal.SIGTERM)
        assert await proxy.wait() == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"LLAMA_PROXY_PORT": "taken"}, "LLAMA_PROXY_PORT"),
        ({"LLAMA_PROXY_TLS_CERT": "/no/such", "LLAMA_PROXY_TLS_KEY": "/no/such"}, "TLS_CERT"),
        ({"LLAMA_PROXY_RATE_LIMIT": "0"}, "must be a whole number from 1"),
        ({"LLAMA_PROXY_TLS_CERT": "/no/such"}, "go together"),
    ],
)
async def test_what_keeps_it_from_starting_is_said(
    directory: Path, configuration: dict[str, str], changes: dict[str, str], message: str
) -> None:
    """Status 1, and a line that names the key."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        if changes.get("LLAMA_PROXY_PORT") == "taken":
            changes = {"LLAMA_PROXY_PORT": str(taken.getsockname()[1])}
        proxy = ProxyProcess(directory, **(configuration | changes))
        proxy.start()
        assert await proxy.wait() == 1
    assert message in proxy.log.read_text()


async def test_a_spool_that_cannot_be_written_keeps_it_from_starting(
    directory: Path, configuration: dict[str, str]
) -> None:
    """Status 1, and a line that says which directory and what to set."""
    (directory / "data").mkdir()
    (directory / "data" / "spool").write_text("in the way")
    proxy = ProxyProcess(directory, **configuration)
    proxy.start()
    assert await proxy.wait() == 1
    assert "set LLAMA_DATA_DIR" in proxy.log.read_text()
    assert "Traceback" not in proxy.log.read_text()


async def test_a_key_in_a_broken_request_stays_out_of_the_log(
    directory: Path, configuration: dict[str, str], key: str
) -> None:
    """What is not HTTP is refused and logged without its text."""
    async with ProxyProcess(directory, **configuration) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(f"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\x01\r\n\r\n".encode())
        assert b" 400 " in await asyncio.wait_for(reader.readline(), 10)
        writer.close()
        assert "not valid HTTP" in proxy.log.read_text()
        assert key not in proxy.log.read_text()


async def test_the_log_has_a_line_of_json_for_each_request(
    directory: Path, configuration: dict[str, str], key: str
) -> None:
    """With the request id of the answer, and without the key."""

    def written() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in proxy.log.read_text().splitlines()]
        return [line for line in lines if line["logger"] == "proxy.requests"]

    async with ProxyProcess(directory, **configuration) as proxy:
        async with aiohttp.ClientSession() as client, chat(client, proxy.url, key) as response:
            request_id = response.headers["x-request-id"]
            await response.read()
        (line,) = await until(written, "the line")
    assert line["request_id"] == request_id
    assert (line["user"], line["status"]) == ("alice", 200)
    assert key not in proxy.log.read_text()
