"""The rows of files. Every method raises DATABASE_ERRORS where the database is out of reach."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from proxy.files import errors

TIMEOUT_S = 5.0
"""How long a call waits for a connection."""
STATEMENT_S = 30
MAX_FILES = 1_000
"""Files of one user."""

_COLUMNS: LiteralString = """
    f.id, extract(epoch FROM f.created_at)::bigint AS created_at,
    extract(epoch FROM f.expires_at)::bigint AS expires_at, f.filename, f.purpose, f.bytes
"""
# The file after which a page begins is found by its time and id, which are the order.
_LIST: LiteralString = """
    SELECT {columns} FROM llama_files f
    WHERE f.user_id = %(user_id)s AND (%(purpose)s::text IS NULL OR f.purpose = %(purpose)s)
      AND (%(after)s::text IS NULL OR (f.created_at, f.id) {beyond}
           (SELECT a.created_at, a.id FROM llama_files a
            WHERE a.id = %(after)s AND a.user_id = %(user_id)s))
    ORDER BY f.created_at {order}, f.id {order} LIMIT %(limit)s
"""
_USED = """
    SELECT coalesce(sum(bytes) FILTER (WHERE user_id = %s), 0)::bigint,
           count(*) FILTER (WHERE user_id = %s), coalesce(sum(bytes), 0)::bigint FROM llama_files
"""
_INSERT = """
    INSERT INTO llama_files (id, user_id, filename, purpose, bytes, expires_at)
    VALUES (%s, %s, %s, 'batch', %s, now() + %s * interval '1 s')
"""
_IN_USE = """
    SELECT id FROM llama_batches WHERE user_id = %(user_id)s
      AND status IN ('validating', 'in_progress', 'finalizing', 'cancelling')
      AND %(id)s IN (input_file_id, output_file_id, error_file_id)
"""
_ADVISORY_LOCK = 0x66696C65
"""Uploads are added up one at a time, so that they cannot pass a limit together."""

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class StorageLimits:
    """In bytes."""

    of_user: int
    of_all: int


def new_file_id() -> str:
    """An id that nobody can guess."""
    return "file-" + secrets.token_hex(12)


class FileTable:
    """Reads and writes the rows of `llama_files`."""

    def __init__(self, pool: AsyncConnectionPool, limits: StorageLimits) -> None:
        self._pool = pool
        self._limits = limits

    async def check_room(self, user_id: int, size: int) -> None:
        """Refuse a file of `size` bytes that does not fit.

        Raises:
            ApiError: 413.
        """
        async with self._pool.connection(timeout=TIMEOUT_S) as connection:
            await self._check_room(connection, user_id, size)

    async def insert(
        self, file_id: str, *, user_id: int, filename: str, size: int, keep_s: float
    ) -> Row:
        """Add an uploaded file, which is kept for `keep_s` seconds.

        Raises:
            ApiError: 413, it does not fit.
        """
        async with self._pool.connection(timeout=TIMEOUT_S) as connection:
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock(%s)", [_ADVISORY_LOCK])
                await self._check_room(connection, user_id, size)
                await connection.execute(_INSERT, [file_id, user_id, filename, size, keep_s])
            row = await self._get(connection, user_id, file_id)
        assert row is not None
        return row

    async def get(self, user_id: int, file_id: str) -> Row:
        """A user's file.

        Raises:
            ApiError: 404.
        """
        async with self._pool.connection(timeout=TIMEOUT_S) as connection:
            row = await self._get(connection, user_id, file_id)
        if row is None:
            raise errors.no_such_file(file_id)
        return row

    async def list_files(
        self, user_id: int, *, purpose: str | None, after: str | None, limit: int, newest_first: bool
    ) -> list[Row]:
        """A user's files, those after the file `after`."""
        order: LiteralString = "DESC" if newest_first else "ASC"
        beyond: LiteralString = "<" if newest_first else ">"
        query = _LIST.format(columns=_COLUMNS, order=order, beyond=beyond)
        values = {"user_id": user_id, "purpose": purpose, "after": after, "limit": limit}
        async with (
            self._pool.connection(timeout=TIMEOUT_S) as connection,
            connection.cursor(row_factory=dict_row) as cursor,
        ):
            await cursor.execute(query, values)
            return await cursor.fetchall()

    async def delete(self, user_id: int, file_id: str) -> None:
        """Delete a file's row; with it go the results that a file with results is made of.

        Raises:
            ApiError: 404, or 409 while a batch needs it.
        """
        values = {"user_id": user_id, "id": file_id}
        async with self._pool.connection(timeout=TIMEOUT_S) as connection, connection.transaction():
            cursor = await connection.execute(
                "SELECT purpose FROM llama_files WHERE user_id = %(user_id)s AND id = %(id)s FOR UPDATE",
                values,
            )
            row = await cursor.fetchone()
            if row is None:
                raise errors.no_such_file(file_id)
            cursor = await connection.execute(_IN_USE, values)
            if (user := await cursor.fetchone()) is not None:
                raise errors.in_use(file_id, user[0])
            await connection.execute("DELETE FROM llama_files WHERE id = %(id)s", values)
            if row[0] == "batch_output":
                await connection.execute(_DELETE_RESULTS, values)

    async def unknown(self, ids: list[str]) -> list[str]:
        """Those of the ids that no file has."""
        async with self._pool.connection(timeout=TIMEOUT_S) as connection:
            cursor = await connection.execute("SELECT id FROM llama_files WHERE id = ANY (%s)", [ids])
            known = {row[0] for row in await cursor.fetchall()}
        return [one for one in ids if one not in known]

    async def _get(self, connection: Any, user_id: int, file_id: str) -> Row | None:
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(
                f"SELECT {_COLUMNS} FROM llama_files f WHERE f.user_id = %s AND f.id = %s",  # noqa: S608
                [user_id, file_id],
            )
            row: Row | None = await cursor.fetchone()
            return row

    async def _check_room(self, connection: Any, user_id: int, size: int) -> None:
        cursor = await connection.execute(_USED, [user_id, user_id])
        of_user, number, of_all = await cursor.fetchone()
        if number >= MAX_FILES:
            raise errors.too_many_files(MAX_FILES)
        if of_user + size > self._limits.of_user:
            raise errors.no_room(self._limits.of_user, of_user=True)
        if of_all + size > self._limits.of_all:
            raise errors.no_room(self._limits.of_all, of_user=False)


_DELETE_RESULTS = """
    DELETE FROM llama_batch_items i USING llama_batches b
    WHERE i.batch_id = b.id AND b.user_id = %(user_id)s
      AND %(id)s = CASE WHEN i.failed THEN b.error_file_id ELSE b.output_file_id END
"""
