"""Whether the engine is there: asked by `/readyz`, and watched for while it is away.

A request that finds no engine says so (`lost`); from then on until the engine answers again those who
wait for it are told to wait (`on_change`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import aiohttp

logger = logging.getLogger(__name__)

CHECK_TIMEOUT_S = 2.0
CHECK_EVERY_S = 0.25


async def engine_ready(backend_url: str) -> bool:
    """Whether the engine answers; one that has no /health is judged by answering at all."""
    timeout = aiohttp.ClientTimeout(total=CHECK_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(backend_url + "/health", allow_redirects=False) as response,
        ):
            return response.status < 500
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False


class EngineWatch:
    """Knows whether the engine is away. `run` must be running as a task."""

    def __init__(self, backend_url: str, *, on_change: Callable[[bool], None]) -> None:
        self._url = backend_url
        self._on_change = on_change
        self._lost = asyncio.Event()

    @property
    def away(self) -> bool:
        return self._lost.is_set()

    def lost(self) -> None:
        """The engine was found to be away."""
        if not self.away:
            logger.warning("the engine cannot be reached: requests wait for it")
            self._lost.set()
            self._on_change(False)

    async def run(self) -> None:
        """Watch for the engine whenever it is away, until cancelled."""
        while True:
            await self._lost.wait()
            while not await engine_ready(self._url):  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(CHECK_EVERY_S)
            logger.warning("the engine is there again")
            self._lost.clear()
            self._on_change(True)
            # One whose /health is good and who takes no requests must not be asked without a pause.
            await asyncio.sleep(CHECK_EVERY_S)
