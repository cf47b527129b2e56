"""Calls of the database's functions for windows and budgets that several proxies share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, LiteralString

from psycopg_pool import AsyncConnectionPool

from proxy.database.pool import deadline
from proxy.database.schema import DATABASE_ERRORS

logger = logging.getLogger(__name__)

QUERY_TIMEOUT_S = 3.0
TRIES, RETRY_S = 5, 1.0
"""Repetitions of changes that no request waits for."""


async def fetch(
    pool: AsyncConnectionPool, statement: LiteralString, values: Sequence[object]
) -> Sequence[Any]:
    """The one row of a query.

    Raises:
        one of `DATABASE_ERRORS`: the database is out of reach, or took longer than QUERY_TIMEOUT_S.
    """
    async with pool.connection(timeout=QUERY_TIMEOUT_S) as connection:
        with deadline(connection, QUERY_TIMEOUT_S):
            cursor = await connection.execute(statement, values)
            row = await cursor.fetchone()
    assert row is not None
    return row


async def carry_out(
    pool: AsyncConnectionPool, statement: LiteralString, values: Sequence[object]
) -> None:
    """Call a function that may be repeated: it is carried out once."""
    for tries_left in reversed(range(TRIES)):
        try:
            await fetch(pool, statement, values)
        except DATABASE_ERRORS as error:
            if not tries_left:
                logger.error("a user's window in the database is not up to date: %s", error)
                return
            await asyncio.sleep(RETRY_S)
        else:
            return
