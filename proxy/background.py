"""Tasks that run as long as the process."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress

logger = logging.getLogger(__name__)


@asynccontextmanager
async def background(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run a task for as long as the context lasts. If it fails, the process ends itself.

    The supervisor starts a new one, which is better than a proxy that records nothing, or sessions that
    outlive their keys.
    """
    task = asyncio.create_task(work)
    task.add_done_callback(_report)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.critical("a background task died; the process ends itself", exc_info=error)
        os.kill(os.getpid(), signal.SIGTERM)
