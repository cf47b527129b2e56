"""What becomes of batches, as their runner reads and writes it. Every method raises DATABASE_ERRORS.

Everything is written on the condition that the batch is still leased to this runner.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString, NamedTuple

from psycopg.rows import class_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from proxy.batches.errors import CANCELLED, EXPIRED, FAILED, Problem
from proxy.batches.table import UNFINISHED
from proxy.batches.validation import Item
from proxy.files.table import TIMEOUT_S
from proxy.identity.authentication.key_lookup import read_owner
from proxy.identity.principal import Principal

LEASE_S = 15
"""How long a batch stays with a runner that is not heard of."""
PAGE = 256
MAX_LEASED = 64
"""Batches that one runner has at a time, each of another user."""

_BATCH: LiteralString = (
    "id, user_id, key_id, endpoint, input_file_id, output_file_id, error_file_id, status, expires_at"
)
# One batch of each user, the oldest; those that are being cancelled come first.
_FREE: LiteralString = """
    SELECT {columns} FROM llama_batches WHERE id IN (
        SELECT DISTINCT ON (user_id) id FROM llama_batches WHERE status IN {unfinished}
        ORDER BY user_id, status <> 'cancelling', created_at, id)
      AND (leased_until IS NULL OR leased_until < now()) ORDER BY created_at LIMIT {most}
"""
_LEASE = """
    UPDATE llama_batches SET runner = %(runner)s, leased_until = now() + %(lease_s)s * interval '1 s'
    WHERE id = %(id)s AND (leased_until IS NULL OR leased_until < now())
"""
_RENEW = """
    UPDATE llama_batches SET leased_until = now() + %s * interval '1 s'
    WHERE runner = %s AND id = ANY (%s) RETURNING id, status, total - completed - failed
"""
_SAVE = """
    WITH done AS (
        UPDATE llama_batch_items i SET failed = %(failed)s, result = %(result)s FROM llama_batches b
        WHERE i.batch_id = %(id)s AND i.line = %(line)s AND i.result IS NULL
          AND b.id = i.batch_id AND b.runner = %(runner)s
        RETURNING octet_length(i.result) + 1 AS bytes
    ), counted AS (
        UPDATE llama_batches b SET
            completed = b.completed + CASE WHEN %(failed)s THEN 0 ELSE 1 END,
            failed = b.failed + CASE WHEN %(failed)s THEN 1 ELSE 0 END,
            prompt_tokens = b.prompt_tokens + %(prompt_tokens)s,
            completion_tokens = b.completion_tokens + %(completion_tokens)s, waiting = NULL
        FROM done WHERE b.id = %(id)s
    )
    UPDATE llama_files f SET bytes = f.bytes + done.bytes FROM done WHERE f.id = %(file_id)s
"""
# Lines without a result get one that says why, in one statement.
_END_OPEN = """
    WITH ended AS (
        UPDATE llama_batch_items i SET failed = true, result = json_build_object(
            'id', 'batch_req_' || replace(gen_random_uuid()::text, '-', ''), 'custom_id', i.custom_id,
            'response', NULL,
            'error', json_build_object('code', %(code)s::text, 'message', %(text)s::text))::text
        WHERE i.batch_id = %(id)s AND i.result IS NULL
        RETURNING octet_length(i.result) + 1 AS bytes
    ), counted AS (
        UPDATE llama_batches SET failed = failed + (SELECT count(*) FROM ended) WHERE id = %(id)s
    )
    UPDATE llama_files SET bytes = bytes + (SELECT coalesce(sum(bytes), 0) FROM ended)
    WHERE id = %(file_id)s
"""
_END = f"""
    UPDATE llama_batches SET status = %(status)s, waiting = NULL, runner = NULL, leased_until = NULL,
        errors = %(errors)s, finalizing_at = now(),
        completed_at = CASE %(status)s WHEN 'completed' THEN now() END,
        expired_at = CASE %(status)s WHEN 'expired' THEN now() END,
        cancelled_at = CASE %(status)s WHEN 'cancelled' THEN now() END,
        failed_at = CASE %(status)s WHEN 'failed' THEN now() END
    WHERE id = %(id)s AND runner = %(runner)s AND status IN {UNFINISHED}
"""  # noqa: S608
_WHY = {"expired": EXPIRED, "cancelled": CANCELLED, "failed": FAILED}
_UNUSED_FILES = """
    DELETE FROM llama_files f USING llama_batches b
    WHERE b.id = %(id)s AND ((f.id = b.output_file_id AND b.completed = 0)
                             OR (f.id = b.error_file_id AND b.failed = 0))
"""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A batch as its runner needs to know it."""

    id: str
    user_id: int
    key_id: int
    endpoint: str
    input_file_id: str
    output_file_id: str
    error_file_id: str
    status: str
    expires_at: datetime


class State(NamedTuple):
    """How far a leased batch is."""

    status: str
    lines_left: int
    """Without a result; 0 until its file has been checked."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of a line: a line of the output file, or of the error file if it failed."""

    result: str
    failed: bool
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Progress:
    """The batches of one runner."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool
        self._runner = uuid.uuid4()

    async def free(self) -> list[Batch]:
        """Batches that nobody works on, the oldest one of each user."""
        query = _FREE.format(columns=_BATCH, unfinished=UNFINISHED, most=MAX_LEASED)
        async with (
            self._pool.connection(timeout=TIMEOUT_S) as connection,
            connection.cursor(row_factory=class_row(Batch)) as cursor,
        ):
            await cursor.execute(query)
            return await cursor.fetchall()

    async def lease(self, batch_id: str) -> bool:
        """Take a batch, if it is still free."""
        values = {"runner": self._runner, "id": batch_id, "lease_s": LEASE_S}
        async with self._pool.connection(timeout=TIMEOUT_S) as connection:
            return (await connection.execute(_LEASE, values)).rowcount == 1

    async def renew(self, ids: Iterable[str]) -> dict[str, State]:
        """Keep batches for LEASE_S more. The states of those that are still leased, by id."""
        async with self._pool.connection(timeout=TIMEOUT_S) as connection:
            cursor = await connection.execute(_RENEW, [LEASE_S, self._runner, list(ids)])
            return {row[0]: State(*row[1:]) for row in await cursor.fetchall()}

    async def release_all(self) -> None:
        """Give all batches back, so that another runner takes them at once."""
        async with self._pool.connection(timeout=TIMEOUT_S) as connection:
            await connection.execute(
                "UPDATE llama_batches SET leased_until = NULL, runner = NULL WHERE runner = %s",
                [self._runner],
            )

    async def owner(self, batch: Batch) -> Principal | None:
        """The batch's user, as he is now; None if he is gone."""
        async with self._pool.connection(timeout=TIMEOUT_S) as connection:
            return await read_owner(connection, batch.user_id, batch.key_id)

    async def used_lines(self, user_id: int) -> tuple[int | None, int]:
        """How many lines of a user may be begun in 24 hours, and how many were: a batch that has waited
        behind others counts when its own lines are, however long ago it was created.
        """
        async with self._pool.connection(timeout=TIMEOUT_S) as connection:
            cursor = await connection.execute(
                "SELECT batch_limit, (SELECT coalesce(sum(total), 0) FROM llama_batches b"
                " WHERE b.user_id = u.id AND b.in_progress_at > now() - interval '1 day')"
                " FROM llama_users u WHERE id = %s",
                [user_id],
            )
            row = await cursor.fetchone()
            return (None, 0) if row is None else (row[0], int(row[1]))

    async def stored_bytes(self, user_id: int) -> tuple[int, int]:
        """The bytes of files and results, a user's and all users'."""
        async with self._pool.connection(timeout=TIMEOUT_S) as connection:
            cursor = await connection.execute(
                "SELECT coalesce(sum(bytes) FILTER (WHERE user_id = %s), 0)::bigint,"
                " coalesce(sum(bytes), 0)::bigint FROM llama_files",
                [user_id],
            )
            row = await cursor.fetchone()
            return (0, 0) if row is None else (int(row[0]), int(row[1]))

    async def begin(self, batch: Batch, items: list[Item]) -> None:
        """Store the lines of a batch whose file is valid, and begin it."""
        async with self._pool.connection(timeout=TIMEOUT_S) as connection, connection.transaction():
            cursor = await connection.execute(
                "UPDATE llama_batches SET status = 'in_progress', in_progress_at = now(), total = %s"
                " WHERE id = %s AND runner = %s AND status = 'validating'",
                [len(items), batch.id, self._runner],
            )
            if cursor.rowcount != 1:
                return
            copy_ = "COPY llama_batch_items (batch_id, line, custom_id, place, length) FROM STDIN"
            async with connection.cursor() as writer, writer.copy(copy_) as copy:
                for item in items:
                    await copy.write_row((batch.id, *item))

    async def open_lines(self, batch_id: str, after: int) -> list[Item]:
        """The next lines without a result."""
        async with self._pool.connection(timeout=TIMEOUT_S) as connection:
            cursor = await connection.execute(
                "SELECT line, custom_id, place, length FROM llama_batch_items"
                " WHERE batch_id = %s AND line > %s AND result IS NULL ORDER BY line LIMIT %s",
                [batch_id, after, PAGE],
            )
            return [Item(*row) for row in await cursor.fetchall()]

    async def save(self, batch: Batch, line: int, outcome: Outcome) -> None:
        """Write a line's result, unless it has one or the lease is lost."""
        values = {
            "id": batch.id, "line": line, "runner": self._runner, "failed": outcome.failed,
            "result": outcome.result, "prompt_tokens": outcome.prompt_tokens,
            "completion_tokens": outcome.completion_tokens,
            "file_id": batch.error_file_id if outcome.failed else batch.output_file_id,
        }  # fmt: skip
        async with self._pool.connection(timeout=TIMEOUT_S) as connection:
            await connection.execute(_SAVE, values)

    async def wait_for(self, batch_id: str, why: str) -> None:
        """Tell why a batch makes no progress."""
        async with self._pool.connection(timeout=TIMEOUT_S) as connection:
            await connection.execute(
                "UPDATE llama_batches SET waiting = %s WHERE id = %s AND runner = %s",
                [why, batch_id, self._runner],
            )

    async def end(self, batch: Batch, status: str, problems: list[Problem] | None = None) -> None:
        """End a batch. Lines without a result get one that says why they have not been run."""
        code, text = _WHY.get(status, ("", ""))
        values = {
            "id": batch.id, "code": code, "text": text, "file_id": batch.error_file_id,
            "status": status, "runner": self._runner,
            "errors": None if problems is None else Jsonb(problems),
        }  # fmt: skip
        async with self._pool.connection(timeout=TIMEOUT_S) as connection, connection.transaction():
            cursor = await connection.execute(_END, values)
            if cursor.rowcount != 1:
                return
            if status != "completed":
                await connection.execute(_END_OPEN, values)
            await connection.execute(_UNUSED_FILES, values)
