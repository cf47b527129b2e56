"""Pools of connections for the event loop."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from proxy.database.pool import PREPARE_THRESHOLD, deadline

POOL_TIMEOUT_S = 3.0
CONNECT_TIMEOUT_S = 3
CONNECTION_CHECK_TIMEOUT_S = 1.0
# Requests try again anyway; the pool's own back-off would double up to minutes.
RECONNECT_TIMEOUT_S = 1.0
CLOSE_TIMEOUT_S = 2.0


async def open_pool(
    stack: AsyncExitStack, url: str, *, size: int, application: str = "llamaserve-proxy"
) -> AsyncConnectionPool:
    """Open a pool of at most `size` connections, until the stack is left. Waits for no database."""
    pool = _Pool(
        url,
        min_size=1,
        max_size=size,
        timeout=POOL_TIMEOUT_S,
        reconnect_timeout=RECONNECT_TIMEOUT_S,
        # A restarted database leaves dead connections in the pool.
        check=_check,
        open=False,
        kwargs={
            "autocommit": True,
            "application_name": application,
            "connect_timeout": CONNECT_TIMEOUT_S,
            "prepare_threshold": PREPARE_THRESHOLD,
        },
    )
    await pool.open(wait=False)
    stack.push_async_callback(pool.close, timeout=CLOSE_TIMEOUT_S)
    return pool


class _Pool(AsyncConnectionPool):
    """A pool that loses no cancellation.

    It waits with `asyncio.wait_for`, which before Python 3.12 drops a cancellation that comes together
    with the connection (https://github.com/python/cpython/issues/86296): the task would go on.
    """

    async def getconn(self, timeout: float | None = None) -> AsyncConnection:  # noqa: ASYNC109
        task = asyncio.current_task()
        requests = task.cancelling() if task is not None else 0
        connection: AsyncConnection = await super().getconn(timeout)
        if task is not None and task.cancelling() > requests:
            await self.putconn(connection)
            raise asyncio.CancelledError
        return connection


async def _check(connection: AsyncConnection) -> None:
    with deadline(connection, CONNECTION_CHECK_TIMEOUT_S):
        await AsyncConnectionPool.check_connection(connection)
