"""Runs short work in threads, dealt in turn between those who ask: a flood delays its sender alone."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import TypeVar

Result = TypeVar("Result")


class FairThreads:
    """Runs work for shares: each share's own in order, the shares in turn.

    What waits is bounded by the proxy's connections.

    Args:
        at_a_time: how much work runs at the same time.
    """

    def __init__(self, at_a_time: int) -> None:
        self._free = at_a_time
        self._waiting: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()
        """By share; the share whose turn comes next first."""

    async def run(self, share: Hashable, work: Callable[[], Result]) -> Result:
        """Run `work` in a thread when the turn of `share` comes, and return its result."""
        if self._free:
            self._free -= 1
        else:
            await self._wait(share)
        try:
            return await asyncio.to_thread(work)
        finally:
            self._pass_on()

    async def _wait(self, share: Hashable) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(share, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # the turn came in the same moment
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Give the turn that has ended to the next share."""
        while self._waiting:
            share, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[share] = turns
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
