"""The proxy serves and records through a pooler in transaction mode."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from proxy.database.pool import connect
from proxy.identity import users
from proxy.records.retention import Retention
from tests.support.pooler import PROGRAM, Pooler
from tests.support.proxy import RunningProxy, running_proxy, settings_for
from tests.support.upstream import FakeUpstream

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")
TIMEOUTS = ("lock_timeout", "statement_timeout")


async def status_of(proxy: RunningProxy, key: str) -> int:
    async with proxy.chat(key) as response:
        await response.read()
        return int(response.status)


@pytest.mark.parametrize("shared", [False, True])
async def test_every_user_is_served_and_recorded(
    database_url: str,
    upstream: FakeUpstream,
    directory: Path,
    caplog: pytest.LogCaptureFixture,
    shared: bool,
) -> None:
    """The driver prepares a statement that it runs often; the next run may reach another connection."""
    caplog.set_level(logging.WARNING)
    with connect(database_url, application="tests") as connection:
        user_keys = [users.create_user(connection, username=f"user{n}").key for n in range(24)]
    with Pooler(database_url) as pooler:
        settings = settings_for(
            database_url=pooler.url, backend_url=upstream.url, directory=directory, shared=shared
        )
        async with running_proxy(settings) as proxy:
            assert [await status_of(proxy, key) for key in user_keys] == [200] * len(user_keys)
            rows = await proxy.rows(len(user_keys))
    assert {row["username"] for row in rows} == {f"user{n}" for n in range(24)}
    assert "prepared statement" not in caplog.text


async def test_retention_leaves_nothing_behind_in_a_pooled_connection(
    database_url: str, upstream: FakeUpstream, directory: Path
) -> None:
    """Its lock and its timeouts end with each batch: whoever gets the connection next has none."""
    with Pooler(database_url) as pooler:
        settings = settings_for(
            database_url=pooler.url,
            backend_url=upstream.url,
            directory=directory,
            retention_s=86_400.0,
        )
        assert await Retention(settings).prune() == 0
        with (
            connect(pooler.url, application="tests") as connection,
            connect(database_url, application="tests") as direct,
        ):
            timeouts = [connection.execute(f"SHOW {name}").fetchone() for name in TIMEOUTS]
            locks = direct.execute(
                "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database"
                " WHERE locktype = 'advisory' AND datname = current_database()"
            ).fetchone()
        assert (timeouts, locks) == ([("0",), ("0",)], (0,))


def test_the_user_command_works_through_it(database_url: str) -> None:
    """Also where one connection runs the same statement many times."""
    with (
        Pooler(database_url) as pooler,
        connect(pooler.url, application="tests") as one,
        connect(pooler.url, application="tests") as other,
    ):
        for number in range(12):
            users.create_user(one, username=f"one{number}")
            users.create_user(other, username=f"other{number}")
        assert len(users.list_users(other)) == 24
