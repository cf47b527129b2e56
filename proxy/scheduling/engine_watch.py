"""Watches whether the engine is available, and how many slots it has.

The engine counts as away when a request cannot reach it or sees it break off (`lost`), and when the
console is about to restart it (`expect_restart`), until it answers again. Requests wait meanwhile
(`on_change`). With another model or other settings the number of slots may change (`on_slots`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from proxy.upstream.readiness import EngineStatus, engine_status

logger = logging.getLogger(__name__)

CHECK_EVERY_S = 0.25
"""How often an engine that is away is asked for its status."""
READ_EVERY_S = 10.0
"""How often our own engine is asked for its slots; it may have been restarted unnoticed."""
READ_OTHERS_EVERY_S = 60.0
"""How often an engine that has reported no slots is asked again."""
SETTLE_S = 0.5
"""How long an engine that broke off a response is not asked. An engine that stops ends its streams at
once, but accepts requests for another tenth of a second, and breaks these off too."""
RESTART_BEGINS_S = 15.0
"""How long after the announcement of a restart the old engine may run on; then it is used again."""


class EngineWatch:
    """Knows whether the engine is away, and its slots. `run` must be running as a task.

    Args:
        on_change: called when the engine becomes available (True) or unavailable (False).
        on_slots: called when the number of slots, or of those for embeddings, changes.
        clock: gives monotonic seconds.
    """

    def __init__(
        self,
        backend_url: str,
        *,
        on_change: Callable[[bool], None],
        on_slots: Callable[[EngineStatus], None],
        clock: Callable[[], float],
    ) -> None:
        self._url = backend_url
        self._on_change = on_change
        self._on_slots = on_slots
        self._clock = clock
        self._lost = asyncio.Event()
        self._goes_before = float("-inf")
        """Until this time an engine that answers counts as the old one, which is about to stop."""
        self._status = EngineStatus(ready=False)
        """What the engine last reported."""

    @property
    def slots(self) -> int | None:
        """The number of slots that the engine last reported; None for an engine that is not ours."""
        return self._status.slots

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
        if status[1:] != self._status[1:]:
            logger.info(
                "the engine's slots: %s, for embeddings: %s",
                status.slots or "it does not tell",
                status.embedding_slots or "the same",
            )
            self._status = status
            self._on_slots(status)
