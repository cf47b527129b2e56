"""How long is waited for a client, and for events."""

from __future__ import annotations

import asyncio
from typing import Any

from runtime.engine.generation.channel import Channel, Ended
from runtime.engine.http.exchange import Client

MESSAGE = {"type": "http.response.body", "body": b"x"}


async def test_a_client_that_takes_nothing_is_given_up() -> None:
    """After the stall time, with a message under way; a client without messages may wait longer."""
    taken: list[Any] = []
    given_up = asyncio.Event()

    async def send(message: Any) -> None:
        taken.append(message)
        if len(taken) == 2:
            await asyncio.Event().wait()

    client = Client(send, stall_s=0.1, give_up=given_up.set)
    with client.watched():
        await client.send(MESSAGE)
        await asyncio.sleep(0.3)
        assert not given_up.is_set()
        sending = asyncio.create_task(client.send(MESSAGE))
        await asyncio.wait_for(given_up.wait(), 5)
    sending.cancel()


async def test_a_slow_client_is_not_given_up() -> None:
    """As long as it takes each message in time."""
    given_up = asyncio.Event()

    async def send(_message: Any) -> None:
        await asyncio.sleep(0.5)

    client = Client(send, stall_s=2, give_up=given_up.set)
    with client.watched():
        for _ in range(6):
            await client.send(MESSAGE)
    assert not given_up.is_set()


async def test_a_client_that_has_left_is_given_up() -> None:
    """Without an error for whoever sends: its work is ended."""
    given_up = asyncio.Event()

    async def send(_message: Any) -> None:
        raise ConnectionResetError

    client = Client(send, stall_s=0.2, give_up=given_up.set)
    await client.send(MESSAGE)
    assert given_up.is_set()


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
