"""How a connection ends: its client can read the last response, and nothing of it is kept."""

from __future__ import annotations

import asyncio
import gc
import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from proxy.edge.connection import ClientConnection
from proxy.edge.limits import EdgeLimits
from proxy.settings import ProxySettings
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.raw_client import raw_client
from tests.support.wait import until

CLOSE = b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


def remembered(kind: type) -> int:
    """How many objects of this kind this process has."""
    return sum(isinstance(one, kind) for one in gc.get_objects())


@pytest.fixture
def _no_collector() -> Iterator[None]:
    """Cycles stay: the garbage collector of a proxy runs rarely."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def test_a_last_response_is_not_lost_to_input_behind_it(proxy: RunningProxy) -> None:
    """Closed with unread input, TCP would reset the connection and drop the response."""
    port = int(proxy.url.rsplit(":", 1)[1])
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.setblocking(False)
            client.send(CLOSE)
            for _ in range(10):
                client.send(b"x" * 10_000)
                await asyncio.sleep(0.001)
            client.setblocking(True)
            answer = await asyncio.to_thread(client.recv, 65_536)
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


async def converse(proxy: RunningProxy, sent: bytes) -> None:
    """Send this, take the answer if it deserves one, and close."""
    async with raw_client(proxy.url) as client:
        await client.send(sent)
        if sent:
            assert await client.answer() is not None


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.asyncio(loop_factories=["asyncio", "uvloop"])
async def test_a_closed_connection_is_not_remembered(proxy: RunningProxy) -> None:
    """However it was closed: by its client, by a response that was the last, by a refusal. At once, not
    when the garbage collector comes round."""
    before = remembered(asyncio.Transport)
    for sent in (b"", CLOSE, b"\0\r\n\r\n"):
        for _ in range(5):
            await converse(proxy, sent)
    await until(lambda: not remembered(ClientConnection), "the connections to be freed", deadline_s=10)

    def no_transports_stay() -> bool:
        gc.collect()  # the test's own clients are in cycles
        return remembered(asyncio.Transport) <= before

    await until(no_transports_stay, "the transports to be freed", deadline_s=10)


async def test_a_client_that_keeps_its_side_open_is_closed_after_a_while(
    settings: ProxySettings,
) -> None:
    """The last response has been sent, and what the client goes on sending is dropped."""
    limits = EdgeLimits(linger_s=0.3)
    async with running_proxy(settings, limits) as proxy, raw_client(proxy.url) as client:
        await client.send(CLOSE)
        assert await client.answer() is not None
        begun = time.monotonic()
        await client.ended()
        while len(proxy.connections):
            await client.send(b"x" * 1000)
            assert time.monotonic() - begun < 10
            await asyncio.sleep(0.01)


async def test_a_new_connection_displaces_one_that_is_being_closed(
    settings: ProxySettings,
) -> None:
    """Whoever keeps its side open longer than need be keeps nobody out."""
    few = replace(settings, max_connections=4)  # of one address: one
    async with running_proxy(few, EdgeLimits(linger_s=20)) as proxy, raw_client(proxy.url) as closing:
        await closing.send(CLOSE)
        assert await closing.answer() is not None
        async with raw_client(proxy.url) as new:
            assert (await new.outcome(0, closes=False)).closed is False
