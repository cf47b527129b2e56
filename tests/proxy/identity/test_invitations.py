"""Invitations in a real database."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from proxy.database import audit
from proxy.database.pool import connect
from proxy.identity import invitations, keys, users
from proxy.identity.user_errors import InvitationNotFound, InvitationRefused, UserNotFound

IN_2040 = datetime(2040, 1, 1, tzinfo=UTC)


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    with connect(database_url, application="tests") as connection:
        yield connection


def test_its_code_makes_the_key_of_a_new_user_once(connection: psycopg.Connection) -> None:
    """The user has no key before; the key expires as the invitation says; a second use is refused."""
    made = invitations.invite(connection, username="alice", key_expires_at=IN_2040, rate_limit=5)
    assert made.is_new_user
    assert made.code not in repr(made)
    user = users.get_user(connection, "alice")
    assert (user.keys, user.rate_limit) == ((), 5)
    username, issued = invitations.redeem(connection, made.code)
    (key,) = users.get_user(connection, "alice").keys
    assert (username, key.public_id, key.expires_at) == ("alice", issued.public_id, IN_2040)
    assert keys.public_id_of(issued.key) == issued.public_id
    with pytest.raises(InvitationRefused, match="has been used"):
        invitations.redeem(connection, made.code)
    assert len(users.get_user(connection, "alice").keys) == 1


def test_a_user_that_there_is_keeps_all_keys(connection: psycopg.Connection) -> None:
    """And the limits that the invitation does not name."""
    first = users.create_user(connection, username="alice", rate_limit=7, weight=2).public_id
    made = invitations.invite(connection, username="alice", weight=3)
    assert not made.is_new_user
    _, issued = invitations.redeem(connection, made.code)
    user = users.get_user(connection, "alice")
    assert [(key.public_id, key.state) for key in user.keys] == [
        (first, "active"),
        (issued.public_id, "active"),
    ]
    assert (user.rate_limit, user.weight) == (7, 3)


def test_of_many_uses_at_once_one_succeeds(connection: psycopg.Connection, database_url: str) -> None:
    """The others are refused, and no second key is made."""
    code = invitations.invite(connection, username="alice").code

    def use(_: int) -> bool:
        with connect(database_url, application="tests") as own:
            try:
                invitations.redeem(own, code)
            except InvitationRefused:
                return False
            return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(use, range(8))) == 1
    assert len(users.get_user(connection, "alice").keys) == 1


def test_neither_code_nor_hash_can_be_read(connection: psycopg.Connection) -> None:
    """Not in the table, not in the audit, which has what was done."""
    made = invitations.invite(connection, username="alice")
    invitations.redeem(connection, made.code)
    (row,) = connection.execute(
        "SELECT i::text, encode(hash, 'hex') FROM llama_invitations i"
    ).fetchall()
    rows = connection.execute("SELECT a::text FROM llama_audit a").fetchall()
    assert made.code not in row[0]
    assert not [text for (text,) in rows if made.code in text or row[1] in text]
    users.delete_user(connection, "alice")
    found = audit.changes(connection, since=datetime(2020, 1, 1, tzinfo=UTC))
    assert [(one.action, one.username) for one in found] == [
        ("create user", "alice"),
        ("create invitation", "alice"),
        ("change invitation", "alice"),
        ("create key", "alice"),
        ("delete user", "alice"),
        ("delete key", "alice"),
        ("delete invitation", "alice"),
    ]


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        ("UPDATE llama_invitations SET expires_at = now()", "has expired"),
        ("UPDATE llama_users SET is_active = false", "is deactivated"),
        ("DELETE FROM llama_users", "no such invitation"),
    ],
)
def test_what_is_not_open_is_refused(connection: psycopg.Connection, spoil: str, match: str) -> None:
    """With the reason; no key is made."""
    code = invitations.invite(connection, username="alice").code
    assert invitations.find(connection, code).username == "alice"
    connection.execute(spoil.encode())
    for use in (invitations.find, invitations.redeem):
        with pytest.raises(InvitationRefused, match=match):
            use(connection, code)
    assert connection.execute("SELECT FROM llama_api_keys").fetchall() == []


@pytest.mark.parametrize("code", ["", "lsi_", "lsi_" + "x" * 43, "x" * 10_000, "lsi_\0" + "x" * 42])
def test_other_codes_are_refused(connection: psycopg.Connection, code: str) -> None:
    """Whatever they are."""
    invitations.invite(connection, username="alice")
    with pytest.raises(InvitationRefused, match="no such invitation"):
        invitations.redeem(connection, code)


def test_a_new_one_and_a_withdrawal_make_it_void(connection: psycopg.Connection) -> None:
    """A user has one at most; what is not open cannot be withdrawn."""
    first = invitations.invite(connection, username="alice").code
    second = invitations.invite(connection, username="alice", life_s=60).code
    with pytest.raises(InvitationRefused):
        invitations.redeem(connection, first)
    found = invitations.list_invitations(connection)["alice"]
    assert found.is_open
    assert found.expires_at - found.created_at == timedelta(seconds=60)
    invitations.withdraw(connection, "alice")
    with pytest.raises(InvitationRefused):
        invitations.redeem(connection, second)
    assert invitations.list_invitations(connection) == {}
    with pytest.raises(InvitationNotFound):
        invitations.withdraw(connection, "alice")
    with pytest.raises(UserNotFound):
        invitations.withdraw(connection, "bob")


def test_a_key_that_would_expire_before_is_refused(connection: psycopg.Connection) -> None:
    """Nothing is left of it, not even the user."""
    with pytest.raises(InvitationRefused, match="expire before"):
        invitations.invite(
            connection, username="alice", key_expires_at=datetime.now(UTC) + timedelta(days=1)
        )
    assert users.list_users(connection) == []
