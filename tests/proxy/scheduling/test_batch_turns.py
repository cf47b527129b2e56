"""Turns of lines of batches: few, fair, and below requests."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from proxy.identity.principal import NOBODY, Principal
from proxy.scheduling.batch_turns import BatchTurns
from proxy.scheduling.fair_queue import FairQueue
from proxy.scheduling.turns import Turns
from proxy.upstream.routes import Route

CHATS = Route(method="POST", work="generate")
ALICE = replace(NOBODY, user_id=1, username="alice")
BOB = replace(NOBODY, user_id=2, username="bob", weight=3.0)


@pytest.fixture
def requests() -> FairQueue:
    """The queue of requests for an engine with four slots."""
    return FairQueue(limit=4, queue_size=9, user_queue_size=9, clock=time.monotonic)


@pytest.fixture
def lines(requests: FairQueue) -> BatchTurns:
    """Turns of lines at that engine, which is ours; two at a time."""
    turns = SimpleNamespace(
        engine_is_ours=True,
        queue_of=lambda _: requests,
        free_of=lambda queue: [queue.limit - queue.running],
    )
    return BatchTurns(cast("Turns", turns), limit=2, clock=time.monotonic)


async def test_they_are_few_and_dealt_between_users(lines: BatchTurns) -> None:
    """No more at a time than may be; by the weight of their users, whoever came first."""
    order: list[str] = []
    most = 0

    async def run(user: Principal) -> None:
        nonlocal most
        turn = await lines.take(CHATS, user)
        order.append(user.username)
        most = max(most, lines.running())
        await asyncio.sleep(0.001)
        turn.end()

    await asyncio.gather(*[run(user) for user in [ALICE] * 16 + [BOB] * 16])
    assert most == 2
    assert order[2:18].count("bob") in (11, 12, 13)
    assert (lines.running(), lines.waiting()) == (0, 0)


async def test_none_is_begun_while_a_request_waits_or_has_the_last_slot(
    lines: BatchTurns, requests: FairQueue
) -> None:
    """Also while the request waits for its own user's others; afterwards the line gets its turn."""
    entered = [requests.enter(3, weight=1.0, max_concurrent=3) for _ in range(4)]
    watching = asyncio.create_task(lines.run())
    line = asyncio.create_task(lines.take(CHATS, ALICE))

    async def waits() -> bool:
        done, _ = await asyncio.wait([line], timeout=0.2)
        return not done

    assert (requests.running, requests.waiting) == (3, 1)
    assert await waits()
    last = requests.enter(4, weight=1.0, max_concurrent=None)
    requests.leave(entered[0])
    assert (requests.running, requests.waiting) == (4, 0)
    assert await waits()
    requests.leave(last)
    async with asyncio.timeout(10):
        (await line).end()
    watching.cancel()
