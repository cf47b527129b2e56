"""Removes records that are older than LLAMA_REQUESTS_RETENTION_DAYS from `llama_requests`.

A few rows at a time with pauses between, on a connection of its own, by one proxy at a time of all that
share the database. Rows that a rate window may still need stay, however old they are, and so do the sums
in `llama_usage`. Leaves the freed space to PostgreSQL's autovacuum.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import LiteralString

import psycopg
from psycopg import AsyncConnection

from proxy.database.pool import PREPARE_THRESHOLD, deadline
from proxy.settings import ProxySettings

logger = logging.getLogger(__name__)

CHECK_EVERY_S = 3600.0
RETRY_S = 60.0
CONNECT_TIMEOUT_S = 3
ANSWER_TIMEOUT_S = 10.0
"""More than the server's own limit for a statement: then it has fallen silent."""
MAX_ROWS = 1_000
"""Rows of one transaction at most."""
BATCH_S = 0.05
"""Target duration of a transaction. A longer one is followed by smaller ones."""
PAUSE_S = 0.05
REST = 4
"""A pause is at least this many times as long as the work before it."""

# Any number of our own will do: it keeps a second proxy from the same work.
_ADVISORY_LOCK = 0x72657461
# No synchronous commit: what a crash of the database brings back is removed again.
# All end with the transaction: behind a pooler in transaction mode, others share the session.
_SETTINGS = """
    SET LOCAL lock_timeout = '500ms';
    SET LOCAL statement_timeout = '5s';
    SET LOCAL synchronous_commit = off
"""
# A charge of tokens counts at a request's end, which is taken to be a day after its beginning at most
# (the function llama_window_history). A hundred years: beyond them an interval would overflow.
# Budgets need their period, and a day more.
_BEFORE: LiteralString = """
    WITH limits AS (
        SELECT rate_window_seconds, token_budget, budget_period FROM llama_users
        UNION ALL SELECT rate_window_seconds, token_budget, budget_period FROM llama_groups
    )
    SELECT (now() - interval '1 second' * greatest(%(keep_s)s, 86400 + least(3.2e9, greatest(
        %(window_s)s, max(rate_window_seconds),
        max(CASE budget_period WHEN 'day' THEN 1 WHEN 'week' THEN 7 ELSE 31 END * 86400 + 86400)
            FILTER (WHERE token_budget IS NOT NULL)))))::text
    FROM limits
"""
_START = "-infinity"
# From where the last batch ended: what it left dead in the index would be gone through each time.
_DELETE: LiteralString = """
    WITH gone AS (
        DELETE FROM llama_requests WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM llama_requests WHERE created_at >= %(since)s AND created_at < %(before)s
            ORDER BY created_at LIMIT %(rows)s))
        RETURNING created_at
    ) SELECT count(*), max(created_at)::text FROM gone
"""


class Retention:
    """Keeps records for `retention_s`, and for the longest window of any user and of the default."""

    def __init__(self, settings: ProxySettings) -> None:
        self._database_url = settings.database_url
        self._keep = {"keep_s": settings.retention_s, "window_s": settings.rate_window_s}
        self._rows = MAX_ROWS
        self._since = _START

    async def run(self) -> None:
        """Remove old records, at once and every hour, until cancelled."""
        failing = False
        while self._keep["keep_s"] is not None:
            try:
                await self.prune()
                failing = False
            except (psycopg.Error, OSError, TimeoutError) as error:
                if not failing:
                    logger.warning("old request records stay for now: %s", error)
                failing = True
            await asyncio.sleep(RETRY_S if failing else CHECK_EVERY_S)

    async def prune(self) -> int | None:
        """Remove all old rows. Returns how many; None if another proxy is doing the same.

        Raises:
            psycopg.Error, OSError, TimeoutError: the database is out of reach, or something holds the
                rows. What is removed by then is.
        """
        async with await AsyncConnection.connect(
            self._database_url,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name="llamaserve-retention",
            prepare_threshold=PREPARE_THRESHOLD,
        ) as connection:
            async with _locked_transaction(connection) as locked:
                if not locked:
                    return None
                cursor = await connection.execute(_BEFORE, self._keep)
                ((before,),) = await cursor.fetchall()
            removed = await self._remove_batches(connection, before)
        if removed:
            logger.info("removed %d request records from before %s", removed, before)
        return removed

    async def _remove_batches(self, connection: AsyncConnection, before: str) -> int:
        """Remove batch after batch, until nothing is left or another proxy takes over; how many rows."""
        removed: int = 0
        while True:
            rows, begun = self._rows, time.monotonic()
            self._rows = max(1, rows // 2)  # unless it goes well
            async with _locked_transaction(connection) as locked:
                if not locked:
                    self._rows = rows
                    return removed
                cursor = await connection.execute(
                    _DELETE, {"since": self._since, "before": before, "rows": rows}
                )
                ((count, last),) = await cursor.fetchall()
            removed += int(count)
            if count < rows:
                self._rows, self._since = rows, _START
                return removed
            took = time.monotonic() - begun
            if took < BATCH_S:
                self._rows = min(MAX_ROWS, rows * 2)
            self._since = last
            await asyncio.sleep(max(PAUSE_S, took * REST))


@asynccontextmanager
async def _locked_transaction(connection: AsyncConnection) -> AsyncIterator[bool]:
    """A transaction with this module's settings; False where another proxy holds the lock."""
    with deadline(connection, ANSWER_TIMEOUT_S):
        async with connection.transaction():
            await connection.execute(_SETTINGS)
            cursor = await connection.execute("SELECT pg_try_advisory_xact_lock(%s)", [_ADVISORY_LOCK])
            yield await cursor.fetchone() == (True,)
