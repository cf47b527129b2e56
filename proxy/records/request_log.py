"""Records every authenticated request: in the spool at once, in the table `llama_requests` in batches.

This module is the front door of `records` and runs the loop that drives its parts: `record_writer.py`
writes to the spool, `delivery.py` loads the spool into the database, `spool_warnings.py` logs warnings,
`history.py` reads.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from psycopg_pool import AsyncConnectionPool

from proxy.database.schema import DATABASE_ERRORS
from proxy.records.delivery import Delivery
from proxy.records.history import (
    BudgetHistory,
    Moment,
    admissions_under_way,
    read_budget,
    read_history,
)
from proxy.records.record import RequestRecord
from proxy.records.record_writer import RecordWriter
from proxy.records.spool import Spool
from proxy.records.spool_warnings import SpoolWarnings

logger = logging.getLogger(__name__)

LOAD_EVERY_S = 0.2
RETRY_S = 1.0
FINAL_LOAD_TIMEOUT_S = 5.0
HISTORY_TIMEOUT_S = 60.0
"""A window of a year may take seconds to read."""


@dataclass(frozen=True, kw_only=True)
class LogState:
    """What is not in the database yet."""

    spool_bytes: int
    """Size of the spool's files. Loaded lines count until their file is replaced."""
    limit_bytes: int
    age_s: float
    """Seconds since the last complete load, if there is anything to load; else 0."""
    backlog_rows: int
    """Rows that are only in memory."""
    lost_requests: int


class RequestLog:
    """Takes records and stores them in the database. `run` and `sync` must be running as tasks."""

    def __init__(
        self, pool: AsyncConnectionPool, spool: Spool, clock: Callable[[], float] = time.time
    ) -> None:
        self._pool = pool
        self._spool = spool
        self._clock = clock
        self.writer = RecordWriter(spool)
        self._delivery = Delivery(pool, spool, self.writer)
        self._warnings = SpoolWarnings(spool, self.writer)
        self.recovered = asyncio.Event()
        """Set once the records that earlier processes left in the spool have been loaded."""
        self._loaded_at = time.monotonic()
        self.admitted: Callable[[RequestRecord], None] = self.writer.admitted
        self.ended: Callable[[RequestRecord], None] = self.writer.ended

    async def run(self) -> None:
        """Load the spool until cancelled."""
        failing = False
        while True:
            try:
                if not self.recovered.is_set():
                    await self._delivery.recover()
                    self.recovered.set()
                await self._delivery.load_all()
                self._loaded_at = time.monotonic()
                if failing:
                    logger.warning("request records go to the database again")
                failing = False
            except DATABASE_ERRORS as error:
                if not failing:
                    logger.warning("request records stay in the spool for now: %s", error)
                failing = True
            self.writer.close_refusals(self._clock())
            self.writer.write_backlog()
            self._warnings.check()
            await asyncio.sleep(RETRY_S if failing else LOAD_EVERY_S)

    def state(self) -> LogState:
        """How many records wait for the database, and for how long."""
        spool, backlog = self._spool, self.writer.backlog
        waits = bool(spool.pending or backlog or not self.recovered.is_set())
        waits = waits or spool.current.loaded < spool.current.size
        return LogState(
            spool_bytes=spool.used_bytes,
            limit_bytes=spool.limit_bytes,
            age_s=time.monotonic() - self._loaded_at if waits else 0.0,
            backlog_rows=len(backlog),
            lost_requests=backlog.lost,
        )

    async def sync(self, every_s: float) -> None:
        """Flush the spool to disk every `every_s` seconds, until cancelled."""
        failing = False
        while True:
            await asyncio.sleep(every_s)
            try:
                await self._spool.sync()
                failing = False
            except OSError as error:
                if not failing:
                    logger.error("a power failure would lose request records now: %s", error)
                failing = True

    async def close(self) -> None:
        """Load the remaining records, for a few seconds at most. The next process loads the rest."""
        writer = self.writer
        writer.close_refusals(float("inf"))
        writer.write_backlog()
        try:
            async with asyncio.timeout(FINAL_LOAD_TIMEOUT_S):
                await self._delivery.load_all()
        except DATABASE_ERRORS as error:
            logger.warning("request records stay in the spool for the next start: %s", error)
        else:
            if not writer.under_way() and self._spool.current.loaded == self._spool.current.size:
                self._spool.current.remove()
                return
        if writer.backlog:
            logger.error("%d request records are lost: %s", len(writer.backlog), writer.disk_error)
        self._spool.close()

    async def load(self) -> None:
        """Load the records of all requests that have ended up to now.

        Raises:
            one of `DATABASE_ERRORS`: the database is out of reach.
        """
        self.writer.write_out()
        async with asyncio.timeout(HISTORY_TIMEOUT_S):
            await self.recovered.wait()
            await self._delivery.load_all()

    def moment(self, subject: int) -> Moment:
        """The present one. `subject`: a user's id, or a group's as a negative number."""
        self.writer.write_out()
        under_way = self.writer.under_way()
        return Moment(
            subject=subject,
            now=self._clock(),
            under_way=[record.id for record in under_way],
            # Charged already, though the client is still reading the response.
            charged=sum(one.tokens_charged or 0 for one in under_way if one.counts_for(subject)),
        )

    async def budget_history(self, until: Moment, *, username: str, period: str) -> BudgetHistory:
        """Return the tokens charged to a subject in the present period, up to that moment.

        Raises:
            one of `DATABASE_ERRORS`: the database is out of reach.
        """
        async with asyncio.timeout(HISTORY_TIMEOUT_S):
            await self.load()
            found = await read_budget(
                self._pool,
                subject=until.subject,
                username=username,
                period=period,
                now=until.now,
                without=until.under_way,
            )
        return found._replace(used=found.used + until.charged)

    async def history(
        self, kind: str, *, username: str, user_id: int, window_s: float
    ) -> list[tuple[float, int]]:
        """Return a user's admissions or charged tokens within the last `window_s` seconds.

        `kind` is "requests" or "tokens". Each item is (seconds ago, number), the oldest first. The
        records of earlier processes and requests still under way are included.

        Raises:
            one of `DATABASE_ERRORS`: the database is out of reach.
        """
        self.writer.write_out()
        now = self._clock()
        # Read before the load, because a request may end during it.
        running = admissions_under_way(self.writer.under_way(), user_id) if kind == "requests" else {}
        async with asyncio.timeout(HISTORY_TIMEOUT_S):
            await self.load()
            return await read_history(
                self._pool,
                kind=kind,
                username=username,
                user_id=user_id,
                since=now - window_s,
                now=now,
                running=running,
                clock=self._clock,
            )
