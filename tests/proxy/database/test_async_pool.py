"""The pool of the event loop loses neither connections nor cancellations."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from proxy.database.async_pool import open_pool


@pytest.mark.parametrize("turns", range(16))
async def test_a_cancelled_wait_for_a_connection_ends(database_url: str, turns: int) -> None:
    """However close a cancellation is to the connection that it waits for; the connection goes back."""
    async with AsyncExitStack() as stack:
        pool = await open_pool(stack, database_url, size=1)

        async def use() -> None:
            async with pool.connection() as connection:
                await connection.execute("SELECT 1")
            await asyncio.Event().wait()

        connection = await pool.getconn()
        task = asyncio.create_task(use())
        while not pool.get_stats().get("requests_waiting"):  # noqa: ASYNC110
            await asyncio.sleep(0)
        await pool.putconn(connection)
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        _, pending = await asyncio.wait({task}, timeout=10)
        assert not pending
        assert task.cancelled()
        await pool.putconn(await pool.getconn(timeout=5))
