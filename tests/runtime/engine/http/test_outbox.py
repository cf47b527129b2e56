"""What waits for a client, and for how long."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from runtime.engine.generation.channel import Channel, Ended
from runtime.engine.http.exchange import Outbox

MESSAGE = {"type": "http.response.body", "body": b"x"}


async def test_a_client_that_takes_nothing_is_given_up() -> None:
    """After the stall time, with a message under way; a client without messages may wait longer."""
    taken: list[Any] = []

    async def send(message: Any) -> None:
        taken.append(message)
        if len(taken) == 2:
            await asyncio.Event().wait()

    outbox = Outbox(send, stall_s=0.1)
    running = asyncio.create_task(outbox.run())
    await outbox.put(MESSAGE)
    await asyncio.sleep(0.3)
    assert not running.done()
    await outbox.put(MESSAGE)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(running, 5)
    assert len(taken) == 2


async def test_all_messages_are_sent_before_it_is_empty() -> None:
    """In their order, slowly taken ones too, as long as each is taken in time."""
    taken: list[Any] = []

    async def send(message: Any) -> None:
        await asyncio.sleep(0.08)
        taken.append(message)

    outbox = Outbox(send, stall_s=0.2)
    for number in range(5):
        await outbox.put({**MESSAGE, "number": number})
    outbox.close()
    await asyncio.wait_for(outbox.run(), 5)
    assert outbox.emptied.is_set()
    assert [message["number"] for message in taken] == [0, 1, 2, 3, 4]


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
