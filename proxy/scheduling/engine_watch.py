"""Watches for the engine while it is away.

From when a request finds no engine (`lost`), sees one break off, or the console is about to restart
it (`expect_restart`), until the engine answers again, those who wait for it are kept waiting
(`on_change`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from proxy.upstream.readiness import engine_ready

logger = logging.getLogger(__name__)

CHECK_EVERY_S = 0.25
SETTLE_S = 0.5
"""For so long the word of an engine that broke off is not taken: one that is told to end cuts its
streams at once, and goes on taking requests for a tenth of a second, which it then cuts too."""
RESTART_BEGINS_S = 15.0
"""Within so long an engine that is to be restarted has gone; else it is not waited for any longer."""


class EngineWatch:
    """Knows whether the engine is away. `run` must be running as a task; `clock`: monotonic seconds."""

    def __init__(
        self, backend_url: str, *, on_change: Callable[[bool], None], clock: Callable[[], float]
    ) -> None:
        self._url = backend_url
        self._on_change = on_change
        self._clock = clock
        self._lost = asyncio.Event()
        self._goes_before = float("-inf")
        """Until then it is taken to be still on its way out, as long as it answers."""

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
        """Watch for the engine whenever it is away, until cancelled."""
        while True:
            await self._lost.wait()
            await asyncio.sleep(SETTLE_S)
            while self._clock() < self._goes_before and await engine_ready(self._url):  # noqa: ASYNC110
                await asyncio.sleep(CHECK_EVERY_S)
            self._goes_before = float("-inf")
            while not await engine_ready(self._url):  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(CHECK_EVERY_S)
            logger.warning("the engine is there")
            self._lost.clear()
            self._on_change(True)
