"""Batches as a whole: puts their parts together, and runs them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from psycopg_pool import AsyncConnectionPool

from proxy.batches.api import BatchApi
from proxy.batches.gauges import samples
from proxy.batches.lines import Lines
from proxy.batches.progress import Batch, Progress
from proxy.batches.runner import Runner
from proxy.batches.table import BatchTable
from proxy.batches.upkeep import Upkeep
from proxy.batches.worker import Worker
from proxy.dispatch.settlement import Accounts
from proxy.edge.body import BodyMemory
from proxy.exchange import Exchange
from proxy.files.api import Files
from proxy.metrics.gauges import Sample
from proxy.ratelimit.quotas import Quotas
from proxy.scheduling.batch_turns import BatchTurns
from proxy.scheduling.turns import Turns
from proxy.settings import ProxySettings
from proxy.upstream.relay import Relay


class Batches:
    """All batches of this proxy. `run` must be running as a task; `answer` answers `/v1/batches`."""

    def __init__(
        self,
        settings: ProxySettings,
        pool: AsyncConnectionPool,
        files: Files,
        body_memory: BodyMemory,
        *,
        relay: Relay,
        turns: Turns,
        accounts: Accounts,
        quotas: Quotas,
    ) -> None:
        self._settings = settings
        self._files = files
        self._progress = Progress(pool)
        self.turns = BatchTurns(turns, limit=settings.batch_slots, clock=time.monotonic)
        self.under_way: dict[str, Exchange] = {}
        """The lines that run, by request id."""
        self._lines = Lines(
            relay=relay,
            turns=turns,
            batch_turns=self.turns,
            accounts=accounts,
            quotas=quotas,
            under_way=self.under_way,
        )
        self._checking = asyncio.Lock()
        self._runner = Runner(self._progress, files.directory, self._work_on)
        self._upkeep = Upkeep(pool, files.table, files.directory, keep_s=settings.files_retention_s)
        table = BatchTable(pool, keep_s=settings.files_retention_s)
        self.answer = BatchApi(table, body_memory, self._runner.wake).answer

    async def run(self) -> None:
        """Work on batches, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.turns.run())
            tasks.create_task(self._runner.run())
            tasks.create_task(self._upkeep.run())

    def _work_on(self, batch: Batch) -> Worker:
        return Worker(
            batch,
            settings=self._settings,
            progress=self._progress,
            directory=self._files.directory,
            lines=self._lines,
            turns=self.turns,
            checking=self._checking,
            on_result=self._count,
        )

    def _count(self, outcome: str) -> None:
        self._runner.results[outcome] += 1

    def samples(self) -> Iterator[Sample]:
        """Figures for Prometheus."""
        return samples(self._runner, self.turns)
