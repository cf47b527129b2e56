"""Reading keys from the database, many in one query.

A flood of keys that nobody has costs the database one query at a time, however many there are: what
comes while a query runs is asked for together by the next one. Leaves to `authenticator.py` whether a
key is the one that the row's hash is of.
"""

from __future__ import annotations

import asyncio
from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from proxy.database.pool import deadline
from proxy.database.schema import DATABASE_ERRORS
from proxy.identity.principal import Membership, Principal

QUERY_TIMEOUT_S = 3.0
MAX_BATCH = 1_000
"""Public ids in one query."""

_SELECT: LiteralString = """
    SELECT k.public_id, k.hash, k.id AS key_id, k.user_id, u.username, u.is_active, u.rate_limit,
           u.rate_window_seconds AS rate_window_s, u.token_limit, u.weight, u.max_concurrent, u.is_admin,
           u.token_budget, coalesce(u.budget_period, 'month') AS budget_period,
           u.group_id, g.name, g.rate_limit AS group_rate_limit, g.token_limit AS group_token_limit,
           g.rate_window_seconds AS group_rate_window_s, g.token_budget AS group_token_budget,
           coalesce(g.budget_period, 'month') AS group_budget_period,
           extract(epoch FROM k.expires_at)::float8 AS expires_at,
           k.revoked_at IS NOT NULL AS revoked
    FROM llama_users u {} llama_api_keys k ON k.user_id = u.id
    LEFT JOIN llama_groups g ON g.id = u.group_id
    WHERE {}
"""

_GROUP_COLUMNS = ("rate_limit", "rate_window_s", "token_limit", "token_budget", "budget_period")

Row = dict[str, Any]
"""The fields of a `Principal`, and `hash`."""


async def read_keys(
    connection: psycopg.AsyncConnection, public_ids: list[str], *, timeout_s: float
) -> dict[str, Row]:
    """The rows of those keys that exist, by public id.

    Raises:
        psycopg.Error: the database refuses, or takes longer than `timeout_s`.
    """
    with deadline(connection, timeout_s):
        async with connection.cursor(row_factory=dict_row) as cursor:
            # Not prepared: a pooler in transaction mode may send the next one elsewhere.
            query = _SELECT.format("JOIN", "k.public_id = ANY(%s)")
            await cursor.execute(query, [public_ids], prepare=False)
            return {row["public_id"]: _with_group(row) for row in await cursor.fetchall()}


async def read_owner(connection: psycopg.AsyncConnection, user_id: int, key_id: int) -> Principal | None:
    """The user who has created something with a key, which may have been replaced since.

    Raises:
        psycopg.Error: the database refuses.
    """
    query = _SELECT.format("JOIN", "u.id = %s ORDER BY k.id = %s DESC LIMIT 1")
    return await _read_user(connection, query, [user_id, key_id])


async def read_user(connection: psycopg.AsyncConnection, username: str) -> Principal | None:
    """A user, for what concerns all keys together; a user without any too.

    Raises:
        psycopg.Error: the database refuses.
    """
    return await _read_user(
        connection, _SELECT.format("LEFT JOIN", "u.username = %s LIMIT 1"), [username]
    )


async def _read_user(
    connection: psycopg.AsyncConnection, query: LiteralString, values: list[Any]
) -> Principal | None:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query, values, prepare=False)
        row = await cursor.fetchone()
    if row is None:
        return None
    del row["hash"]
    key = {"public_id": row["public_id"] or "", "key_id": row["key_id"] or 0}
    return Principal(**{**_with_group(row), **key, "revoked": False, "expires_at": None})


def _with_group(row: Row) -> Row:
    """Put the columns of the user's group into one field."""
    group_id, name = row.pop("group_id"), row.pop("name")
    limits = {limit: row.pop(f"group_{limit}") for limit in _GROUP_COLUMNS}
    row["group"] = None if group_id is None else Membership(group_id=group_id, name=name, **limits)
    return row


class KeyLookup:
    """Looks up one key for each caller. What waits is bounded by the proxy's connections."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool
        self._wanted: dict[str, asyncio.Future[Row | None]] = {}
        """Public ids that the next query asks for."""
        self._task: asyncio.Task[None] | None = None

    async def find(self, public_id: str) -> Row | None:
        """The key's row, read after this call began; None where there is none.

        Raises:
            DATABASE_ERRORS: the database is out of reach or too slow.
        """
        found = self._wanted.get(public_id)
        if found is None:
            self._wanted[public_id] = found = asyncio.get_running_loop().create_future()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await asyncio.shield(found)

    async def _run(self) -> None:
        while self._wanted:
            batch = {public_id: self._wanted[public_id] for public_id in list(self._wanted)[:MAX_BATCH]}
            for public_id in batch:
                del self._wanted[public_id]
            try:
                async with self._pool.connection(timeout=QUERY_TIMEOUT_S) as connection:
                    rows = await read_keys(connection, list(batch), timeout_s=QUERY_TIMEOUT_S)
            except DATABASE_ERRORS as error:
                for future in batch.values():
                    future.set_exception(error)
                    future.exception()  # those who asked may all have left
                continue
            except BaseException:
                for future in batch.values():
                    future.cancel()
                raise
            for public_id, future in batch.items():
                future.set_result(rows.get(public_id))
