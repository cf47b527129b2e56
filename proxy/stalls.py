"""Clients that are there and take nothing of their answer: after a while they are cut off.

Such a client holds the engine, and so all who wait for it. One task looks at all answers under way,
since a timer for each piece of each would cost more than the writing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from proxy.answer import Answer


class _Watched:
    """One answer, and how things stood when it was last seen to move."""

    __slots__ = ("moved_at", "request", "seen")

    def __init__(self, request: web.Request) -> None:
        self.request = request
        self.seen = (0, 0)
        self.moved_at = 0.0


class Stalls:
    """Watches answers under way. `clock` gives monotonic seconds; `run` must be running as a task."""

    def __init__(self, timeout_s: float, *, clock: Callable[[], float]) -> None:
        self._timeout_s = timeout_s
        self._clock = clock
        self._watched: dict[Answer, _Watched] = {}

    def watch(self, request: web.Request, answer: Answer) -> None:
        """Cut the client off when it takes nothing of this answer for the time-out."""
        self._watched[answer] = _Watched(request)

    def forget(self, answer: Answer) -> None:
        """The answer has come to its end."""
        self._watched.pop(answer, None)

    async def run(self) -> None:
        """Look at all answers, now and then, until cancelled."""
        while True:
            await asyncio.sleep(self._timeout_s / 4)
            self.look()

    def look(self) -> None:
        """Cut off those that have not moved for too long."""
        now = self._clock()
        for answer, watched in list(self._watched.items()):
            transport = watched.request.transport
            left = transport.get_write_buffer_size() if transport is not None else 0
            seen = (left, answer.response_bytes)
            # With nothing left to take it is the engine that is waited for.
            if not left or seen != watched.seen:
                watched.seen, watched.moved_at = seen, now
            elif transport is not None and now - watched.moved_at >= self._timeout_s:
                answer.stalled = True
                transport.abort()
