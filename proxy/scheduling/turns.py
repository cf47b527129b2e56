"""Gives requests their turns at the engine: which requests wait, and for how long.

Owns four queues, so that nothing waits for requests that cost more than itself: for requests that
generate, for embeddings if the engine has a model for them alone, for those that do neither, and for
lists of models. All are paused while the engine is away. Leaves
the order of turns to `fair_queue.py`, and what a waiting client is sent to its caller.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from proxy import errors
from proxy.identity.principal import Principal
from proxy.scheduling.engine_watch import EngineWatch
from proxy.scheduling.fair_queue import FairQueue, QueueEntry, QueueFullError
from proxy.settings import ProxySettings
from proxy.upstream.readiness import EngineStatus
from proxy.upstream.routes import Route, Work

CHEAP_AT_A_TIME = 16
"""Requests at the engine that generate nothing, such as tokenizing."""
MODELS_AT_A_TIME = 16
"""Requests for lists of models at a time. The lists are not cached: a cached copy would have to be
dropped at each change of model, and the engine answers such a request from memory."""
PER_USER: dict[Work, int | None] = {"generate": None, "embed": 4, "cheap": 4, "list models": 4}
"""How many of these one user may have; a user may have a lower limit."""
SLOTS_UNKNOWN = 1
"""Requests at a time if the engine does not report slots and LLAMA_PROXY_MAX_CONCURRENT is not set."""
COMMENT_EVERY_S = 10.0
"""How often a waiting stream gets a comment, so that no intermediary closes the idle connection."""
LONGEST_RETRY_S = 120.0
"""The openai client does not try again by itself when it is told to wait longer."""

OnWait = Callable[[int], Awaitable[None]]


class Turns:
    """Gives turns to requests. `clock` returns monotonic seconds; `run` must be running as a task."""

    engine_is_ours = False
    """Whether the engine is our own, which reports its slots and what requests used."""

    def __init__(self, settings: ProxySettings, *, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._generating = self._queue(settings.max_concurrent or SLOTS_UNKNOWN)
        self._embedding = self._queue(SLOTS_UNKNOWN)
        self._queues: dict[Work, FairQueue] = {
            "generate": self._generating,
            "embed": self._generating,  # until the engine reports slots for embeddings
            "cheap": self._queue(CHEAP_AT_A_TIME),
            "list models": self._queue(MODELS_AT_A_TIME),
        }
        self._all_queues = {*self._queues.values(), self._embedding}
        self._watch = EngineWatch(
            settings.backend_url,
            on_change=self._engine_changed,
            on_slots=self._slots_changed,
            clock=clock,
        )

    def _queue(self, limit: int) -> FairQueue:
        return FairQueue(
            limit=limit,
            queue_size=self._settings.queue_size,
            user_queue_size=self._settings.user_queue_size,
            clock=self._clock,
        )

    @property
    def engine_available(self) -> bool:
        """Whether the engine answered when last heard of."""
        return not self._watch.away

    @property
    def queues(self) -> Mapping[Work, FairQueue]:
        """The queues by kind of work, for reading; without embeddings if these share another's."""
        shared = self._queues["embed"] is self._generating
        return {work: queue for work, queue in self._queues.items() if not shared or work != "embed"}

    @property
    def slots(self) -> int:
        """How many requests that generate may be at the engine at a time."""
        return self._generating.limit

    def waiting(self) -> int:
        """How many requests wait."""
        return sum(queue.waiting for queue in self._all_queues)

    def running(self) -> int:
        """How many requests have a turn."""
        return sum(queue.running for queue in self._all_queues)

    def check_room(self, route: Route, principal: Principal) -> None:
        """Refuse a request early that would find no room.

        Raises:
            ApiError: 503.
        """
        try:
            self._queues[route.work].check_room(principal.user_id)
        except QueueFullError as full:
            raise self._overloaded(full) from full

    def enter(self, route: Route, principal: Principal) -> QueueEntry:
        """Put a request into its queue. The caller must call `leave` on the entry's queue.

        Raises:
            ApiError: 503, there is no room.
        """
        queue = self._queues[route.work]
        share, most = principal.max_concurrent, PER_USER[route.work]
        if most is not None and queue is not self._generating:
            share = most if share is None else min(share, most)
        try:
            return queue.enter(principal.user_id, weight=principal.weight, max_concurrent=share)
        except QueueFullError as full:
            raise self._overloaded(full) from full

    async def wait(self, entry: QueueEntry, on_wait: OnWait) -> None:
        """Wait for the entry's turn.

        From the end of the grace on, `on_wait` is called now and then with the number of requests ahead.

        Raises:
            ApiError: 503, it has waited for as long as requests may.
        """
        deadline = entry.joined_at + self._settings.queue_timeout_s
        next_comment = entry.joined_at + self._settings.queue_grace_s
        while not entry.running:
            now = self._clock()
            if now >= deadline:
                raise self._waited_too_long(entry)
            if now >= next_comment:
                next_comment = now + COMMENT_EVERY_S
                await on_wait(entry.queue.ahead(entry))
                continue
            assert entry.turn is not None
            try:
                async with asyncio.timeout(min(deadline, next_comment) - now):
                    await entry.turn.wait()
            except TimeoutError:
                continue

    def engine_lost(self, entry: QueueEntry) -> None:
        """Put a request back into its queue: the engine could not be reached and did not receive it."""
        self._watch.lost("cannot be reached")
        entry.queue.give_up_turn(entry)

    def engine_broke(self) -> None:
        """Pause all queues until the engine is known to work: it has broken off a response."""
        self._watch.lost("broke off")

    def expect_restart(self) -> None:
        """The engine is about to be restarted: give turns at the new one only."""
        self._watch.expect_restart()

    async def run(self) -> None:
        """Watch the engine until cancelled."""
        await self._watch.run()

    def _engine_changed(self, available: bool) -> None:
        for queue in self._all_queues:
            if available:
                queue.resume()
            else:
                queue.pause()

    def _slots_changed(self, status: EngineStatus) -> None:
        self.engine_is_ours = status.slots is not None
        if self._settings.max_concurrent is None:
            self._generating.resize(status.slots or SLOTS_UNKNOWN)
        self._queues["embed"] = self._embedding if status.embedding_slots else self._generating
        self._embedding.resize(status.embedding_slots or SLOTS_UNKNOWN)

    def _overloaded(self, full: QueueFullError) -> errors.ApiError:
        if self._watch.away:
            return errors.engine_starting()
        retry_after_s = min(full.retry_after_s, LONGEST_RETRY_S)
        return errors.overloaded(waiting=full.waiting, of_user=full.of_user, retry_after_s=retry_after_s)

    def _waited_too_long(self, entry: QueueEntry) -> errors.ApiError:
        if self._watch.away:
            return errors.engine_starting()
        retry_after_s = min(entry.queue.wait_s_of(entry), LONGEST_RETRY_S)
        return errors.waited_too_long(
            waited_s=self._settings.queue_timeout_s, retry_after_s=retry_after_s
        )
