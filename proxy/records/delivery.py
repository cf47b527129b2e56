"""Brings the records of this process, and what earlier ones left in the spool, to the database.

Owns the order: files before the current one, then the current one, then the backlog in memory. Leaves a
load itself to `loader.py`, and when to load to `request_log.py`. Where the database is out of reach,
methods raise one of `DATABASE_ERRORS` and nothing is lost.
"""

from __future__ import annotations

import asyncio
import logging

from psycopg_pool import AsyncConnectionPool

from proxy.records.loader import BATCH_BYTES, Loader
from proxy.records.record_writer import ADMISSION, END, SHARED, RecordWriter
from proxy.records.spool import Spool

logger = logging.getLogger(__name__)


class Delivery:
    """Loads the spool and the backlog, one load at a time."""

    def __init__(self, pool: AsyncConnectionPool, spool: Spool, writer: RecordWriter) -> None:
        self._spool = spool
        self._writer = writer
        self._loader = Loader(pool, spool)
        self._loading = asyncio.Lock()

    async def load_all(self) -> None:
        """Load everything that has been written."""
        async with self._loading:
            while self._spool.pending:
                await self._loader.load_new(self._spool.pending[0], END)
                self._spool.pending.pop(0).remove()
            await self._loader.load_new(self._spool.current, END)
            if self._spool.is_due:
                self._writer.rotate()
            await self._load_backlog()

    async def _load_backlog(self) -> None:
        """Load what is only in memory: the disk may be full and the database elsewhere."""
        backlog = self._writer.backlog
        while backlog:
            lines = backlog.take(BATCH_BYTES, END)
            try:
                await self._loader.load(lines, END)
            except BaseException:
                backlog.put_back(lines)
                raise

    async def recover(self) -> None:
        """Load and remove the files of processes that have died.

        An admission whose end never came becomes a row with `error = 'interrupted'`.
        """
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
