"""Turns of the lines of batches: below all other work, fair between users.

A line gets a turn only while no request waits and a slot is free, and at most `limit` do at a time.
Where all engines are our own, such a turn takes no slot from `turns`: the engine pauses the line when a
request needs its slot. Elsewhere it is also a turn of the request's own queue, which a newcomer has to
wait for.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from proxy.errors import ApiError
from proxy.identity.principal import Principal
from proxy.scheduling.fair_queue import FairQueue, QueueEntry
from proxy.scheduling.turns import Turns
from proxy.upstream.routes import Route

LOOK_EVERY_S = 0.05
"""How often the free slots are looked at."""
_ANY_NUMBER = 2**31


@dataclass(kw_only=True)
class BatchTurn:
    """A line that waits or runs. `end` must be called in any case."""

    entry: QueueEntry
    on_end: Callable[[], None]
    lease: QueueEntry | None = None
    """The turn of the request's own queue, where one is needed."""
    lines: Counter[int] | None = None
    """Where it is counted as a line of its backend, which would pause it."""

    @property
    def at_engine(self) -> QueueEntry:
        """What knows the backend, once there is one."""
        return self.lease or self.entry

    def end(self, *, settling: bool = False) -> None:
        """The line has ended. `settling`: the turn at the engine is ended by somebody else."""
        if self.lease is not None and not settling:
            self.lease.queue.leave(self.lease)
        if self.lease is not None or not settling:
            self.entry.queue.leave(self.entry)
        if self.lines is not None:
            self.lines[self.entry.backend] -= 1
        self.on_end()


class BatchTurns:
    """Gives turns to lines. `run` must be running as a task.

    Args:
        limit: lines at a time; None: as many as our engine has slots, or half of another one's.
    """

    def __init__(self, turns: Turns, *, limit: int | None, clock: Callable[[], float]) -> None:
        self._turns = turns
        self._limit = limit
        self._clock = clock
        self._queues: dict[FairQueue, FairQueue] = {}
        """The queue of lines beside each queue of requests."""
        self._lines: dict[FairQueue, Counter[int]] = {}
        """How many of its lines each backend has, that it would pause."""

    def running(self) -> int:
        """How many lines have a turn."""
        return sum(queue.running for queue in self._queues.values())

    def waiting(self) -> int:
        """How many lines wait for a turn."""
        return sum(queue.waiting for queue in self._queues.values())

    def most(self, route: Route) -> int:
        """How many lines may have a turn at a time, at least 1."""
        slots = self._turns.queue_of(route).limit
        usual = slots if self._pauses() else slots // 2
        return max(1, min(self._limit or usual, slots))

    async def take(self, route: Route, principal: Principal) -> BatchTurn:
        """Wait for a turn."""
        above = self._turns.queue_of(route)
        queue = self._queues.get(above)
        if queue is None:
            queue = self._queues[above] = FairQueue(
                limit=1, queue_size=_ANY_NUMBER, user_queue_size=_ANY_NUMBER, clock=self._clock
            )
            queue.pause()
            self._lines[above] = Counter()
        entry = queue.enter(
            principal.user_id, weight=principal.weight, max_concurrent=principal.max_concurrent
        )
        turn = BatchTurn(entry=entry, on_end=partial(self._look, above, queue, route))
        try:
            self._look(above, queue, route)
            while not turn.entry.running:
                assert turn.entry.turn is not None
                await turn.entry.turn.wait()
            if self._pauses():
                entry.backend = self._choose(above)
                turn.lines = self._lines[above]
                turn.lines[entry.backend] += 1
            else:
                await self._lease(turn, route, principal)
        except BaseException:
            turn.end()
            raise
        return turn

    async def run(self) -> None:
        """Look at the free slots, until cancelled."""
        routes = (Route(method="POST", work="generate"), Route(method="POST", work="embed"))
        while True:
            for route in routes:
                above = self._turns.queue_of(route)
                if (queue := self._queues.get(above)) is not None and queue.waiting:
                    self._look(above, queue, route)
            await asyncio.sleep(LOOK_EVERY_S)

    def _pauses(self) -> bool:
        """Whether the engines pause lines for requests."""
        return self._turns.engine_is_ours

    def _free(self, above: FairQueue) -> list[int | None]:
        """How many slots of each backend neither requests nor lines have; None: it is not used."""
        lines = self._lines[above]
        return [
            None if free is None else free - lines[backend]
            for backend, free in enumerate(self._turns.free_of(above))
        ]

    def _choose(self, above: FairQueue) -> int:
        """The backend with most free slots."""
        free = [-_ANY_NUMBER if one is None else one for one in self._free(above)]
        return free.index(max(free))

    def _look(self, above: FairQueue, queue: FairQueue, route: Route) -> None:
        """Give turns as far as slots are free."""
        free = 0
        if not above.paused and not above.waiting:
            free = sum(max(0, one or 0) for one in self._free(above))
        limit = min(self.most(route), queue.running + free)
        if limit > queue.running:
            queue.limit = limit
            queue.resume()
        else:
            queue.pause()

    async def _lease(self, turn: BatchTurn, route: Route, principal: Principal) -> None:
        """Take a turn of the request's own queue too, once that has room."""
        while turn.lease is None:
            try:
                turn.lease = lease = self._turns.enter(route, principal)
                await self._turns.wait(lease, _no_comment)
            except ApiError:  # the queue is full, or the wait was too long
                if turn.lease is not None:
                    turn.lease.queue.leave(turn.lease)
                    turn.lease = None
                await asyncio.sleep(1)


async def _no_comment(_: int) -> None:
    """A line has no client to keep."""
