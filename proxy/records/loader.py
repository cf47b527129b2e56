"""Loads lines of the spool into `llama_requests`.

A raw COPY of their bytes into a temporary table, then an INSERT that ignores rows that exist already: so
a load may be repeated, and what the database did not confirm is loaded again. A line that the database
will never accept is put aside in a file.
"""

from __future__ import annotations

import asyncio
import logging

import psycopg
from psycopg_pool import AsyncConnectionPool

from proxy.database.schema import check_schema_async
from proxy.records.record import COLUMNS, in_todays_form
from proxy.records.spool import Spool, SpoolFile

logger = logging.getLogger(__name__)

BATCH_BYTES = 2**18
"""Size of one load: some 1,400 rows."""
TIMEOUT_S = 30.0
CONNECTION_TIMEOUT_S = 1.0

# ruff: noqa: S608  (the only thing put into these statements is COLUMNS)
_BEGIN = f"""
    BEGIN;
    CREATE TEMPORARY TABLE IF NOT EXISTS llama_requests_batch ON COMMIT DELETE ROWS AS
    SELECT ' '::text AS kind, {COLUMNS} FROM llama_requests WITH NO DATA
"""
_COPY = f"COPY llama_requests_batch (kind, {COLUMNS}) FROM STDIN"
_FINISH = f"""
    INSERT INTO llama_requests ({COLUMNS}) SELECT {COLUMNS} FROM llama_requests_batch
    WHERE kind = '%s' ON CONFLICT (id) DO NOTHING;
    UPDATE llama_api_keys k SET last_used_at = b.at
    FROM (SELECT key_id, max(created_at) AS at FROM llama_requests_batch GROUP BY key_id) b
    WHERE k.id = b.key_id AND (k.last_used_at IS NULL OR k.last_used_at < b.at - interval '1 minute');
    COMMIT
"""
"""Sent together: each round trip costs this process as much as 20 rows."""


class Loader:
    """Loads lines.

    Every method raises one of `DATABASE_ERRORS` if the database is out of reach. Then the same lines may
    be loaded again.
    """

    def __init__(self, pool: AsyncConnectionPool, spool: Spool) -> None:
        self._pool = pool
        self._spool = spool

    async def load_new(self, file: SpoolFile, kind: str) -> None:
        """Load a file's lines of one kind from where the last load ended (`file.loaded`).

        Those that come meanwhile wait for the next call: many small loads would cost much more.
        """
        end = file.size
        while file.loaded < end and (lines := file.read(file.loaded, BATCH_BYTES)):
            await self.load(lines, kind)
            file.loaded += len(lines)

    async def load_whole(self, file: SpoolFile, kind: str, *, reject: bool) -> None:
        """Load all of a file's lines of one kind. `reject`: put lines aside that cannot be loaded."""
        offset = 0
        while lines := file.read(offset, BATCH_BYTES):
            await self.load(in_todays_form(lines), kind, reject=reject)
            offset += len(lines)

    async def load(self, lines: bytes, kind: str, *, reject: bool = True) -> None:
        """Load the lines of this kind. Those that never can be loaded are put aside."""
        try:
            await self._copy(lines, kind)
        except (psycopg.DataError, psycopg.IntegrityError):
            async with self._pool.connection(timeout=CONNECTION_TIMEOUT_S) as connection:
                # If the schema is not this program's, every line looks like a bad one.
                await check_schema_async(connection)
            rejected: list[tuple[bytes, psycopg.Error]] = []
            for line in lines.splitlines(keepends=True):
                try:
                    await self._copy(line, kind)
                except (psycopg.DataError, psycopg.IntegrityError) as error:
                    rejected.append((line, error))
            if reject and rejected:
                self._reject(rejected)

    def _reject(self, rejected: list[tuple[bytes, psycopg.Error]]) -> None:
        """Put lines aside; if that fails they are lost, since loading must go on."""
        lost = 0
        for line, _ in rejected:
            try:
                kept_in = self._spool.reject(line)
            except OSError as error:
                lost, failure = lost + 1, error
        reason = rejected[0][1].diag.message_primary
        if lost < len(rejected):
            logger.error(
                "%d request records cannot be loaded and are kept in %s: %s",
                len(rejected) - lost, kept_in, reason,
            )  # fmt: skip
        if lost:
            logger.error(
                "%d request records cannot be loaded (%s) and are lost: %s", lost, reason, failure
            )

    async def _copy(self, lines: bytes, kind: str) -> None:
        async with (
            asyncio.timeout(TIMEOUT_S),
            self._pool.connection(timeout=CONNECTION_TIMEOUT_S) as connection,
            connection.cursor() as cursor,
        ):
            try:
                await cursor.execute(_BEGIN)
                async with cursor.copy(_COPY) as copy:
                    await copy.write(lines)
                await cursor.execute(_FINISH % kind)
            except psycopg.Error:
                await connection.rollback()
                raise
