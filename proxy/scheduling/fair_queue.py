"""The gate: the engine takes so many requests at a time, the others wait their turn.

Turns are fair between users: first come, first served within a user, round robin between users. It is
start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996): a request's turn has a number, its round;
a user's next turn comes 1/weight rounds after the last one, never before the round being served; the
lowest round goes first, and of equal ones the one that has stood there longest. So a user whose next
request stands first in their line sees at most floor(w/own) + 1 turns of each other user of weight w
before it: one turn of each where all weigh the same.

One place is made for each request and left once, whatever became of it: that is all it takes for no
slot to leak. Nothing here waits or reads a clock of its own: `turns.py` does the waiting.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from math import inf

FIRST_GUESS_S = 1.0
"""Of how long a request takes, before any has ended."""
SMOOTHING = 0.2
"""How much the latest request counts in the mean of recent service times."""


class QueueFullError(Exception):
    """No place is left; `retry_after_s` is when half of those in front should have been served."""

    def __init__(self, *, waiting: int, own: bool, retry_after_s: float) -> None:
        super().__init__()
        self.waiting = waiting
        self.own = own
        """Whether it is the user's own share that is full."""
        self.retry_after_s = retry_after_s


class QueueEntry:
    """One request's place: it waits, then runs, then has left."""

    running = False
    waiting = False
    turn: asyncio.Event | None = None
    """Set when it gets its turn; None as long as it has not had to wait."""
    round = 0.0

    def __init__(self, gate: FairQueue, line: _Line, joined_at: float, number: int) -> None:
        self.gate = gate
        self.line = line
        self.number = number
        self.joined_at = joined_at
        self.ready_at = joined_at
        """When it got its turn, or left without one; until then, when it came."""

    @property
    def waited_s(self) -> float:
        """How long it stood in line, once it no longer does."""
        return self.ready_at - self.joined_at


class _Line:
    """One user's requests at the gate."""

    __slots__ = ("limit", "next_round", "offered", "running", "waiting", "weight")

    def __init__(self) -> None:
        self.waiting: deque[QueueEntry] = deque()
        self.running = 0
        self.weight = 1.0
        self.limit: float = inf
        self.next_round = 0.0
        self.offered = False
        """Whether it stands among those that get turns."""


class FairQueue:
    """Gives out `limit` slots. `clock` gives monotonic seconds."""

    def __init__(
        self, *, limit: int, queue_size: int, user_queue_size: int, clock: Callable[[], float]
    ) -> None:
        self.limit = limit
        self.running = 0
        self.waiting = 0
        self.paused = False
        self._queue_size = queue_size
        self._user_queue_size = user_queue_size
        self._clock = clock
        self._lines: dict[int, _Line] = {}
        self._sweep_at = 64
        self._turns: list[tuple[float, int, _Line]] = []
        """A heap of (round, order, line), one for each line that waits and may run."""
        self._round = 0.0
        """The round being served."""
        self._last_round = 0.0
        """The highest that anybody's next turn has had."""
        self._number = 0
        self._service_s = FIRST_GUESS_S

    def enter(
        self, user_id: int, *, weight: float = 1.0, max_concurrent: int | None = None
    ) -> QueueEntry:
        """A place for a request: `running` if a slot is free for it, else it waits for its `turn`.

        The caller must `leave` the place, however the request ends.

        Raises:
            QueueFullError: it would have to wait, and there is no room.
        """
        line = self._lines.get(user_id)
        if line is None:
            line = self._new_line(user_id)
        line.weight = weight
        line.limit = max_concurrent or inf
        self._number = number = self._number + 1
        place = QueueEntry(self, line, self._clock(), number)
        # While a slot is free nobody waits who may have it, unless this user's limit has just grown.
        free = self.running < self.limit and line.running < line.limit and not self.paused
        if free and not line.waiting:
            self._grant(place, self._round if self._round > line.next_round else line.next_round)
            return place
        self.check_room(user_id)
        place.turn = asyncio.Event()
        place.waiting = True
        line.waiting.append(place)
        self.waiting += 1
        self._offer(line)
        self._give_turns()
        return place

    def check_room(self, user_id: int) -> None:
        """Raise QueueFullError if a request of this user's could neither run nor wait now."""
        line = self._lines.get(user_id)
        if self.running < self.limit and not self.paused and (line is None or line.running < line.limit):
            return
        own = len(line.waiting) if line is not None else 0
        if own < self._user_queue_size and self.waiting < self._queue_size:
            return
        full = own >= self._user_queue_size
        raise QueueFullError(
            waiting=own if full else self.waiting, own=full, retry_after_s=self.wait_s(user_id) / 2
        )

    def wait_s(self, user_id: int) -> float:
        """How long a request of this user's that came now would wait, from recent service times."""
        line = self._lines.get(user_id)
        own = len(line.waiting) if line is not None else 0
        ahead = self._ahead(own, line.weight if line is not None else 1.0, line)
        return (ahead + 1) * self._service_s / self.limit

    def wait_s_of(self, place: QueueEntry) -> float:
        """How long a request that waits should go on waiting."""
        return (self.ahead(place) + 1) * self._service_s / self.limit

    def leave(self, place: QueueEntry) -> None:
        """Give back whatever the place holds; the second call does nothing."""
        line = place.line
        if place.running:
            place.running = False
            self.running -= 1
            line.running -= 1
            self._service_s += SMOOTHING * (self._clock() - place.ready_at - self._service_s)
            if self.waiting:
                self._offer(line)
                self._give_turns()
            elif not self.running:
                # Nobody is there to be fair to: all begin anew, in a round that is nobody's next.
                self._round = self._last_round
        elif place.waiting:
            place.waiting = False
            place.ready_at = self._clock()
            line.waiting.remove(place)
            self.waiting -= 1

    def give_up_turn(self, place: QueueEntry) -> None:
        """Wait again, in front of those who came later: the turn was of no use."""
        if not place.running:
            return
        line = place.line
        place.running = False
        place.waiting = True
        place.turn = asyncio.Event()
        line.next_round = min(line.next_round, place.round)
        line.waiting = deque(sorted((place, *line.waiting), key=lambda waiting: waiting.number))
        self.waiting += 1
        self.running -= 1
        line.running -= 1
        self._offer(line)
        self._give_turns()

    def pause(self) -> None:
        """Give no more turns: the engine is not there."""
        self.paused = True

    def resume(self) -> None:
        """Give turns again."""
        self.paused = False
        self._give_turns()

    def ahead(self, place: QueueEntry) -> int:
        """How many of those that wait should get their turn before this one."""
        line = place.line
        return self._ahead(line.waiting.index(place), line.weight, line) if place.waiting else 0

    def _ahead(self, index: int, weight: float, own: _Line | None) -> int:
        rounds = (index + 1) / weight
        others = (line for line in self._lines.values() if line is not own and line.waiting)
        return index + sum(min(len(line.waiting), int(rounds * line.weight)) for line in others)

    def _grant(self, place: QueueEntry, round_: float) -> None:
        line = place.line
        self.running += 1
        line.running += 1
        self._round = round_
        line.next_round = next_round = round_ + 1 / line.weight
        self._last_round = max(self._last_round, next_round)
        place.round = round_
        place.running = True

    def _offer(self, line: _Line) -> None:
        if line.waiting and not line.offered and line.running < line.limit:
            line.offered = True
            self._number += 1
            heappush(self._turns, (max(self._round, line.next_round), self._number, line))

    def _give_turns(self) -> None:
        while self._turns and self.running < self.limit and not self.paused:
            round_, _, line = heappop(self._turns)
            line.offered = False
            # It may have stopped waiting, or its limit been lowered, since it was put there.
            if not line.waiting or line.running >= line.limit:
                continue
            place = line.waiting.popleft()
            self.waiting -= 1
            place.waiting = False
            place.ready_at = self._clock()
            self._grant(place, max(self._round, round_))
            assert place.turn is not None
            place.turn.set()
            self._offer(line)

    def _new_line(self, user_id: int) -> _Line:
        if len(self._lines) >= self._sweep_at:
            self._lines = {
                user: line
                for user, line in self._lines.items()
                # One whose next turn is still to come is kept: else its next request would pass
                # for that of a user who has not been served in this round.
                if line.running or line.waiting or line.offered or line.next_round > self._round
            }
            self._sweep_at = 2 * len(self._lines) + 64
        line = self._lines[user_id] = _Line()
        return line
