"""Leases batches to this proxy, one of each user, and has a worker for each.

A lease that is not renewed ends by itself, so that the batches of a proxy that was killed go on with
another one, or with the same one after its restart.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress

from proxy.batches.progress import MAX_LEASED, Batch, Progress
from proxy.batches.worker import Worker
from proxy.database.schema import DATABASE_ERRORS
from proxy.files.directory import Directory

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
RELEASE_TIMEOUT_S = 2.0


class Runner:
    """Works on batches. `run` must be running as a task. `work_on` makes the worker of a batch."""

    def __init__(
        self, progress: Progress, directory: Directory, work_on: Callable[[Batch], Worker]
    ) -> None:
        self._progress = progress
        self._directory = directory
        self._work_on = work_on
        self._workers: dict[str, tuple[Worker, asyncio.Task[None]]] = {}
        self._awake = asyncio.Event()
        self.results = {"completed": 0, "failed": 0}
        """How many lines have got their result from this proxy."""
        self.lines_left = 0
        """Lines without a result, of the batches that it works on; as of the last look."""

    @property
    def working(self) -> int:
        """How many batches it works on."""
        return len(self._workers)

    def wake(self) -> None:
        """There may be something to do."""
        self._awake.set()

    async def run(self) -> None:
        """Work on batches, until cancelled."""
        failing = False
        try:
            while True:
                try:
                    await self._look()
                    failing = False
                except DATABASE_ERRORS as error:
                    if not failing:
                        logger.warning("batches wait for the database: %s", error)
                    failing = True
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await self._awake.wait()
                self._awake.clear()
        finally:
            await self._stop()

    async def _look(self) -> None:
        """Renew leases, hear of cancelled batches, and begin what is free."""
        for batch_id, (worker, task) in list(self._workers.items()):
            if task.done():
                del self._workers[batch_id]
                if not task.cancelled() and (error := task.exception()) is not None:
                    logger.error("%s: its worker failed", worker.batch.id, exc_info=error)
        states = await self._progress.renew(self._workers) if self._workers else {}
        self.lines_left = sum(state.lines_left for state in states.values())
        for batch_id, (worker, task) in self._workers.items():
            if batch_id not in states:  # it has ended, or is another runner's
                task.cancel()
            elif states[batch_id].status == "cancelling":
                worker.cancel()
        for batch in await self._progress.free():
            if len(self._workers) >= MAX_LEASED:
                return
            if batch.id in self._workers or not self._can_run(batch):
                continue
            if await self._progress.lease(batch.id):
                worker = self._work_on(batch)
                task = asyncio.create_task(worker.run())
                task.add_done_callback(lambda _: self.wake())
                self._workers[batch.id] = worker, task

    def _can_run(self, batch: Batch) -> bool:
        """Whether this proxy has what it needs; one that ends, or whose time is up, needs nothing."""
        if batch.status == "cancelling" or self._directory.has(batch.input_file_id):
            return True
        return batch.expires_at.timestamp() <= time.time()

    async def _stop(self) -> None:
        tasks = [task for _, task in self._workers.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(*DATABASE_ERRORS):
            async with asyncio.timeout(RELEASE_TIMEOUT_S):
                await self._progress.release_all()
