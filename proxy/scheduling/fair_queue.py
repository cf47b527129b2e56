"""Fair queue: the engine takes a number of requests at a time, the others wait for their turn.

Turns are fair between users: first come, first served within a user, round robin between users. It is
start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996): each turn has a start tag; a user's next
one is 1/weight after the last one, never before the virtual time, which is the start tag being served.
The lowest start tag goes first, and of equal ones the one that has waited longest. So a user whose next
request is first among that user's sees at most floor(w / v) + 1 turns of each other user of weight w
before it, where v is the user's own weight: one turn of each where all have the same weight.

One entry is made for each request and leaves once, whatever became of the request, so no slot can leak.
Nothing here waits: `turns.py` does the waiting.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from math import inf

FIRST_GUESS_S = 1.0
"""How long a request is taken to run before any has ended."""
SMOOTHING = 0.2
"""The weight of the latest request in the moving average of service times."""


class QueueFullError(Exception):
    """No room is left; `retry_after_s` is when half of those ahead should have been served."""

    def __init__(self, *, waiting: int, of_user: bool, retry_after_s: float) -> None:
        super().__init__()
        self.waiting = waiting
        self.of_user = of_user
        """Whether the user's share is full, not the queue."""
        self.retry_after_s = retry_after_s


class QueueEntry:
    """One request: it waits, then runs, then has left."""

    running = False
    waiting = False
    turn: asyncio.Event | None = None
    """Set when it gets its turn; None as long as it has not had to wait."""
    start_tag = 0.0

    def __init__(self, queue: FairQueue, user: _UserQueue, joined_at: float, number: int) -> None:
        self.queue = queue
        self.user = user
        self.number = number
        self.joined_at = joined_at
        self.ready_at = joined_at
        """When it got its turn, or left without one; until then, when it joined."""

    @property
    def waited_s(self) -> float:
        """How long it has waited."""
        return (self.queue.now() if self.waiting else self.ready_at) - self.joined_at


class _UserQueue:
    """One user's requests."""

    __slots__ = ("limit", "next_start", "running", "scheduled", "waiting", "weight")

    def __init__(self) -> None:
        self.waiting: deque[QueueEntry] = deque()
        self.running = 0
        self.weight = 1.0
        self.limit: float = inf
        self.next_start = 0.0
        self.scheduled = False
        """Whether the user is in the heap of those that get turns."""


class FairQueue:
    """Gives out `limit` slots, at least 1. `clock` gives monotonic seconds."""

    def __init__(
        self, *, limit: int, queue_size: int, user_queue_size: int, clock: Callable[[], float]
    ) -> None:
        self.limit = limit
        self.running = 0
        self.waiting = 0
        self.paused = False
        self._queue_size = queue_size
        self._user_queue_size = user_queue_size
        self.now = clock
        """Gives monotonic seconds."""
        self._users: dict[int, _UserQueue] = {}
        self._sweep_at = 64
        self._turns: list[tuple[float, int, _UserQueue]] = []
        """A heap of (start tag, order, user), one for each user that waits and may run."""
        self._virtual_time = 0.0
        """The start tag being served."""
        self._last_start = 0.0
        """The highest start tag that has been set for a next turn."""
        self._number = 0
        self._service_s = FIRST_GUESS_S

    def enter(
        self, user_id: int, *, weight: float = 1.0, max_concurrent: int | None = None
    ) -> QueueEntry:
        """An entry for a request: `running` if there is a slot for it, else it waits for its `turn`.

        The caller must call `leave` with it, however the request ends.

        Raises:
            QueueFullError: it would have to wait, and there is no room.
        """
        user = self._users.get(user_id)
        if user is None:
            user = self._new_user(user_id)
        user.weight = weight
        user.limit = max_concurrent or inf
        self._number = number = self._number + 1
        entry = QueueEntry(self, user, self.now(), number)
        # While a slot is free no request waits that may have it, unless the user's limit has just grown.
        free = self.running < self.limit and user.running < user.limit and not self.paused
        if free and not user.waiting:
            self._grant(
                entry, self._virtual_time if self._virtual_time > user.next_start else user.next_start
            )
            return entry
        self.check_room(user_id)
        entry.turn = asyncio.Event()
        entry.waiting = True
        user.waiting.append(entry)
        self.waiting += 1
        self._schedule(user)
        self._give_turns()
        return entry

    def check_room(self, user_id: int) -> None:
        """Raise QueueFullError if a request of this user could neither run nor wait now."""
        user = self._users.get(user_id)
        if self.running < self.limit and not self.paused and (user is None or user.running < user.limit):
            return
        of_user = len(user.waiting) if user is not None else 0
        if of_user < self._user_queue_size and self.waiting < self._queue_size:
            return
        full = of_user >= self._user_queue_size
        raise QueueFullError(
            waiting=of_user if full else self.waiting,
            of_user=full,
            retry_after_s=self.wait_s(user_id) / 2,
        )

    def wait_s(self, user_id: int) -> float:
        """How long a new request of this user would wait, from recent service times."""
        user = self._users.get(user_id)
        of_user = len(user.waiting) if user is not None else 0
        ahead = self._ahead(of_user, user.weight if user is not None else 1.0, user)
        return (ahead + 1) * self._service_s / self.limit

    def wait_s_of(self, entry: QueueEntry) -> float:
        """How long a request that waits should go on waiting."""
        return (self.ahead(entry) + 1) * self._service_s / self.limit

    def leave(self, entry: QueueEntry) -> None:
        """End a request's wait or its turn; the second call does nothing."""
        user = entry.user
        if entry.running:
            entry.running = False
            self.running -= 1
            user.running -= 1
            self._service_s += SMOOTHING * (self.now() - entry.ready_at - self._service_s)
            if self.waiting:
                self._schedule(user)
                self._give_turns()
            elif not self.running:
                # Nobody is there to be fair to: all begin anew, at a time that is nobody's next.
                self._virtual_time = self._last_start
        elif entry.waiting:
            entry.waiting = False
            entry.ready_at = self.now()
            user.waiting.remove(entry)
            self.waiting -= 1

    def give_up_turn(self, entry: QueueEntry) -> None:
        """Wait again, ahead of those who came later: the turn was of no use."""
        if not entry.running:
            return
        user = entry.user
        entry.running = False
        entry.waiting = True
        entry.turn = asyncio.Event()
        user.next_start = min(user.next_start, entry.start_tag)
        user.waiting = deque(sorted((entry, *user.waiting), key=lambda waiting: waiting.number))
        self.waiting += 1
        self.running -= 1
        user.running -= 1
        self._schedule(user)
        self._give_turns()

    def resize(self, limit: int) -> None:
        """Give out `limit` slots, at least 1, from now on. Turns that have begun go on."""
        self.limit = limit
        self._give_turns()

    def pause(self) -> None:
        """Give no more turns: the engine is not there."""
        self.paused = True

    def resume(self) -> None:
        """Give turns again."""
        self.paused = False
        self._give_turns()

    def ahead(self, entry: QueueEntry) -> int:
        """How many of those that wait should get their turn before this one; 0 for one that does not."""
        user = entry.user
        return self._ahead(user.waiting.index(entry), user.weight, user) if entry.waiting else 0

    def _ahead(self, index: int, weight: float, of_user: _UserQueue | None) -> int:
        span = (index + 1) / weight
        others = (user for user in self._users.values() if user is not of_user and user.waiting)
        return index + sum(min(len(user.waiting), int(span * user.weight)) for user in others)

    def _grant(self, entry: QueueEntry, start: float) -> None:
        user = entry.user
        self.running += 1
        user.running += 1
        self._virtual_time = start
        user.next_start = next_start = start + 1 / user.weight
        self._last_start = max(self._last_start, next_start)
        entry.start_tag = start
        entry.running = True

    def _schedule(self, user: _UserQueue) -> None:
        if user.waiting and not user.scheduled and user.running < user.limit:
            user.scheduled = True
            self._number += 1
            heappush(self._turns, (max(self._virtual_time, user.next_start), self._number, user))

    def _give_turns(self) -> None:
        while self._turns and self.running < self.limit and not self.paused:
            start, _, user = heappop(self._turns)
            user.scheduled = False
            # The user may have stopped waiting, or the limit been lowered, since then.
            if not user.waiting or user.running >= user.limit:
                continue
            entry = user.waiting.popleft()
            self.waiting -= 1
            entry.waiting = False
            entry.ready_at = self.now()
            self._grant(entry, max(self._virtual_time, start))
            assert entry.turn is not None
            entry.turn.set()
            self._schedule(user)

    def _new_user(self, user_id: int) -> _UserQueue:
        if len(self._users) >= self._sweep_at:
            self._users = {
                known: queue
                for known, queue in self._users.items()
                # One whose next turn is still to come is kept: its next request would otherwise be
                # taken for that of a user who has not been served yet.
                if queue.running
                or queue.waiting
                or queue.scheduled
                or queue.next_start > self._virtual_time
            }
            self._sweep_at = 2 * len(self._users) + 64
        user = self._users[user_id] = _UserQueue()
        return user
