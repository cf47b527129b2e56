"""The proxy serves and records through a pooler in transaction mode."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.database import schema
from proxy.database.pool import connect
from proxy.identity import users
from proxy.records.retention import Retention
from tests.support.pgbouncer import PgBouncer, needs_pgbouncer
from tests.support.postgres import TcpPostgres
from tests.support.proxy import RunningProxy, running_proxy, settings_for
from tests.support.upstream import FakeUpstream

pytestmark = needs_pgbouncer
TIMEOUTS = ("lock_timeout", "statement_timeout")


@pytest.fixture
def server() -> Iterator[TcpPostgres]:
    """A PostgreSQL on TCP whose database has the schema."""
    with TcpPostgres(user="llama", password="secret", database="llama") as server:
        with connect(direct_url(server), application="tests") as connection:
            schema.migrate(connection)
        yield server


def direct_url(server: TcpPostgres) -> str:
    return f"postgresql://llama:secret@127.0.0.1:{server.port}/llama"


async def status_of(proxy: RunningProxy, key: str) -> int:
    async with proxy.chat(key) as response:
        await response.read()
        return int(response.status)


@pytest.mark.parametrize("shared", [False, True])
async def test_every_user_is_served_and_recorded(
    server: TcpPostgres,
    upstream: FakeUpstream,
    directory: Path,
    caplog: pytest.LogCaptureFixture,
    shared: bool,
) -> None:
    """The driver prepares a statement that it runs often; the next run may reach another connection."""
    caplog.set_level(logging.WARNING)
    with connect(direct_url(server), application="tests") as connection:
        user_keys = [users.create_user(connection, username=f"user{n}").key for n in range(24)]
    with PgBouncer(server, mode="transaction") as pooler:
        settings = settings_for(
            database_url=pooler.url, backend_url=upstream.url, directory=directory, shared=shared
        )
        async with running_proxy(settings) as proxy:
            assert [await status_of(proxy, key) for key in user_keys] == [200] * len(user_keys)
            rows = await proxy.rows(len(user_keys))
    assert {row["username"] for row in rows} == {f"user{n}" for n in range(24)}
    assert "prepared statement" not in caplog.text


async def test_retention_leaves_nothing_behind_in_a_pooled_connection(
    server: TcpPostgres, upstream: FakeUpstream, directory: Path
) -> None:
    """Its lock and its timeouts end with each batch: whoever gets the connection next has none."""
    with PgBouncer(server, mode="transaction") as pooler:
        settings = settings_for(
            database_url=pooler.url,
            backend_url=upstream.url,
            directory=directory,
            retention_s=86_400.0,
        )
        assert await Retention(settings).prune() == 0
        with (
            connect(pooler.url, application="tests") as connection,
            connect(direct_url(server), application="tests") as direct,
        ):
            timeouts = [connection.execute(f"SHOW {name}").fetchone() for name in TIMEOUTS]
            locks = direct.execute(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
            ).fetchone()
        assert (timeouts, locks) == ([("0",), ("0",)], (0,))


def test_the_user_command_works_through_it(server: TcpPostgres) -> None:
    """Also where one connection runs the same statement many times."""
    with (
        PgBouncer(server, mode="transaction") as pooler,
        connect(pooler.url, application="tests") as one,
        connect(pooler.url, application="tests") as other,
    ):
        for number in range(12):
            users.create_user(one, username=f"one{number}")
            users.create_user(other, username=f"other{number}")
        assert len(users.list_users(other)) == 24
