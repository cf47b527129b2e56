"""Gives requests their turns at the engine: which requests wait, and for how long.

Owns four queues, so that nothing waits for requests that cost more than itself: for requests that
generate, for embeddings if an engine has a model for them alone, for those that do neither, and for
lists of models. All are paused while no engine can be used. Leaves the order of turns to
`fair_queue.py`, which of several engines gets a request to `backend_slots.py`, and what a waiting client
is sent to its caller.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from proxy import errors
from proxy.identity.principal import Principal
from proxy.scheduling.backend_slots import Offers
from proxy.scheduling.backend_state import (
    CHEAP_AT_A_TIME,
    MODELS_AT_A_TIME,
    SLOTS_UNKNOWN,
    BackendState,
    common_model,
)
from proxy.scheduling.conversations import Beginnings, Conversations
from proxy.scheduling.fair_queue import FairQueue, QueueEntry, QueueFullError
from proxy.settings import ProxySettings
from proxy.upstream.routes import Route, Work

PER_USER: dict[Work, int | None] = {"generate": None, "embed": 4, "cheap": 4, "list models": 4}
"""How many of these one user may have; a user may have a lower limit."""
COMMENT_EVERY_S = 10.0
"""How often a waiting stream gets a comment, so that no intermediary closes the idle connection."""
LONGEST_RETRY_S = 120.0
"""The openai client does not try again by itself when it is told to wait longer."""

OnWait = Callable[[int], Awaitable[None]]


class Turns:
    """Gives turns to requests. `clock` returns monotonic seconds; `run` must be running as a task."""

    engine_is_ours = False
    """Whether all engines are our own, which report their slots and what requests used."""

    def __init__(self, settings: ProxySettings, *, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._generating = self._queue(settings.max_concurrent or SLOTS_UNKNOWN)
        self._embedding = self._queue(SLOTS_UNKNOWN)
        self._queues: dict[Work, FairQueue] = {
            "generate": self._generating,
            "embed": self._generating,  # until an engine reports slots for embeddings
            "cheap": self._queue(CHEAP_AT_A_TIME),
            "list models": self._queue(MODELS_AT_A_TIME),
        }
        self._all_queues = {*self._queues.values(), self._embedding}
        self.several = len(settings.all_backends) > 1
        """Whether there are several engines, one of which has to be chosen for each request."""
        self.backends = [self._backend(index) for index in range(len(settings.all_backends))]
        self._offers = {queue: Offers(queue, len(self.backends)) for queue in self._all_queues}
        self._conversations = Conversations()
        self._model: str | None = None
        """What the backends have to serve; None while none tells."""
        self.on_silent: Callable[[int, float], None] = _nothing
        """Called with a backend and seconds when it has not answered for so long."""
        self.backends_changed()

    def _queue(self, limit: int) -> FairQueue:
        return FairQueue(
            limit=limit,
            queue_size=self._settings.queue_size,
            user_queue_size=self._settings.user_queue_size,
            clock=self._clock,
        )

    def _backend(self, index: int) -> BackendState:
        return BackendState(
            self._settings.all_backends[index],
            index,
            max_concurrent=self._settings.max_concurrent,
            among_others=self.several,
            on_change=self.backends_changed,
            on_read=partial(self._recover, index),
            on_silent=lambda silent_s: self.on_silent(index, silent_s),
            clock=self._clock,
        )

    def is_ours(self, backend: int) -> bool:
        """Whether a backend is our own engine, which tells its slots and what requests used."""
        return self.backends[backend].watch.status.slots is not None

    @property
    def engine_available(self) -> bool:
        """Whether an engine can be used, as far as is known."""
        return any(backend.usable for backend in self.backends)

    @property
    def queues(self) -> Mapping[Work, FairQueue]:
        """The queues by kind of work, for reading; without embeddings if these share another's."""
        shared = self._queues["embed"] is self._generating
        return {work: queue for work, queue in self._queues.items() if not shared or work != "embed"}

    def queue_of(self, route: Route) -> FairQueue:
        """The queue that requests of this route wait in."""
        return self._queues[route.work]

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

    def busy(self, backend: int) -> int:
        """How many requests that generate a backend has of this proxy."""
        if not self.several:
            return self._generating.running
        return self._offers[self._generating].slots[backend].busy

    def free_of(self, queue: FairQueue) -> list[int | None]:
        """How many slots of each backend the requests of a queue leave free; None: it is not used."""
        if not self.several:
            return [max(queue.limit - queue.running, 0)]
        return [slots.limit - slots.busy if slots.limit else None for slots in self._offers[queue].slots]

    def check_room(self, route: Route, principal: Principal) -> None:
        """Refuse a request early that would find no room.

        Raises:
            ApiError: 503.
        """
        queue = self._queues[route.work]
        if queue.waiting < queue.surely_room:
            return
        try:
            queue.check_room(principal.user_id)
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

    def assign(self, entry: QueueEntry, user_id: int, beginnings: Beginnings = ()) -> int | None:
        """Choose the backend, of several, of a request that has got its turn.

        Returns its index; None if it has gone since, and the request is back in its queue.
        """
        preferred = self._conversations.find(user_id, beginnings) if beginnings else None
        backend = self._offers[entry.queue].assign(entry, preferred)
        if backend is None:
            entry.queue.give_up_turn(entry)
        elif beginnings:
            self._conversations.note(user_id, beginnings, backend)
        return backend

    def engine_lost(self, entry: QueueEntry) -> None:
        """Put a request back into its queue: the engine could not be reached and did not receive it."""
        self.backends[entry.backend].watch.lost("cannot be reached")
        entry.queue.give_up_turn(entry)

    def engine_busy(self, entry: QueueEntry) -> None:
        """Put a request back into its queue: its backend, of several, has no room for it."""
        if entry.slots is not None:
            self._offers[entry.queue].lower(entry.slots)
        entry.queue.give_up_turn(entry)

    def engine_broke(self, backend: int = 0) -> None:
        """Give no turns at an engine until it is known to work: it has broken off a response."""
        self.backends[backend].watch.lost("broke off")

    def key_refused(self, backend: int) -> None:
        """Use others for a while: one of several engines refuses our key.

        Only our own says so of the key alone: elsewhere a user could send what gets the same answer.
        """
        if self.is_ours(backend):
            self.backends[backend].watch.lost("refuses the key")

    def expect_restart(self) -> None:
        """The local engine is about to be restarted: give turns at the new one only."""
        config = self._settings.config
        for backend in self.backends:
            if not self.several or (config is not None and backend.url == config.server_url):
                backend.watch.expect_restart()

    async def run(self) -> None:
        """Watch the engines until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for backend in self.backends:
                tasks.create_task(backend.watch.run())

    def backends_changed(self) -> None:
        """Give turns by what is known of the backends now."""
        backends = self.backends
        there = [backend for backend in backends if backend.watch.available]
        if self.several:
            # Who answers first at the start does not decide: the first in the configuration does.
            before = self._model if all(backend.watch.asked for backend in backends) else None
            self._model = common_model((backend.watch.model for backend in there), before)
            for backend in there:
                backend.note_model(self._model)
        known = [backend.watch.status.slots for backend in backends if backend.watch.status.ready]
        self.engine_is_ours = bool(known) and None not in known
        embedding = [backend.embedding for backend in backends]
        self._queues["embed"] = self._embedding if any(embedding) else self._generating
        usable = [int(backend.usable) for backend in backends]
        limits: dict[Work, list[int]] = {
            "generate": [backend.generating for backend in backends],
            "cheap": [CHEAP_AT_A_TIME * one for one in usable],
            "list models": [MODELS_AT_A_TIME * one for one in usable],
        }
        for work, numbers in limits.items():
            self._offers[self._queues[work]].set_limits(numbers)
        self._offers[self._embedding].set_limits(
            [SLOTS_UNKNOWN * one for one in usable] if not any(embedding) else embedding
        )

    def _recover(self, backend: int) -> None:
        for offers in self._offers.values():
            offers.recover(backend)

    def _overloaded(self, full: QueueFullError) -> errors.ApiError:
        if not self.engine_available:
            return errors.engine_starting()
        retry_after_s = min(full.retry_after_s, LONGEST_RETRY_S)
        return errors.overloaded(waiting=full.waiting, of_user=full.of_user, retry_after_s=retry_after_s)

    def _waited_too_long(self, entry: QueueEntry) -> errors.ApiError:
        if not self.engine_available:
            return errors.engine_starting()
        retry_after_s = min(entry.queue.wait_s_of(entry), LONGEST_RETRY_S)
        return errors.waited_too_long(
            waited_s=self._settings.queue_timeout_s, retry_after_s=retry_after_s
        )


def _nothing(_: int, __: float) -> None:
    """Until somebody wants to know."""
