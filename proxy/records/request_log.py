"""The record of every authenticated request: to the spool at once, to `llama_requests` in batches.

A request writes a line at its admission and one at its end, in the form that COPY reads. An admission
whose end never came (the process was killed) becomes a row with `error = 'interrupted'`. The hot path
never waits: no await, no database. What the spool does not take, since it or the disk is full, waits in
memory; service goes on. Leaves the way into the database to `loader.py`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from psycopg_pool import AsyncConnectionPool

from proxy.database.schema import DATABASE_ERRORS
from proxy.records.backlog import Backlog
from proxy.records.folded_refusals import Refusals
from proxy.records.loader import BATCH_BYTES, CONNECTION_TIMEOUT_S, Loader
from proxy.records.record import RequestRecord
from proxy.records.spool import Spool

logger = logging.getLogger(__name__)

LOAD_EVERY_S = 0.2
RETRY_S = 1.0
WARN_EVERY_S = 60.0
WARN_AT = 0.8
"""Of the spool's limit."""
FINAL_LOAD_TIMEOUT_S = 5.0
HISTORY_TIMEOUT_S = 60.0
"""Of a window of a year it may take seconds."""

_HISTORY = """
    SELECT extract(epoch FROM at)::float8, count
    FROM llama_window_history(%(user_id)s, %(username)s, %(kind)s,
                              to_timestamp(%(since)s), to_timestamp(%(now)s),
                              to_timestamp(%(until)s), %(without)s::uuid[])
"""

ADMISSION, END, SHARED = "A", "E", "S"
"""Kinds of lines. SHARED is a row of refusals whose count grows; its END follows within a second."""


class RequestLog:
    """Takes records and brings them to the database. `run` and `sync` must be running as tasks."""

    def __init__(
        self,
        pool: AsyncConnectionPool,
        spool: Spool,
        clock: Callable[[], float] = time.time,
        *,
        on_note: Callable[[], None] | None = None,
    ) -> None:
        """`on_note` is told that something waits for `write_out`; without it nothing waits."""
        self._pool = pool
        self._on_note = on_note or self.write_out
        self._noted: list[tuple[str, RequestRecord]] = []
        """Kind and record of what has not been written yet, in order."""
        self._spool = spool
        self._loader = Loader(pool, spool)
        self._clock = clock
        self._open: dict[str, tuple[RequestRecord, bytes]] = {}
        """Admissions without an end, and their lines."""
        self._loading = asyncio.Lock()
        self._refusals = Refusals()
        self._backlog = Backlog()
        self._disk_error: OSError | None = None
        self._warned_at = -WARN_EVERY_S
        self.recovered = asyncio.Event()
        """Set once what earlier processes left in the spool is in the database."""

    def admitted(self, record: RequestRecord) -> None:
        """Note an admission. Once it is written out, a row is certain."""
        self._noted.append((ADMISSION, record))
        self._on_note()

    def ended(self, record: RequestRecord) -> None:
        """Note the end of a request. It is to be written out before the client sees that end."""
        self._noted.append((END, record))
        self._on_note()

    def write_out(self) -> None:
        """Write to the spool what has been noted.

        One write for all requests of a turn of the event loop, instead of two for each, before anything
        of theirs goes to the engine or to a client.
        """
        noted, self._noted = self._noted, []
        lines: list[tuple[RequestRecord | None, bytes]] = []
        for kind, record in noted:
            if kind == ADMISSION:
                line = record.admission_line(ADMISSION)
                self._open[record.id] = record, line
                lines.append((None, line))
                continue
            # What has an admission in the spool must have an end there too.
            if self._open.pop(record.id, None) is not None or self._refusals.takes_own_row(record):
                lines.append((record, record.line(END)))
            else:
                self._append(lines)
                lines.clear()
                self._fold(record)
        self._append(lines)

    def _append(self, lines: list[tuple[RequestRecord | None, bytes]]) -> None:
        """Put lines into the spool, those of ends with their records; what it does not take waits."""
        if not lines:
            return
        try:
            self._spool.append(b"".join([line for _, line in lines]))
        except OSError as error:
            self._disk_error = error
            if len(lines) > 1:  # it may have room for some of them
                for one in lines:
                    self._append([one])
            elif lines[0][0] is not None:
                self._backlog.add(lines[0][0], lines[0][1])

    def _fold(self, record: RequestRecord) -> None:
        try:
            self._refusals.fold(record, self._spool, SHARED)
        except OSError as error:
            self._disk_error = error

    async def run(self) -> None:
        """Load the spool until cancelled."""
        failing = False
        while True:
            try:
                if not self.recovered.is_set():
                    await self._recover()
                    self.recovered.set()
                await self._load_all()
                if failing:
                    logger.warning("request records go to the database again")
                failing = False
            except DATABASE_ERRORS as error:
                if not failing:
                    logger.warning("request records stay in the spool for now: %s", error)
                failing = True
            self._close_refusals(self._clock())
            self._spool_backlog()
            self._warn()
            await asyncio.sleep(RETRY_S if failing else LOAD_EVERY_S)

    async def sync(self, every_s: float) -> None:
        """Have the disk take what is in the spool, every so many seconds, until cancelled."""
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
        """Load what is left, within a few seconds; what stays is loaded by the next process."""
        self._close_refusals(float("inf"))
        self._spool_backlog()
        try:
            async with asyncio.timeout(FINAL_LOAD_TIMEOUT_S):
                await self._load_all()
        except DATABASE_ERRORS as error:
            logger.warning("request records stay in the spool for the next start: %s", error)
        else:
            if not self._open and self._spool.current.loaded == self._spool.current.size:
                self._spool.current.remove()
                return
        if self._backlog:
            logger.error("%d request records are lost: %s", len(self._backlog), self._disk_error)
        self._spool.close()

    def _close_refusals(self, now: float) -> None:
        self.write_out()
        self._append([(record, record.line(END)) for record in self._refusals.take_folded(now)])

    def _spool_backlog(self) -> None:
        """Give the spool another chance."""
        while self._backlog:
            lines = self._backlog.take(BATCH_BYTES, END)
            try:
                self._spool.append(lines)
            except OSError as error:
                self._disk_error = error
                self._backlog.put_back(lines)
                return

    def _warn(self) -> None:
        """Say once a minute what the operator must know, as long as it lasts; and when it is over."""
        if time.monotonic() - self._warned_at < WARN_EVERY_S:
            return
        used, limit = self._spool.used_bytes, self._spool.limit_bytes
        if self._backlog:
            logger.error(
                "request records wait in memory, where a crash would lose them: %d rows, %d requests"
                " lost so far; the spool cannot be written: %s",
                len(self._backlog),
                self._backlog.lost,
                self._disk_error,
            )
        elif used > WARN_AT * limit:
            logger.error(
                "the spool of request records is nearly full: %d of %d bytes"
                " (LLAMA_PROXY_SPOOL_BYTES); then they wait in memory; is the database there?",
                used,
                limit,
            )
        else:
            return
        self._warned_at = time.monotonic()

    async def load(self) -> None:
        """Load what has ended up to now.

        Raises:
            one of `DATABASE_ERRORS`: the database is out of reach.
        """
        self.write_out()
        async with asyncio.timeout(HISTORY_TIMEOUT_S):
            await self.recovered.wait()
            await self._load_all()

    async def _load_all(self) -> None:
        async with self._loading:
            while self._spool.pending:
                await self._loader.load_new(self._spool.pending[0], END)
                self._spool.pending.pop(0).remove()
            await self._loader.load_new(self._spool.current, END)
            if self._spool.is_due:
                self._rotate()
            await self._load_backlog()

    def _rotate(self) -> None:
        # Before the file that holds their lines goes.
        self._close_refusals(float("inf"))
        try:
            self._spool.rotate([line for _, line in self._open.values()])
        except OSError as error:
            self._disk_error = error  # the file in use stays in use

    async def _load_backlog(self) -> None:
        """Load what is only in memory: the disk may be full and the database elsewhere."""
        while self._backlog:
            lines = self._backlog.take(BATCH_BYTES, END)
            try:
                await self._loader.load(lines, END)
            except BaseException:
                self._backlog.put_back(lines)
                raise

    async def _recover(self) -> None:
        files = list(self._spool.leftovers())
        try:
            # All ends first: an admission may stand in one file and its end in the next.
            for kind in (END, SHARED, ADMISSION):
                for file in files:
                    await self._loader.load_whole(file, kind, reject=kind == END)
        except BaseException:
            for file in files:
                file.close()
            raise
        for file in files:
            logger.info("loaded the records that an earlier process left in %s", file.path.name)
            file.remove()
        self._spool.leftovers_loaded()

    async def history(
        self, kind: str, *, username: str, user_id: int, window_s: float
    ) -> list[tuple[float, int]]:
        """A user's admissions (`requests`) or charges (`tokens`) within the last window.

        Each is (seconds ago, how many), oldest first: of earlier processes and of this one, what still
        runs included, up to the moment of the call.

        Raises:
            one of `db.DATABASE_ERRORS`: the database is out of reach.
        """
        self.write_out()
        now = self._clock()
        # The database will not know them before they end, which may happen while it is asked.
        running = {
            record.id: record.admitted_at
            for record, _ in self._open.values()
            if record.user_id == user_id and record.admitted_at is not None and kind == "requests"
        }
        of = {"kind": kind, "username": username, "user_id": user_id, "without": list(running)}
        async with asyncio.timeout(HISTORY_TIMEOUT_S):
            await self.recovered.wait()
            await self._load_all()
            async with self._pool.connection(timeout=CONNECTION_TIMEOUT_S) as connection:
                times = {"since": now - window_s, "now": now, "until": self._clock()}
                cursor = await connection.execute(_HISTORY, of | times)
                found = [(at, count) for at, count in await cursor.fetchall()]
        found += [(at, 1) for at in running.values() if at > now - window_s]
        return [(max(0.0, now - at), count) for at, count in sorted(found)]
