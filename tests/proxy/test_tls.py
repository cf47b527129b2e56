"""TLS: certificates that are renewed, handshakes in a drain, and how connections end."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.edge.limits import EdgeLimits
from proxy.server import ProxyServer
from proxy.settings import ProxySettings
from proxy.tls import ServerCertificate
from tests.support.authority import Authority, serial
from tests.support.raw_client import raw_client
from tests.support.wait import until

LIMITS = EdgeLimits(linger_s=1.0, fresh_s=0.3)
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.fixture
def authority(directory: Path) -> Authority:
    """One whose first certificate is issued."""
    return Authority(directory)


@asynccontextmanager
async def serving(settings: ProxySettings, authority: Authority) -> AsyncIterator[ProxyServer]:
    """A proxy with TLS."""
    certificate = ServerCertificate(authority.pem, authority.pem)
    listener = socket.create_server(("127.0.0.1", 0))
    async with ProxyServer(settings, listener, certificate=certificate, limits=LIMITS) as server:
        yield server


async def test_a_renewed_certificate_is_served_to_new_connections(
    settings: ProxySettings, authority: Authority
) -> None:
    """Connections that exist go on."""
    async with serving(settings, authority) as server:
        old = await authority.connect(server.address)
        authority.issue()
        server.reload_certificate()
        new = await authority.connect(server.address)
        assert serial(new) != serial(old)
        for client in (old, new):
            assert (await client.outcome(0, closes=False)).closed is False
            client.writer.close()


async def test_a_certificate_that_cannot_be_used_is_not_taken_up(
    settings: ProxySettings, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """The old one stays, and the log says why."""
    async with serving(settings, authority) as server:
        first = await authority.connect(server.address)
        for content in ("no PEM", authority.pem.read_text()[:300], None):
            if content is None:
                authority.pem.unlink()
            else:
                authority.pem.write_text(content)
            caplog.clear()
            server.reload_certificate()
            assert "the old one stays" in caplog.text
        second = await authority.connect(server.address)
        assert serial(second) == serial(first)
        for client in (first, second):
            client.writer.close()


async def test_changed_files_are_noticed(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    """Without a signal; a broken one is logged once, and the next good one is taken up."""
    certificate = ServerCertificate(authority.pem, authority.pem)
    watching = asyncio.ensure_future(certificate.watch(0.02))
    try:
        with caplog.at_level(logging.INFO, "proxy.tls"):
            first = certificate.context
            authority.pem.write_text("no PEM")
            await until(lambda: "the old one stays" in caplog.text, "the change to be noticed")
            await asyncio.sleep(0.1)  # several looks later
            assert caplog.text.count("the old one stays") == 1
            assert certificate.context is first
            authority.issue()
            await until(lambda: certificate.context is not first, "the new one to be taken up")
    finally:
        watching.cancel()


async def test_a_handshake_under_way_does_not_hold_up_the_drain(
    settings: ProxySettings, authority: Authority
) -> None:
    """It has a moment, far less than a handshake may take."""
    certificate = ServerCertificate(authority.pem, authority.pem)
    listener = socket.create_server(("127.0.0.1", 0))
    patient = replace(settings, drain_s=30.0)
    server = ProxyServer(patient, listener, certificate=certificate, limits=LIMITS)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(server)
        url = f"http://127.0.0.1:{server.address[1]}"
        async with raw_client(url) as silent:
            await until(lambda: len(server.connections) == 1, "the connection to be accepted")
            begun = time.monotonic()
            await stack.aclose()
            assert time.monotonic() - begun < patient.drain_s / 2
            await silent.ended()


async def test_a_handshake_under_way_makes_room(settings: ProxySettings, authority: Authority) -> None:
    """At the bound of an address: silent clients keep nobody out, though a handshake has its time."""
    async with serving(replace(settings, max_connections=4), authority) as server:
        async with raw_client(f"http://127.0.0.1:{server.address[1]}") as silent:
            await until(lambda: len(server.connections) == 1, "the connection to be accepted")
            client = await authority.connect(server.address)
            assert (await client.outcome(0, closes=False)).closed is False
            await silent.ended()
        client.writer.close()
        await until(lambda: not len(server.connections), "the connections to be counted out")


async def test_a_last_response_over_tls_arrives_whole(
    settings: ProxySettings, authority: Authority
) -> None:
    """Also where more input is behind the request, and where there was no request to answer."""
    closing = HEALTH[:-2] + b"Connection: close\r\n\r\n"
    async with serving(settings, authority) as server:
        for sent, status in ((closing + b"x" * 300_000, 200), (b"\0" * 300_000, 400)):
            client = await authority.connect(server.address)
            await client.send(sent)
            answer = await client.answer()
            assert answer is not None
            assert (answer.status, answer.headers["connection"]) == (status, "close")
            await client.ended()
            client.writer.close()
        await until(lambda: not len(server.connections), "the connections to be counted out")
