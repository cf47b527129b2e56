"""Turns at the engine: which requests wait, for how long, and what they are told meanwhile.

Owns two gates, one for what generates and one for what does not, and shuts both while the engine is
away. Leaves the order of turns to `fair_queue.py`, and what a waiting client is sent to its caller.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from proxy import errors
from proxy.identity.principal import Principal
from proxy.scheduling.engine_watch import EngineWatch
from proxy.scheduling.fair_queue import FairQueue, QueueEntry, QueueFullError
from proxy.settings import ProxySettings
from proxy.upstream.routes import Route

CHEAP_AT_A_TIME = 16
"""Requests with the engine that generate nothing: lists of models, tokenizing."""
WORD_EVERY_S = 10.0
"""How often a stream that waits is told its place, so that nobody on the way takes it for dead."""
LONGEST_RETRY_S = 120.0
"""The openai client does not try again by itself when it is told to wait longer."""

Tell = Callable[[int], Awaitable[None]]


class Turns:
    """Gives out turns. `clock` gives monotonic seconds; `run` must be running as a task."""

    def __init__(self, settings: ProxySettings, *, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._generating = self._gate(settings.max_concurrent)
        self._cheap = self._gate(CHEAP_AT_A_TIME)
        self._watch = EngineWatch(settings.backend_url, on_change=self._engine_changed, clock=clock)

    def _gate(self, limit: int) -> FairQueue:
        return FairQueue(
            limit=limit,
            queue_size=self._settings.queue_size,
            user_queue_size=self._settings.user_queue_size,
            clock=self._clock,
        )

    def waiting(self) -> int:
        """How many requests wait."""
        return self._generating.waiting + self._cheap.waiting

    def running(self) -> int:
        """How many have their turn."""
        return self._generating.running + self._cheap.running

    def check_room(self, route: Route, principal: Principal) -> None:
        """Refuse a request early that would find no room.

        Raises:
            ApiError: 503.
        """
        try:
            (self._generating if route.generates else self._cheap).check_room(principal.user_id)
        except QueueFullError as full:
            raise self._overloaded(full) from full

    def enter(self, route: Route, principal: Principal) -> QueueEntry:
        """A place at the gate, which the caller must `leave` there.

        Raises:
            ApiError: 503, there is no room.
        """
        try:
            return (self._generating if route.generates else self._cheap).enter(
                principal.user_id, weight=principal.weight, max_concurrent=principal.max_concurrent
            )
        except QueueFullError as full:
            raise self._overloaded(full) from full

    async def wait(self, place: QueueEntry, tell: Tell) -> None:
        """Wait for the place's turn. From the grace's end on, `tell` is called with those ahead.

        Raises:
            ApiError: 503, it has waited for as long as requests may.
        """
        deadline = place.joined_at + self._settings.queue_timeout_s
        next_word = place.joined_at + self._settings.queue_grace_s
        while not place.running:
            now = self._clock()
            if now >= deadline:
                raise self._waited_in_vain(place)
            if now >= next_word:
                next_word = now + WORD_EVERY_S
                await tell(place.gate.ahead(place))
                continue
            assert place.turn is not None
            try:
                async with asyncio.timeout(min(deadline, next_word) - now):
                    await place.turn.wait()
            except TimeoutError:
                continue

    def engine_lost(self, place: QueueEntry) -> None:
        """The engine is away and has seen nothing of this request, which waits again."""
        self._watch.lost("cannot be reached")
        place.gate.give_up_turn(place)

    def engine_broke(self) -> None:
        """The engine broke off an answer: nobody gets a turn before it is known to be well."""
        self._watch.lost("broke off")

    def expect_restart(self) -> None:
        """The engine is about to be restarted: turns are for the one that comes."""
        self._watch.expect_restart()

    async def run(self) -> None:
        """Notice an engine that comes back, until cancelled."""
        await self._watch.run()

    def _engine_changed(self, there: bool) -> None:
        for gate in (self._generating, self._cheap):
            if there:
                gate.resume()
            else:
                gate.pause()

    def _overloaded(self, full: QueueFullError) -> errors.ApiError:
        if self._watch.away:
            return errors.engine_starting()
        retry_after_s = min(full.retry_after_s, LONGEST_RETRY_S)
        return errors.overloaded(waiting=full.waiting, own=full.own, retry_after_s=retry_after_s)

    def _waited_in_vain(self, place: QueueEntry) -> errors.ApiError:
        if self._watch.away:
            return errors.engine_starting()
        retry_after_s = min(place.gate.wait_s_of(place), LONGEST_RETRY_S)
        return errors.waited_too_long(
            waited_s=self._settings.queue_timeout_s, retry_after_s=retry_after_s
        )
