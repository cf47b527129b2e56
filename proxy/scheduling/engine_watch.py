"""Watches whether an engine is available, and how many slots it has.

The engine counts as away when a request cannot reach it or sees it break off (`lost`), and when the
console is about to restart it (`expect_restart`), until it answers again. Requests wait meanwhile, or go
to other engines. With another model or other settings the number of slots may change.

One of several engines is asked every second. It counts as away before it has answered for the first time
and after MAX_FAILURES checks without an answer, and is there again after GOOD_ANSWERS.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from proxy.settings import BackendSettings
from proxy.upstream.readiness import EngineStatus, engine_status, served_models

logger = logging.getLogger(__name__)

CHECK_EVERY_S = 0.25
"""How often an engine that is away is asked for its status."""
READ_EVERY_S = 10.0
"""How often our own engine is asked for its slots; it may have been restarted unnoticed."""
READ_OTHERS_EVERY_S = 60.0
"""How often an engine that has reported no slots is asked again; and an engine that is not ours for its
models, if it is one of several."""
SETTLE_S = 0.5
"""How long an engine that broke off a response is not asked. An engine that stops ends its streams at
once, but accepts requests for another tenth of a second, and breaks these off too."""
RESTART_BEGINS_S = 15.0
"""How long after the announcement of a restart the old engine may run on; then it is used again."""
AMONG_OTHERS_EVERY_S = 1.0
"""How often one of several engines is asked for its status."""
MAX_FAILURES = 2
"""One of several engines is away after so many checks without a good answer."""
GOOD_ANSWERS = 2
"""One of several engines that was away is used again after so many good answers."""


class EngineWatch:
    """Knows whether an engine is away, and its slots. `run` must be running as a task.

    Args:
        among_others: whether there are other engines, which can be used while this one is away.
        on_change: called when the engine becomes available or unavailable, and when its slots change.
        on_read: called after every good answer.
        on_silent: called with seconds when the engine has not answered for so long.
        clock: gives monotonic seconds.
    """

    def __init__(
        self,
        settings: BackendSettings,
        *,
        among_others: bool,
        on_change: Callable[[], None],
        on_read: Callable[[], None],
        on_silent: Callable[[float], None],
        clock: Callable[[], float],
    ) -> None:
        self.url = settings.url
        self._key = settings.key
        self._among_others = among_others
        self._name = f"engine {self.url}" if among_others else "engine"
        self._on_change = on_change
        self._on_read = on_read
        self._on_silent = on_silent
        self._clock = clock
        self._lost = asyncio.Event()
        self._goes_before = float("-inf")
        """Until this time an engine that answers counts as the old one, which is about to stop."""
        self.status = EngineStatus(ready=False)
        """What the engine last reported."""
        self.model: str | None = None
        """What the engine serves, if it is one of several and tells."""
        self.asked = False
        """Whether it has answered, or has been asked in vain."""
        self.problem: str | None = None
        """Why it is away, or the latest answer was not a good one."""
        self._model_read_at = float("-inf")
        self._failures = 0
        self._silent_since = 0.0

    @property
    def available(self) -> bool:
        """Whether requests can be sent to it."""
        return not self._lost.is_set() and (self.status.ready or not self._among_others)

    def lost(self, why: str) -> None:
        """The engine is away, or may be about to go."""
        if not self._lost.is_set():
            then = "others get its requests" if self._among_others else "requests wait until it is there"
            logger.warning("the %s %s: %s", self._name, why, then)
            self.problem = why
            self._lost.set()
            self._model_read_at = float("-inf")
            self._on_change()

    def expect_restart(self) -> None:
        """The engine is about to be restarted: nothing that waits is to be sent to the old one."""
        self._goes_before = self._clock() + RESTART_BEGINS_S
        self.lost("is being restarted")

    async def run(self) -> None:
        """Watch the engine until cancelled."""
        while True:
            asked_at = self._clock()
            status = await self._ask()
            if not self._lost.is_set():
                if status.ready:
                    self._failures = 0
                    await self._read(status)
                else:
                    self._count_failure(asked_at)
                self.asked = True
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pause_s(ready=status.ready)):
                        await self._lost.wait()
            if self._lost.is_set():
                await self._return()

    def _pause_s(self, *, ready: bool) -> float:
        """Seconds until the next check."""
        if self._among_others:
            return AMONG_OTHERS_EVERY_S
        if not ready:
            return CHECK_EVERY_S  # as when it still loads its model
        return READ_OTHERS_EVERY_S if self.status.slots is None else READ_EVERY_S

    def _count_failure(self, asked_at: float) -> None:
        self._failures += 1
        if self._failures == 1:
            self._silent_since = asked_at
        if self._failures == 1 and not self.status.ready:
            # A single engine that loads its model is as it should be.
            level = logging.WARNING if self._among_others else logging.INFO
            logger.log(level, "the %s is not there yet: %s", self._name, self.problem)
        if self._failures >= MAX_FAILURES and self.status.ready and self._among_others:
            self.lost(f"does not answer ({self.problem})")
            self._on_silent(self._clock() - self._silent_since)

    async def _return(self) -> None:
        """Wait for the engine to be there again, and say so."""
        await asyncio.sleep(SETTLE_S)
        every_s = AMONG_OTHERS_EVERY_S if self._among_others else CHECK_EVERY_S
        while self._clock() < self._goes_before and await self._is_ready():  # noqa: ASYNC110
            await asyncio.sleep(every_s)
        self._goes_before = float("-inf")
        status = await self._good_answer(every_s)
        logger.warning("the %s is there", self._name)
        self._failures, self.problem = 0, None
        self._lost.clear()
        await self._read(status)
        self._on_change()

    async def _good_answer(self, every_s: float) -> EngineStatus:
        """Wait until the engine answers again: once, or often enough if it is one of several."""
        answers = failures = 0
        since, wanted = self._clock(), GOOD_ANSWERS if self._among_others else 1
        while True:
            status = await self._ask()
            if status.ready:
                answers += 1
                if answers >= wanted:
                    return status
            else:
                answers, failures = 0, failures + 1
                if self._among_others and failures >= MAX_FAILURES:
                    self._on_silent(self._clock() - since)
            await asyncio.sleep(every_s)

    async def _is_ready(self) -> bool:
        return (await self._ask()).ready

    async def _ask(self) -> EngineStatus:
        status = await engine_status(self.url)
        self.problem = status.problem or (self.problem if self._lost.is_set() else None)
        return status

    async def _read(self, status: EngineStatus) -> None:
        model = await self._model_of(status) if self._among_others else None
        if status != self.status or model != self.model:
            if status[1:3] != self.status[1:3]:
                logger.info(
                    "the %s's slots: %s, for embeddings: %s",
                    self._name,
                    status.slots or "it does not tell",
                    status.embedding_slots or "the same",
                )
            self.status, self.model = status, model
            self._on_change()
        self._on_read()

    async def _model_of(self, status: EngineStatus) -> str | None:
        """What the engine serves; another's list is asked for now and then only."""
        if status.model is not None:
            return status.model
        now = self._clock()
        if now - self._model_read_at < READ_OTHERS_EVERY_S:
            return self.model
        self._model_read_at = now
        return await served_models(self.url, self._key)
