"""What pages ask of the database: one user's questions leave room for those of others."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from psycopg import Connection

from proxy.dashboard.data.database import MAX_WAITING_PER_USER, Database
from proxy.dashboard.data.errors import Unavailable
from tests.support.wait import until


def slow(connection: Connection) -> int:
    connection.execute("SELECT pg_advisory_xact_lock(7)")
    return 1


def quick(connection: Connection) -> int:
    connection.execute("SELECT")
    return 2


async def test_many_slow_questions_of_one_user(database_url: str) -> None:
    """Others are answered meanwhile; too many are refused; a page that is gone makes no room."""
    database = Database(database_url)
    with psycopg.connect(database_url) as lock:
        lock.execute("SELECT pg_advisory_lock(7)")
        asked = [asyncio.create_task(database.run("mallory", slow)) for _ in range(MAX_WAITING_PER_USER)]
        asked.append(asyncio.create_task(database.run("mallory", slow)))
        with pytest.raises(Unavailable):
            await asked.pop()
        gone = asked[:6]
        for one in gone:
            one.cancel()
        async with asyncio.timeout(10):
            assert await database.run("alice", quick) == 2
        with pytest.raises(Unavailable):
            await database.run("mallory", slow)
        lock.execute("SELECT pg_advisory_unlock(7)")
        assert await asyncio.gather(*asked[6:]) == [1] * (MAX_WAITING_PER_USER - 6)
    await until(lambda: not database._waiting, "nothing to be under way")
    assert not database._turns
    assert await database.run("mallory", quick) == 2
    database.close()
