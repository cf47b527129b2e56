"""What doctor learns about the database through `proxy.admin.appliance`: do its notifications arrive?"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.database import schema
from proxy.database.pool import connect
from runtime.config import load
from runtime.doctor import database
from runtime.doctor.findings import Finding, Installation
from tests.support.pgbouncer import PgBouncer, needs_pgbouncer
from tests.support.postgres import TcpPostgres


@pytest.fixture(scope="module")
def server() -> Iterator[TcpPostgres]:
    """A PostgreSQL on TCP whose database has the schema."""
    with TcpPostgres(user="llama", password="secret", database="llama") as server:
        url = f"postgresql://llama:secret@127.0.0.1:{server.port}/llama"
        with connect(url, application="tests") as connection:
            schema.migrate(connection)
        yield server


def findings(url: str, directory: Path) -> list[Finding]:
    """What doctor finds out about the database at this URL."""
    config = load(directory, {"LLAMA_SERVER_DATABASE_URL": url})
    return list(database.state(Installation(root=directory, config=config, venv=Path(sys.prefix))))


def test_notifications_arrive_on_a_direct_connection(server: TcpPostgres, directory: Path) -> None:
    """Doctor has nothing to say about them then."""
    url = f"postgresql://llama:secret@127.0.0.1:{server.port}/llama"
    assert [found.level for found in findings(url, directory)] == ["ok"] * 3


@needs_pgbouncer
def test_notifications_arrive_through_a_pooler_in_session_mode(
    server: TcpPostgres, directory: Path
) -> None:
    """Such a pooler is as good as a direct connection."""
    with PgBouncer(server, mode="session") as pooler:
        assert [found.level for found in findings(pooler.url, directory)] == ["ok"] * 3


@needs_pgbouncer
def test_a_pooler_that_loses_notifications_is_a_warning(server: TcpPostgres, directory: Path) -> None:
    """In transaction mode LISTEN has no effect: doctor says what that costs and what to configure."""
    with PgBouncer(server, mode="transaction") as pooler:
        found = findings(pooler.url, directory)
    assert [one.level for one in found] == ["ok", "ok", "ok", "warning"]
    assert "notifications do not arrive" in found[-1].text
    assert "LLAMA_SERVER_DATABASE_URL" in found[-1].remedy
    assert "secret" not in found[-1].text + found[-1].remedy
