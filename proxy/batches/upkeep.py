"""Removes files, batches and results older than LLAMA_FILES_RETENTION_DAYS, and what is nobody's."""

from __future__ import annotations

import asyncio
import logging

from psycopg_pool import AsyncConnectionPool

from proxy.batches.table import UNFINISHED
from proxy.database.schema import DATABASE_ERRORS
from proxy.files.directory import Directory
from proxy.files.table import TIMEOUT_S, FileTable

logger = logging.getLogger(__name__)

CHECK_EVERY_S = 900.0

# Results go with their batch.
_OLD_BATCHES = f"""
    DELETE FROM llama_batches b WHERE status NOT IN {UNFINISHED}
      AND expires_at < now() - %s * interval '1 s'
"""  # noqa: S608
_OLD_FILES = f"""
    DELETE FROM llama_files f WHERE expires_at < now() AND NOT EXISTS (
        SELECT FROM llama_batches b WHERE b.status IN {UNFINISHED} AND b.user_id = f.user_id
          AND f.id IN (b.input_file_id, b.output_file_id, b.error_file_id))
    RETURNING id
"""  # noqa: S608


class Upkeep:
    """Removes what is old. `run` must be running as a task."""

    def __init__(
        self, pool: AsyncConnectionPool, files: FileTable, directory: Directory, *, keep_s: float
    ) -> None:
        self._pool = pool
        self._files = files
        self._directory = directory
        self._keep_s = keep_s

    async def run(self) -> None:
        """Remove what is old now and then, until cancelled."""
        while True:
            try:
                await self.remove_old()
            except DATABASE_ERRORS as error:
                logger.warning("old files and batches stay for now: %s", error)
            await asyncio.sleep(CHECK_EVERY_S)

    async def remove_old(self) -> None:
        """Remove old rows, and the files that no row belongs to.

        Raises:
            one of DATABASE_ERRORS.
        """
        async with self._pool.connection(timeout=TIMEOUT_S) as connection:
            await connection.execute(_OLD_BATCHES, [self._keep_s])
            cursor = await connection.execute(_OLD_FILES)
            gone = [row[0] for row in await cursor.fetchall()]
        gone += await self._files.unknown(await asyncio.to_thread(self._directory.old_ones))
        for file_id in gone:
            await asyncio.to_thread(self._directory.abandon, file_id)
