"""Finds out what the engine did for a request that ended early, so that it is charged for just that.

A client that leaves before the usage has been told, or a request that is cut off, has had the engine
work for it nevertheless. Our own engine tells what it did when it is asked. Such a request keeps its
turn until the engine has answered, since until then it works on it; no longer than a few seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from proxy.exchange import Exchange
from proxy.upstream.relay import Relay


class Settlements:
    """Asks the engine about requests that ended early, in tasks of its own."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, exchange: Exchange, then: Callable[[], None]) -> None:
        """Ask about a request, and call `then` once its usage is known, or cannot be known.

        The request must have given up its connection to the engine, or be about to.
        """
        task = asyncio.create_task(self._settle(exchange, then))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _settle(self, exchange: Exchange, then: Callable[[], None]) -> None:
        try:
            exchange.response.scanner.settled = await self._relay.usage_of(exchange.id)
        finally:
            then()

    async def close(self) -> None:
        """Wait for what is still being asked; each question has a time limit."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
