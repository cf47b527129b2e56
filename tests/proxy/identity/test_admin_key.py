"""The administrator whose key is in the configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from proxy.database.pool import connect
from proxy.identity import admin_key, keys, users
from proxy.identity.admin_key import AdminKeyError, register
from proxy.identity.users import User


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    """The database, without users."""
    with connect(database_url, application="tests") as connection:
        yield connection


def admin(connection: psycopg.Connection) -> User:
    return users.get_user(connection, admin_key.USERNAME)


def test_the_key_becomes_that_of_an_administrator(connection: psycopg.Connection) -> None:
    """Once: a second start changes nothing. Only a hash is stored."""
    key = keys.create_key().key
    assert register(connection, key)
    assert not register(connection, key)
    user = admin(connection)
    assert user.is_admin
    assert [one.public_id for one in user.keys] == [keys.public_id_of(key)]
    (hash_,) = connection.execute("SELECT hash FROM llama_api_keys").fetchone()  # type: ignore[misc]
    assert keys.verify_key(key, hash_)
    assert key not in hash_


def test_a_new_key_in_the_configuration_replaces_the_old_one(connection: psycopg.Connection) -> None:
    """Keys that the administrator was given otherwise stay."""
    register(connection, keys.create_key().key)
    other = users.rotate_key(connection, admin_key.USERNAME, grace_s=3600).public_id
    register(connection, keys.create_key().key)
    states = {one.public_id: one.state for one in admin(connection).keys}
    assert list(states.values()) == ["revoked", "active", "active"]
    assert states[other] == "active"


def test_what_was_taken_from_the_administrator_stays_taken(connection: psycopg.Connection) -> None:
    """A revoked key, and the right, are not given back by the next start."""
    key = keys.create_key().key
    register(connection, key)
    users.revoke_key(connection, admin_key.USERNAME, keys.public_id_of(key) or "")
    users.set_admin(connection, admin_key.USERNAME, admin=False)
    assert not register(connection, key)
    assert not admin(connection).is_admin
    assert admin(connection).keys[0].state == "revoked"


def test_nobody_becomes_an_administrator_by_a_name_or_a_key(
    connection: psycopg.Connection, create_user: Callable[..., str]
) -> None:
    """A user who happened to be called admin, and the owner of a key that is put into the file."""
    alice = create_user("alice")
    with pytest.raises(AdminKeyError, match="another user"):
        register(connection, alice)
    create_user(admin_key.USERNAME)
    with pytest.raises(AdminKeyError, match="there is a user admin already"):
        register(connection, keys.create_key().key)
    with pytest.raises(AdminKeyError, match="mistyped"):
        register(connection, "lsk_" + 50 * "a")
    assert not any(user.is_admin for user in users.list_users(connection))
