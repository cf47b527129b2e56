"""How long is waited for a client, and for events."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from runtime.engine.generation.channel import Channel, Ended
from tests.support.client import CHAT
from tests.support.engine import API_KEY, Engine
from tests.support.slow_reader import SlowReader, slow_reader
from tests.support.wait import until

DETOKENIZED = json.dumps({"tokens": [300] * 65_536}).encode()
"""Asks for a response that is longer than what the kernel holds for a slow reader."""
ASKED = {
    "messages": [{"role": "user", "content": "x"}],
    "max_tokens": 600,
    "logprobs": True,
    "top_logprobs": 20,
}
HEAD = b"GET /health HTTP/1.1\r\nHost: x"
END = b"\r\n0\r\n\r\n"


@pytest.fixture(scope="module")
def impatient(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A running engine that waits a second for a client which reads nothing."""
    env = {"LLAMA_SERVER_STALL_SECONDS": "1"}
    with Engine(tmp_path_factory.mktemp("impatient"), models / "quick.gguf", env=env) as engine:
        yield engine.start()


def is_connected(engine: Engine, reader: SlowReader) -> bool:
    """Whether the engine holds the reader's connection, which itself would not see its end."""
    port = reader.connection.getsockname()[1]
    held = psutil.Process(engine.pid).net_connections("tcp")
    return any(one.raddr and one.raddr.port == port for one in held)


@pytest.mark.parametrize(("path", "bytes_per_s"), [("/extras/detokenize", 0), (CHAT, 100)])
async def test_a_client_that_takes_next_to_nothing_is_disconnected(
    impatient: Engine, path: str, bytes_per_s: int
) -> None:
    """Also of a whole response, which has been handed over at once: nobody sends any more then."""
    body = DETOKENIZED if path != CHAT else json.dumps(ASKED).encode()
    port = impatient.port
    async with slow_reader(port, API_KEY, path=path, body=body, bytes_per_s=bytes_per_s) as reader:
        await until(lambda: is_connected(impatient, reader), "the client to be connected")
        await until(lambda: not is_connected(impatient, reader), "the client to be disconnected")


@pytest.mark.parametrize(
    ("before", "head"),
    [(b"", b""), (b"", HEAD), (HEAD + b"\r\n\r\n", HEAD)],
    ids=["none", "first", "next"],
)
async def test_a_client_that_sends_no_whole_head_is_disconnected(
    impatient: Engine, before: bytes, head: bytes
) -> None:
    """However often a byte of one arrives: that needs no key, and there are only so many descriptors."""
    reader, writer = await asyncio.open_connection("127.0.0.1", impatient.port)
    writer.write(before + head)

    async def trickle() -> None:
        while head:
            writer.write(b"x")
            await asyncio.sleep(0.2)

    trickling = asyncio.create_task(trickle())
    with contextlib.suppress(ConnectionError):
        assert (await asyncio.wait_for(reader.read(), 20)).count(b"HTTP/1.1 200 OK") == bool(before)
    trickling.cancel()
    writer.close()


async def test_a_connection_is_kept_for_longer_than_the_proxy_keeps_it(impatient: Engine) -> None:
    """Else a request of the proxy's could meet its end, and nobody would know whether it was begun."""
    reader, writer = await asyncio.open_connection("127.0.0.1", impatient.port)
    for _ in range(2):
        writer.write(HEAD + b"\r\n\r\n")
        assert (await asyncio.wait_for(reader.readuntil(b"}"), 20)).startswith(b"HTTP/1.1 200 OK")
        await asyncio.sleep(2)  # twice the time for a head
    writer.close()


async def test_a_slow_client_gets_all_of_its_stream(impatient: Engine) -> None:
    """It always reads, but for one piece, of what was generated meanwhile, it takes several seconds."""
    body = json.dumps({**ASKED, "stream": True}).encode()
    async with slow_reader(impatient.port, API_KEY, path=CHAT, body=body, bytes_per_s=200_000) as reader:
        await until(lambda: reader.closed or reader.received.endswith(END), "the end", deadline_s=60)
    assert b"data: [DONE]" in reader.received
    assert len(reader.received) > 600_000, "too short to take seconds"


async def test_silence_is_reported_as_no_events() -> None:
    """Again and again, and not where events come."""
    channel = Channel()
    loop = asyncio.get_running_loop()
    with channel.reporting_silence(0.1):
        began = loop.time()
        assert await channel.get() == []
        assert await channel.get() == []
        assert loop.time() - began >= 0.19
        channel.put(Ended())
        assert await channel.get() == [Ended()]
