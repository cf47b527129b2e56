"""Asks the engine for the usage of a request that ended early, so that its user is charged exactly that.

If the client leaves or the request is cut off, the engine has worked for it, but its response does not
say how much. Only our own engine can be asked. The request keeps its turn until the engine has replied,
for a few seconds at most, since the engine works on the request until then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from proxy.exchange import Exchange
from proxy.upstream.relay import Relay


class Settlements:
    """Asks the engine for the usage of requests that ended early, each in a background task."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, exchange: Exchange, then: Callable[[], None]) -> None:
        """Ask for a request's usage, then call `then`, also if the usage could not be obtained.

        The caller must have closed the request's connection to the engine, or be about to close it.
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
        """Wait for the replies that are still open; each has a time limit."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
