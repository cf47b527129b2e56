"""Every change of a user or key leaves a row in the audit, whoever makes it and however."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from proxy.database import audit
from proxy.database.pool import connect
from proxy.identity import users

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    with connect(database_url, application="tests") as connection:
        yield connection


def changes(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    """What was done to whom, the values before and after."""
    found = audit.changes(connection, since=LONG_AGO)
    return [(one.action, one.username, one.public_id, one.old, one.new) for one in found]


def test_each_action_is_told_with_its_values(connection: psycopg.Connection) -> None:
    """In order, with what was and what is; several limits that are set together are one change."""
    first = users.create_user(connection, username="alice").public_id
    users.set_limits(connection, "alice", rate_limit=5, rate_window_seconds=1.5)
    users.set_limits(connection, "alice", rate_limit=None, weight=2)
    users.set_active(connection, "alice", active=False)
    users.set_active(connection, "alice", active=False)
    second = users.rotate_key(connection, "alice", expires_at=datetime(2040, 1, 1, tzinfo=UTC)).public_id
    users.delete_user(connection, "alice")
    found_text = changes(connection)
    revoked_at = found_text[5][4]["revoked_at"]
    expiry = {"expires_at": "2040-01-01T00:00:00+00:00"}
    assert found_text == [
        ("create user", "alice", None, {}, {"is_active": True, "is_admin": False, "weight": 1}),
        ("create key", "alice", first, {}, {}),
        (
            "change user", "alice", None,
            {"rate_limit": None, "rate_window_seconds": None},
            {"rate_limit": 5, "rate_window_seconds": 1.5},
        ),
        (
            "change user", "alice", None,
            {"rate_limit": 5, "weight": 1}, {"rate_limit": None, "weight": 2},
        ),
        ("change user", "alice", None, {"is_active": True}, {"is_active": False}),
        ("change key", "alice", first, {"revoked_at": None}, {"revoked_at": revoked_at}),
        ("create key", "alice", second, {}, expiry),
        (
            "delete user", "alice", None,
            {"is_active": False, "is_admin": False, "weight": 2, "rate_window_seconds": 1.5}, {},
        ),
        ("delete key", "alice", first, {"revoked_at": revoked_at}, {}),
        ("delete key", "alice", second, expiry, {}),
    ]  # fmt: skip


def test_direct_sql_is_told_and_never_a_hash(connection: psycopg.Connection) -> None:
    """By whom, too; that a hash became another is told, and neither is shown."""
    issued = users.create_user(connection, username="alice")
    with psycopg.connect(connection.info.dsn, password=connection.info.password) as other:
        other.execute(
            "SET application_name = 'psql'; SET search_path = pg_catalog; SET timezone = 'Asia/Tokyo'"
        )
        other.execute("UPDATE public.llama_api_keys SET hash = 'stolen', label = 'x'")
    (change,) = audit.changes(connection, since=LONG_AGO)[2:]
    assert (change.database_role, change.application, change.client_address) == (
        "llamaserve",
        "psql",
        None,
    )
    assert change.new == {"hash": "not shown", "label": "x"}
    assert change.old == {"hash": "not shown", "label": ""}
    rows = connection.execute("SELECT a::text FROM llama_audit a").fetchall()
    assert not [row for row in rows if "pbkdf2" in row[0] or "stolen" in row[0] or issued.key in row[0]]


def test_what_the_proxy_writes_is_not_told(connection: psycopg.Connection) -> None:
    """When a key was last used."""
    users.create_user(connection, username="alice")
    before = changes(connection)
    connection.execute("UPDATE llama_api_keys SET last_used_at = now()")
    assert changes(connection) == before


def test_a_transaction_that_is_rolled_back_leaves_nothing(connection: psycopg.Connection) -> None:
    """Nothing was changed."""
    with connection.transaction(force_rollback=True):
        users.create_user(connection, username="alice")
    assert changes(connection) == []


def test_an_emptied_table_is_told(connection: psycopg.Connection) -> None:
    """Each that goes with it."""
    connection.execute("TRUNCATE llama_users CASCADE")
    actions = {change.action for change in audit.changes(connection, since=LONG_AGO)}
    assert actions == {f"truncate llama_{table}" for table in ("users", "api_keys", "invitations")}


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM llama_audit", "TRUNCATE llama_audit", "UPDATE llama_audit SET username = 'bob'"],
)
def test_it_cannot_be_changed_by_accident(connection: psycopg.Connection, statement: str) -> None:
    """The refusal says how whoever means it can."""
    users.create_user(connection, username="alice")
    before = changes(connection)
    with pytest.raises(psycopg.errors.RaiseException, match="llama_audit is only added to") as refused:
        connection.execute(statement.encode())
    assert "DISABLE TRIGGER llama_audit_is_kept" in str(refused.value.diag.message_hint)
    assert changes(connection) == before
    connection.execute("ALTER TABLE llama_audit DISABLE TRIGGER llama_audit_is_kept")
    connection.execute(statement.encode())
    assert changes(connection) != before


def test_only_what_is_asked_for(connection: psycopg.Connection) -> None:
    """Of one user, and since a time."""
    for name in ("alice", "bob"):
        users.create_user(connection, username=name)
    found_text = audit.changes(connection, since=LONG_AGO, user="bob")
    assert {change.username for change in found_text} == {"bob"}
    assert len(found_text) == 2
    assert audit.changes(connection, since=found_text[1].at) == found_text[1:]
    assert audit.changes(connection, since=datetime.now(UTC) + timedelta(days=1)) == []
