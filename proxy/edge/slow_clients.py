"""Clients that are there and take nothing of their answer: after a while they are cut off.

Such a client holds the engine, and so all who wait for it. One task looks at all answers under way,
since a timer for each piece of each would cost more than the writing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from proxy.edge.response import Response


class SlowClients:
    """Watches answers under way. `clock` gives monotonic seconds; `run` must be running as a task."""

    def __init__(self, timeout_s: float, *, clock: Callable[[], float]) -> None:
        self._timeout_s = timeout_s
        self._clock = clock
        self.watched: set[Response] = set()
        """From when the answer may come until it has come to its end."""

    async def run(self) -> None:
        """Look at all answers, now and then, until cancelled."""
        while True:
            await asyncio.sleep(self._timeout_s / 4)
            self.look()

    def look(self) -> None:
        """Cut off those that have not moved for too long."""
        now = self._clock()
        for answer in list(self.watched):
            transport = answer.request.client.transport
            left = transport.get_write_buffer_size() if transport is not None else 0
            seen = (left, answer.response_bytes)
            # With nothing left to take it is the engine that is waited for.
            if not left or seen != answer.seen:
                answer.seen, answer.moved_at = seen, now
            elif transport is not None and now - answer.moved_at >= self._timeout_s:
                answer.stalled = True
                transport.abort()
