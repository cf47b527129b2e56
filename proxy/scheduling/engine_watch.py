"""Watches for the engine while it is away, and for how many requests it takes at a time.

From when a request finds no engine (`lost`), sees one break off, or the console is about to restart
it (`expect_restart`), until the engine answers again, requests that wait for it are kept waiting
(`on_change`). Another model, or another setting, may come with another number of slots (`on_slots`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from proxy.upstream.readiness import EngineStatus, engine_status

logger = logging.getLogger(__name__)

CHECK_EVERY_S = 0.25
"""How often an engine that is away is asked."""
READ_EVERY_S = 10.0
"""How often our own engine is asked for its slots; it may have been restarted unseen."""
READ_OTHERS_EVERY_S = 60.0
"""How often an engine is asked that has told no slots."""
SETTLE_S = 0.5
"""How long an engine that broke off is not asked: one that is told to end cuts its streams at once, and
goes on taking requests for a tenth of a second, which it then cuts too."""
RESTART_BEGINS_S = 15.0
"""How long after the announcement of a restart the old engine may go on; then it is used again."""


class EngineWatch:
    """Knows whether the engine is away, and its slots. `run` must be running as a task.

    Args:
        on_change: called with whether the engine is there, when that changes.
        on_slots: called with the slots that the engine tells, when they change; None: it tells none.
        clock: gives monotonic seconds.
    """

    def __init__(
        self,
        backend_url: str,
        *,
        on_change: Callable[[bool], None],
        on_slots: Callable[[int | None], None],
        clock: Callable[[], float],
    ) -> None:
        self._url = backend_url
        self._on_change = on_change
        self._on_slots = on_slots
        self._clock = clock
        self._lost = asyncio.Event()
        self._goes_before = float("-inf")
        """Until then an engine that answers is taken to be the old one, on its way out."""
        self.slots: int | None = None
        """As the engine has told last; None for one that is not ours."""

    @property
    def away(self) -> bool:
        return self._lost.is_set()

    def lost(self, why: str) -> None:
        """The engine is away, or may be about to go."""
        if not self.away:
            logger.warning("the engine %s: requests wait until it is there", why)
            self._lost.set()
            self._on_change(False)

    def expect_restart(self) -> None:
        """The engine is about to be restarted: nothing that waits is to be sent to the old one."""
        self._goes_before = self._clock() + RESTART_BEGINS_S
        self.lost("is being restarted")

    async def run(self) -> None:
        """Watch the engine until cancelled."""
        while True:
            status = await engine_status(self._url)
            if not self.away:
                if status.ready:
                    self._read(status)
                    every_s = READ_OTHERS_EVERY_S if self.slots is None else READ_EVERY_S
                else:
                    every_s = CHECK_EVERY_S  # as when it still loads its model
                with suppress(TimeoutError):
                    async with asyncio.timeout(every_s):
                        await self._lost.wait()
            if self.away:
                await self._return()

    async def _return(self) -> None:
        """Wait for the engine to be there again, and say so."""
        await asyncio.sleep(SETTLE_S)
        while self._clock() < self._goes_before and await self._is_ready():  # noqa: ASYNC110
            await asyncio.sleep(CHECK_EVERY_S)
        self._goes_before = float("-inf")
        while not (status := await engine_status(self._url)).ready:  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(CHECK_EVERY_S)
        logger.warning("the engine is there")
        self._lost.clear()
        self._read(status)
        self._on_change(True)

    async def _is_ready(self) -> bool:
        return (await engine_status(self._url)).ready

    def _read(self, status: EngineStatus) -> None:
        if status.slots != self.slots:
            logger.info("the engine's slots: %s", status.slots or "it does not tell")
            self.slots = status.slots
            self._on_slots(status.slots)
