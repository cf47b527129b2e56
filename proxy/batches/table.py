"""The rows of batches, as users see and change them. Every method raises DATABASE_ERRORS."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from proxy.batches import errors
from proxy.files.errors import no_such_file
from proxy.files.table import TIMEOUT_S, new_file_id

MAX_UNFINISHED = 32
"""Batches of one user that have not ended."""
MAX_KEPT = 10_000
"""Batches of one user, ended ones too: whoever only creates and cancels them fills no disk."""
UNFINISHED: LiteralString = "('validating', 'in_progress', 'finalizing', 'cancelling')"

Row = dict[str, Any]

_TIMES = (
    "created_at", "expires_at", "in_progress_at", "finalizing_at", "completed_at", "failed_at",
    "expired_at", "cancelling_at", "cancelled_at",
)  # fmt: skip
_SELECT = "SELECT b.*, u.username FROM llama_batches b JOIN llama_users u ON u.id = b.user_id "
_INSERT = """
    INSERT INTO llama_batches (id, user_id, key_id, endpoint, completion_window, metadata, input_file_id,
                               output_file_id, error_file_id, expires_at)
    VALUES (%(id)s, %(user_id)s, %(key_id)s, %(endpoint)s, %(window)s, %(metadata)s, %(input)s,
            %(output)s, %(error)s, now() + %(window_s)s * interval '1 s')
"""
_INSERT_FILES = """
    INSERT INTO llama_files (id, user_id, filename, purpose, expires_at)
    SELECT f.id, %(user_id)s, f.name, 'batch_output', now() + %(keep_s)s * interval '1 s'
    FROM (VALUES (%(output)s, %(id)s || '_output.jsonl'),
                 (%(error)s, %(id)s || '_error.jsonl')) f (id, name)
"""
_INPUT = """
    SELECT FROM llama_files
    WHERE id = %(input)s AND user_id = %(user_id)s AND purpose = 'batch' FOR SHARE
"""
_NUMBERS = f"""
    SELECT count(*) FILTER (WHERE status IN {UNFINISHED}), count(*) FROM llama_batches
    WHERE user_id = %(user_id)s
"""  # noqa: S608
_CANCEL: LiteralString = """
    UPDATE llama_batches SET status = 'cancelling', cancelling_at = now()
    WHERE id = %(id)s AND user_id = %(user_id)s AND status IN ('validating', 'in_progress')
"""


@dataclass(frozen=True, kw_only=True)
class NewBatch:
    """What a user asks for."""

    endpoint: str
    input_file_id: str
    window: str
    window_s: float
    metadata: dict[str, str] | None


class BatchTable:
    """Reads and writes the rows of `llama_batches`. Results are kept for `keep_s` seconds."""

    def __init__(self, pool: AsyncConnectionPool, *, keep_s: float) -> None:
        self._pool = pool
        self._keep_s = keep_s

    async def create(self, user_id: int, key_id: int, new: NewBatch) -> Row:
        """Add a batch.

        Raises:
            ApiError: 404, there is no such file; 429, the user has too many batches.
        """
        values: dict[str, Any] = {
            "id": "batch_" + secrets.token_hex(12), "user_id": user_id, "key_id": key_id,
            "endpoint": new.endpoint, "window": new.window, "window_s": new.window_s,
            "metadata": None if new.metadata is None else Jsonb(new.metadata),
            "input": new.input_file_id, "output": new_file_id(), "error": new_file_id(),
            "keep_s": self._keep_s + new.window_s,
        }  # fmt: skip
        async with self._pool.connection(timeout=TIMEOUT_S) as connection, connection.transaction():
            # The row of the user: batches of one user are created one at a time.
            await connection.execute(
                "SELECT FROM llama_users WHERE id = %(user_id)s FOR NO KEY UPDATE", values
            )
            cursor = await connection.execute(_INPUT, values)
            if await cursor.fetchone() is None:
                raise no_such_file(new.input_file_id)
            row = await (await connection.execute(_NUMBERS, values)).fetchone()
            assert row is not None
            if row[0] >= MAX_UNFINISHED:
                raise errors.too_many_batches(MAX_UNFINISHED)
            if row[1] >= MAX_KEPT:
                raise errors.too_many_kept(MAX_KEPT)
            await connection.execute(_INSERT_FILES, values)
            await connection.execute(_INSERT, values)
        return await self.get(user_id, values["id"])

    async def get(self, user_id: int, batch_id: str) -> Row:
        """A user's batch.

        Raises:
            ApiError: 404.
        """
        async with (
            self._pool.connection(timeout=TIMEOUT_S) as connection,
            connection.cursor(row_factory=dict_row) as cursor,
        ):
            await cursor.execute(_SELECT + "WHERE b.id = %s AND b.user_id = %s", [batch_id, user_id])
            row = await cursor.fetchone()
        if row is None:
            raise errors.no_such_batch(batch_id)
        return row

    async def list_batches(self, user_id: int, *, after: str | None, limit: int) -> list[Row]:
        """A user's batches, the newest first, those after the batch `after`."""
        where = (
            "WHERE b.user_id = %(user_id)s AND (%(after)s::text IS NULL OR (b.created_at, b.id) <"
            " (SELECT a.created_at, a.id FROM llama_batches a WHERE a.id = %(after)s"
            " AND a.user_id = %(user_id)s)) ORDER BY b.created_at DESC, b.id DESC LIMIT %(limit)s"
        )
        async with (
            self._pool.connection(timeout=TIMEOUT_S) as connection,
            connection.cursor(row_factory=dict_row) as cursor,
        ):
            await cursor.execute(_SELECT + where, {"user_id": user_id, "after": after, "limit": limit})
            return await cursor.fetchall()

    async def cancel(self, user_id: int, batch_id: str) -> Row:
        """Have a batch cancelled.

        Raises:
            ApiError: 404, or 409 if it has ended.
        """
        async with self._pool.connection(timeout=TIMEOUT_S) as connection:
            cursor = await connection.execute(_CANCEL, {"id": batch_id, "user_id": user_id})
            changed = cursor.rowcount
        row = await self.get(user_id, batch_id)
        if not changed and row["status"] not in ("cancelling", "cancelled"):
            raise errors.cannot_cancel(batch_id, row["status"])
        return row


def described(row: Row) -> dict[str, Any]:
    """OpenAI's batch object, with `waiting` beside its fields."""
    times = {name: None if row[name] is None else int(row[name].timestamp()) for name in _TIMES}
    problems = row["errors"]
    tokens = row["prompt_tokens"], row["completion_tokens"]
    return {
        "id": row["id"],
        "object": "batch",
        "endpoint": row["endpoint"],
        "errors": None if problems is None else {"object": "list", "data": problems},
        "input_file_id": row["input_file_id"],
        "completion_window": row["completion_window"],
        "status": row["status"],
        "output_file_id": row["output_file_id"] if row["completed"] else None,
        "error_file_id": row["error_file_id"] if row["failed"] else None,
        **times,
        "request_counts": {name: row[name] for name in ("total", "completed", "failed")},
        "usage": {
            "input_tokens": tokens[0],
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": tokens[1],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": sum(tokens),
        },
        "metadata": row["metadata"],
        "waiting": row["waiting"],
    }
