"""Many engines and users on the proxy's own scheduling code; the clock jumps from event to event.

    ./console.sh bench simulation [--requests N]

Engines have SLOTS slots each. A tenth of the users are greedy: they have REQUESTS_OF_GREEDY requests in
the queue at all times. The others send one request after the other, with a pause. One engine in ten goes
away for a while. For each size it prints:

- use: busy slots, of those that could be used (more than all: an engine was away with requests on it);
- fairness: turns of the greedy users in relation to their mean: the least and the most;
- wait of the other users, in service times: the median and the 99th percentile;
- home: how many later requests of a conversation came to the engine that had the one before; those of
  greedy users by chance only, since the one slot that is free when their turn comes is anywhere;
- cost: microseconds of processor time for the decisions of a request: enter, turn, choice, end.
"""

from __future__ import annotations

import argparse
import heapq
import random
import time
from collections import Counter
from collections.abc import Callable
from itertools import count
from statistics import mean, quantiles
from typing import Any

from proxy.scheduling.backend_slots import Offers
from proxy.scheduling.conversations import Conversations
from proxy.scheduling.fair_queue import FairQueue, QueueEntry

SLOTS = 8
SERVICE_S = 10.0
"""The mean time of an answer; exponentially distributed."""
PAUSE_S = 1_500.0
"""The mean time between an answer and the next request of a user who is not greedy."""
REQUESTS_OF_GREEDY = 4
SIZES = ((1, 100), (3, 300), (10, 1_000), (100, 10_000))
"""Engines and users."""
AWAY_S = 100.0
SEED = 7


class _Granted:
    """Stands in for a request's event: notes that its turn has come."""

    def __init__(self, entry: QueueEntry, granted: list[QueueEntry]) -> None:
        self._entry, self._granted = entry, granted

    def set(self) -> None:
        """As of an event."""
        self._granted.append(self._entry)


class Simulation:
    """One run with so many engines and users."""

    def __init__(self, engines: int, users: int) -> None:
        self._now = self._cost_s = self._busy_s = self._usable_s = 0.0
        self._draw = random.Random(SEED)  # noqa: S311 - reproducible
        self._queue = FairQueue(
            limit=1, queue_size=10**9, user_queue_size=10**9, clock=lambda: self._now
        )
        self._offers = Offers(self._queue, engines)
        self._limits = [SLOTS] * engines
        self._offers.set_limits(self._limits)
        self._conversations = Conversations()
        self._events: list[tuple[float, int, Callable[[Any], None], Any]] = []
        self._numbers = count()
        self._granted: list[QueueEntry] = []
        self._user_of: dict[QueueEntry, int] = {}
        self._greedy = users // 10
        self._turns: Counter[int] = Counter()
        self._waits_s: list[float] = []
        self._homes: list[bool] = []
        for user in range(self._greedy):
            for _ in range(REQUESTS_OF_GREEDY):
                self._after(0.0, self._enter, user)
        for user in range(self._greedy, users):
            self._after(self._draw.expovariate(1 / PAUSE_S), self._enter, user)
        if engines > 1:
            for engine in range(0, engines, 10):
                self._after(5 * SERVICE_S * (1 + engine % 3), self._leave_for_a_while, engine)

    def run(self, requests: int) -> str:
        """Serve so many requests; returns the figures as a line."""
        while sum(self._turns.values()) < requests:
            at, _, act, subject = heapq.heappop(self._events)
            elapsed, self._now = at - self._now, at
            self._busy_s += elapsed * self._queue.running
            self._usable_s += elapsed * sum(self._limits)
            act(subject)
            while self._granted:
                self._begin(self._granted.pop())
        greedy = [self._turns[user] for user in range(self._greedy)]
        waits = quantiles(self._waits_s, n=100)
        return (
            f"{self._busy_s / self._usable_s:8.1%}{min(greedy) / mean(greedy):8.2f}"
            f"{max(greedy) / mean(greedy):8.2f}{waits[49] / SERVICE_S:9.2f}{waits[98] / SERVICE_S:8.2f}"
            f"{mean(self._homes):8.1%}{self._cost_s / requests * 1e6:9.1f}"
        )

    def _after(self, seconds: float, act: Callable[[Any], None], subject: object) -> None:
        heapq.heappush(self._events, (self._now + seconds, next(self._numbers), act, subject))

    def _enter(self, user: int) -> None:
        began = time.thread_time()
        entry = self._queue.enter(user)
        self._cost_s += time.thread_time() - began
        self._user_of[entry] = user
        if entry.running:
            self._granted.append(entry)
        else:
            entry.turn = _Granted(entry, self._granted)  # type: ignore[assignment]

    def _begin(self, entry: QueueEntry) -> None:
        user = self._user_of[entry]
        conversation = [b"%d" % user]
        began = time.thread_time()
        home = self._conversations.find(user, conversation)
        backend = self._offers.assign(entry, home)
        if backend is None:
            self._queue.give_up_turn(entry)
            entry.turn = _Granted(entry, self._granted)  # type: ignore[assignment]
            return
        self._conversations.note(user, conversation, backend)
        self._cost_s += time.thread_time() - began
        self._turns[user] += 1
        if home is not None:
            self._homes.append(home == backend)
        if user >= self._greedy:
            self._waits_s.append(entry.waited_s)
        self._after(self._draw.expovariate(1 / SERVICE_S), self._end, entry)

    def _end(self, entry: QueueEntry) -> None:
        began = time.thread_time()
        self._queue.leave(entry)
        self._cost_s += time.thread_time() - began
        user = self._user_of.pop(entry)
        pause_s = 0.0 if user < self._greedy else self._draw.expovariate(1 / PAUSE_S)
        self._after(pause_s, self._enter, user)

    def _leave_for_a_while(self, engine: int) -> None:
        self._limits[engine] = 0
        self._offers.set_limits(self._limits)
        self._after(AWAY_S, self._return, engine)

    def _return(self, engine: int) -> None:
        self._limits[engine] = SLOTS
        self._offers.set_limits(self._limits)


def main() -> None:
    """Run all sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000, help="for each size")
    requests = parser.parse_args().requests
    print("engines  users     use   least    most   median     p99    home  cost/us")
    for engines, users in SIZES:
        print(f"{engines:7}{users:7}{Simulation(engines, users).run(requests)}")


if __name__ == "__main__":
    main()
