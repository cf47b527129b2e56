"""Fair queue: the engine serves a limited number of requests at a time; the others wait for a turn.

Turns are fair between users: first come, first served within a user, weighted round robin between users.
The algorithm is start-time fair queueing (Goyal, Vin, Cheng, SIGCOMM 1996). Each turn has a start tag. A
user's next start tag is 1/weight after the previous one, but never before the virtual time, which is
the start tag of the latest turn. The lowest start tag goes first; among equal tags, the user that has
waited longest. So before the first waiting request of a user of weight v, each other user of weight w
gets at most floor(w / v) + 1 turns; if all weights are equal, one turn.

Each request has one entry, which leaves the queue once, however the request ends, so no slot can leak.
Nothing in this module blocks: `turns.py` does the waiting.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from math import inf

from proxy.scheduling.backend_slots import Slots

FIRST_GUESS_S = 1.0
"""The assumed service time until the first request has ended."""
SMOOTHING = 0.2
"""The weight of the latest request in the moving average of service times."""


class QueueFullError(Exception):
    """The queue is full. After `retry_after_s`, half of the requests ahead should have been served."""

    def __init__(self, *, waiting: int, of_user: bool, retry_after_s: float) -> None:
        super().__init__()
        self.waiting = waiting
        self.of_user = of_user
        """True if the user's share of the queue is full, False if the whole queue is."""
        self.retry_after_s = retry_after_s


class QueueEntry:
    """One request in the queue: it waits, then runs, then leaves."""

    running = False
    waiting = False
    turn: asyncio.Event | None = None
    """Set when the request gets its turn; None if it has not had to wait."""
    start_tag = 0.0
    backend = 0
    """The index of the backend that the turn is at, or was at; `slots` are its slots, of several."""
    slots: Slots | None = None

    def __init__(self, queue: FairQueue, user: _UserQueue, joined_at: float, number: int) -> None:
        self.queue = queue
        self.user = user
        self.number = number
        self.joined_at = joined_at
        self.ready_at = joined_at
        """When the request got its turn or left without one; `joined_at` until then."""

    @property
    def waited_s(self) -> float:
        """Seconds that the request has waited so far."""
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
        """Whether the user is in the heap `FairQueue._turns`."""


class FairQueue:
    """Assigns `limit` slots, at least 1, to requests. `clock` returns monotonic seconds."""

    def __init__(
        self, *, limit: int, queue_size: int, user_queue_size: int, clock: Callable[[], float]
    ) -> None:
        self.limit = limit
        self.running = 0
        self.waiting = 0
        self.paused = False
        self._queue_size = queue_size
        self._user_queue_size = user_queue_size
        self.surely_room = min(queue_size, user_queue_size)
        """While fewer wait, there is room for anybody's request."""
        self.now = clock
        """Returns monotonic seconds."""
        self._users: dict[int, _UserQueue] = {}
        self._sweep_at = 64
        self._turns: list[tuple[float, int, _UserQueue]] = []
        """A heap of (start tag, order, user), one for each user that waits and may run."""
        self._virtual_time = 0.0
        """The start tag of the latest turn."""
        self._last_start = 0.0
        """The highest `next_start` that any user has had."""
        self._number = 0
        self._service_s = FIRST_GUESS_S

    def enter(
        self, user_id: int, *, weight: float = 1.0, max_concurrent: int | None = None
    ) -> QueueEntry:
        """Add a request. Its entry is `running` if a slot is free, else `waiting` for its `turn`.

        The caller must call `leave` with the entry, however the request ends.

        Raises:
            QueueFullError: the request would have to wait, and the queue is full.
        """
        user = self._users.get(user_id)
        if user is None:
            user = self._new_user(user_id)
        user.weight = weight
        user.limit = max_concurrent or inf
        self._number = number = self._number + 1
        entry = QueueEntry(self, user, self.now(), number)
        # If a slot is free, no waiting request may use it, unless this user's limit was just raised.
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
        user_waiting = len(user.waiting) if user is not None else 0
        user_full = user_waiting >= self._user_queue_size
        # Users who fill the queue together do not shut out others: each may have one request waiting.
        is_first = user_waiting == 0 and self._queue_size > 0
        if not user_full and (is_first or self.waiting < self._queue_size):
            return
        raise QueueFullError(
            waiting=user_waiting if user_full else self.waiting,
            of_user=user_full,
            retry_after_s=self.wait_s(user_id) / 2,
        )

    def wait_s(self, user_id: int) -> float:
        """Seconds that a new request of this user would wait, estimated from recent service times."""
        user = self._users.get(user_id)
        user_waiting = len(user.waiting) if user is not None else 0
        ahead = self._ahead(user_waiting, user.weight if user is not None else 1.0, user)
        return (ahead + 1) * self._service_s / self.limit

    def wait_s_of(self, entry: QueueEntry) -> float:
        """Seconds that a waiting request still has to wait, estimated from recent service times."""
        return (self.ahead(entry) + 1) * self._service_s / self.limit

    def leave(self, entry: QueueEntry) -> None:
        """End a request's wait or its turn; the second call does nothing."""
        user = entry.user
        if entry.running:
            entry.running = False
            self.running -= 1
            user.running -= 1
            if entry.slots is not None:
                entry.slots.release()
            self._service_s += SMOOTHING * (self.now() - entry.ready_at - self._service_s)
            if self.waiting:
                self._schedule(user)
                self._give_turns()
            elif not self.running:
                # The queue is empty. All users start again equal: no start tag is above this time.
                self._virtual_time = self._last_start
        elif entry.waiting:
            entry.waiting = False
            entry.ready_at = self.now()
            user.waiting.remove(entry)
            self.waiting -= 1

    def give_up_turn(self, entry: QueueEntry) -> None:
        """Return a running request to its former position in the queue: its turn was of no use."""
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
        if entry.slots is not None:
            entry.slots.release()
            entry.slots = None
        self._schedule(user)
        self._give_turns()

    def pause(self) -> None:
        """Give no turns until `resume`: the engine cannot be reached."""
        self.paused = True

    def resume(self) -> None:
        """Give turns again."""
        self.paused = False
        self._give_turns()

    def ahead(self, entry: QueueEntry) -> int:
        """Estimated number of turns before this request's turn; 0 if it does not wait."""
        user = entry.user
        return self._ahead(user.waiting.index(entry), user.weight, user) if entry.waiting else 0

    def order(self) -> list[QueueEntry]:
        """All waiting requests in the order of their turns, if no more come and none leaves.

        Those whose user has as many turns as allowed come last.
        """
        left = {user: deque(user.waiting) for user in self._users.values() if user.waiting}
        turns, number, virtual_time = list(self._turns), self._number, self._virtual_time
        found: list[QueueEntry] = []
        while turns:
            start, _, user = heappop(turns)
            if not left.get(user):
                continue
            found.append(left[user].popleft())
            virtual_time = max(virtual_time, start)
            number += 1
            heappush(turns, (virtual_time + 1 / user.weight, number, user))
        return found + [entry for entries in left.values() for entry in entries]

    def wait_s_at(self, place: int) -> float:
        """Estimated seconds until the turn of a request at this place; the next one has the place 1."""
        return place * self._service_s / self.limit

    def _ahead(self, index: int, weight: float, user: _UserQueue | None) -> int:
        """Turns before a user's request number `index`. `user` is None if it has no requests yet."""
        span = (index + 1) / weight
        others = (other for other in self._users.values() if other is not user and other.waiting)
        return index + sum(min(len(other.waiting), int(span * other.weight)) for other in others)

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
                # A user with a start tag in the future is kept: without it, the user's next request
                # would count as that of a user who has had no turn.
                if queue.running
                or queue.waiting
                or queue.scheduled
                or queue.next_start > self._virtual_time
            }
            self._sweep_at = 2 * len(self._users) + 64
        user = self._users[user_id] = _UserQueue()
        return user
