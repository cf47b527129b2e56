"""The record of every authenticated request: to the spool at once, to `llama_requests` in batches.

A request writes a line at its admission and one at its end, in the form that COPY reads, so loading is
a raw COPY of the spool's bytes and an INSERT that ignores rows already there. An admission whose end
never came (the process was killed) becomes a row with `error = 'interrupted'`. The hot path never
waits: no await, no database.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from proxy import spool
from proxy.record import COLUMNS, RequestRecord
from proxy.spool import Spool, SpoolFile

logger = logging.getLogger(__name__)

LOAD_EVERY_S = 0.2
RETRY_S = 1.0
BATCH_BYTES = 2**20
LOAD_TIMEOUT_S = 30.0
FINAL_LOAD_TIMEOUT_S = 5.0
REFUSALS_PER_SECOND = 10
"""Of one user; further ones of the same kind within the second are folded into one row."""

# ruff: noqa: S608  (the only thing put into these statements is COLUMNS)
_STAGE = f"""
    CREATE TEMPORARY TABLE IF NOT EXISTS llama_requests_batch ON COMMIT DELETE ROWS AS
    SELECT ' '::text AS kind, {COLUMNS} FROM llama_requests WITH NO DATA
"""
_COPY = f"COPY llama_requests_batch (kind, {COLUMNS}) FROM STDIN"
_INSERT = f"""
    INSERT INTO llama_requests ({COLUMNS}) SELECT {COLUMNS} FROM llama_requests_batch
    WHERE kind = %s ON CONFLICT (id) DO NOTHING
"""
_TOUCH_KEYS = """
    UPDATE llama_api_keys k SET last_used_at = b.at
    FROM (SELECT key_id, max(created_at) AS at FROM llama_requests_batch GROUP BY key_id) b
    WHERE k.id = b.key_id AND (k.last_used_at IS NULL OR k.last_used_at < b.at - interval '1 minute')
"""
_HISTORY = """
    SELECT extract(epoch FROM at)::float8, count
    FROM llama_window_history(%(user_id)s, %(username)s, %(kind)s,
                              to_timestamp(%(since)s), to_timestamp(%(now)s),
                              to_timestamp(%(until)s), %(without)s)
"""

ADMISSION, END = "A", "E"


class RequestLog:
    """Takes records and brings them to the database. `run` must be running as a task."""

    def __init__(
        self, pool: AsyncConnectionPool, spool_: Spool, clock: Callable[[], float] = time.time
    ) -> None:
        self._pool = pool
        self._spool = spool_
        self._clock = clock
        self._open: dict[UUID, tuple[RequestRecord, bytes]] = {}
        """Admissions without an end, and their lines."""
        self._offset = 0
        self._loading = asyncio.Lock()
        self._refusals = _RefusalFolder()
        self._broken_disk = False
        self.recovered = asyncio.Event()
        """Set once what earlier processes left in the spool is in the database."""

    def admitted(self, record: RequestRecord) -> None:
        """Note an admission: from here on a row is certain."""
        line = replace(record, error="interrupted").line(ADMISSION)
        self._open[record.id] = record, line
        self._append(line)

    def ended(self, record: RequestRecord) -> None:
        """Note the end of a request. Call it before the client sees the end of its answer."""
        # What has an admission in the spool must have an end there too.
        opened = self._open.pop(record.id, None) is not None
        if opened or self._refusals.takes_own_row(record):
            self._append(record.line(END))

    def _append(self, line: bytes) -> None:
        try:
            self._spool.append(line)
        except OSError as error:
            if not self._broken_disk:
                logger.error("request records are being lost, the spool cannot be written: %s", error)
            self._broken_disk = True
        else:
            self._broken_disk = False

    async def run(self) -> None:
        """Load the spool until cancelled."""
        failing = False
        while True:
            try:
                if not self.recovered.is_set():
                    await self._recover()
                    self.recovered.set()
                await self._load_all()
                failing = False
            except (psycopg.Error, PoolTimeout, OSError, TimeoutError) as error:
                if not failing:
                    logger.warning("request records stay in the spool for now: %s", error)
                failing = True
            await asyncio.sleep(RETRY_S if failing else LOAD_EVERY_S)
            self._flush_refusals()

    async def close(self) -> None:
        """Load what is left, within a few seconds; what stays is loaded by the next process."""
        self._flush_refusals(everything=True)
        try:
            async with asyncio.timeout(FINAL_LOAD_TIMEOUT_S):
                await self._load_all()
        except (psycopg.Error, PoolTimeout, OSError, TimeoutError) as error:
            logger.warning("request records stay in the spool for the next start: %s", error)
        else:
            if not self._open and self._offset == self._spool.current.size:
                self._spool.current.remove()
                return
        self._spool.close()

    def _flush_refusals(self, *, everything: bool = False) -> None:
        now = float("inf") if everything else self._clock()
        for record in self._refusals.take_folded(now):
            self._append(record.line(END))

    async def _load_all(self) -> None:
        async with self._loading:
            while self._spool.pending:
                self._offset = await self._load(self._spool.pending[0], self._offset, END)
                self._spool.pending.pop(0).remove()
                self._offset = 0
            self._offset = await self._load(self._spool.current, self._offset, END)
            if self._offset >= spool.ROTATE_BYTES:
                self._spool.rotate([line for _, line in self._open.values()])

    async def _recover(self) -> None:
        files = list(self._spool.leftovers())
        try:
            # All ends first: an admission may stand in one file and its end in the next.
            for kind in (END, ADMISSION):
                for file in files:
                    await self._load(file, 0, kind)
        except BaseException:
            for file in files:
                file.close()
            raise
        for file in files:
            logger.info("loaded the records that an earlier process left in %s", file.path.name)
            file.remove()

    async def _load(self, file: SpoolFile, offset: int, kind: str) -> int:
        """Load a file's lines of one kind, from `offset` to its end; return where that is."""
        while lines := file.read(offset, BATCH_BYTES):
            await self._copy_or_salvage(lines, kind)
            offset += len(lines)
        return offset

    async def _copy_or_salvage(self, lines: bytes, kind: str) -> None:
        try:
            await self._copy(lines, kind)
        except (psycopg.DataError, psycopg.IntegrityError):
            for line in lines.splitlines(keepends=True):
                try:
                    await self._copy(line, kind)
                except (psycopg.DataError, psycopg.IntegrityError) as error:
                    logger.error("a request record cannot be loaded and is left out: %s", error)

    async def _copy(self, lines: bytes, kind: str) -> None:
        async with (
            asyncio.timeout(LOAD_TIMEOUT_S),
            self._pool.connection(timeout=RETRY_S) as connection,
            connection.transaction(),
            connection.cursor() as cursor,
        ):
            await cursor.execute(_STAGE)
            async with cursor.copy(_COPY) as copy:
                await copy.write(lines)
            await cursor.execute(_INSERT, [kind])
            await cursor.execute(_TOUCH_KEYS)

    async def history(
        self, kind: str, *, username: str, user_id: int, window_s: float
    ) -> list[tuple[float, int]]:
        """A user's admissions (`requests`) or charges (`tokens`) within the last window.

        Each is (seconds ago, how many), oldest first: of earlier processes and of this one, what still
        runs included, up to the moment of the call.

        Raises:
            psycopg.Error, PoolTimeout, TimeoutError: the database is out of reach.
        """
        now = self._clock()
        # The database will not know them before they end, which may happen while it is asked.
        running = {
            record.id: record.admitted_at
            for record, _ in self._open.values()
            if record.user_id == user_id and record.admitted_at is not None and kind == "requests"
        }
        of = {"kind": kind, "username": username, "user_id": user_id, "without": list(running)}
        async with asyncio.timeout(RETRY_S * 3):
            await self.recovered.wait()
            await self._load_all()
            async with self._pool.connection(timeout=RETRY_S) as connection:
                times = {"since": now - window_s, "now": now, "until": self._clock()}
                cursor = await connection.execute(_HISTORY, of | times)
                found = [(at, count) for at, count in await cursor.fetchall()]
        found += [(at, 1) for at in running.values() if at > now - window_s]
        return [(max(0.0, now - at), count) for at, count in sorted(found)]


class _RefusalFolder:
    """Keeps a flood of refused requests from becoming a flood of rows."""

    def __init__(self) -> None:
        self._second = 0
        self._rows: dict[int, int] = {}
        self._folded: dict[tuple[int, int, int | None, str | None], RequestRecord] = {}

    def takes_own_row(self, record: RequestRecord) -> bool:
        """Whether this refusal gets a row; otherwise it is counted in one that comes later."""
        second = int(record.created_at)
        if second != self._second:
            self._second = second
            self._rows.clear()
        self._rows[record.user_id] = rows = self._rows.get(record.user_id, 0) + 1
        if rows <= REFUSALS_PER_SECOND:
            return True
        # Not by path: a client that goes through paths would get a row for each.
        kind = (second, record.user_id, record.status_code, record.error)
        if kind in self._folded:
            self._folded[kind].count += 1
        else:
            self._folded[kind] = record
        return False

    def take_folded(self, now: float) -> list[RequestRecord]:
        """The rows of the seconds that are over at the Unix time `now`."""
        done = [kind for kind in self._folded if kind[0] + 1 <= now]
        return [self._folded.pop(kind) for kind in done]
