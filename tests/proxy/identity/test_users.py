"""Users and keys in a real database."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import psycopg
import pytest

from proxy.database.pool import connect
from proxy.identity import keys, user_errors, users


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    with connect(database_url, application="tests") as connection:
        yield connection


def states(connection: psycopg.Connection, username: str = "alice") -> list[str]:
    return [key.state for key in users.get_user(connection, username).keys]


def hash_of(connection: psycopg.Connection, public_id: str) -> str:
    row = connection.execute(
        "SELECT hash FROM llama_api_keys WHERE public_id = %s", [public_id]
    ).fetchone()
    assert row
    return str(row[0])


def test_a_new_user_has_one_key_whose_hash_is_stored(connection: psycopg.Connection) -> None:
    """Limits and expiry as given; what is stored verifies the key and nothing else shows it."""
    until = datetime(2040, 1, 31, tzinfo=UTC)
    issued = users.create_user(
        connection, username="alice", rate_limit=10**9, rate_window_seconds=0.5, expires_at=until
    )
    assert keys.verify_key(issued.key, hash_of(connection, issued.public_id))
    assert issued.key not in repr(issued)
    user = users.get_user(connection, "alice")
    assert (user.is_active, user.rate_limit, user.rate_window_seconds) == (True, 10**9, 0.5)
    (key,) = user.keys
    assert (key.public_id, key.state, key.expires_at) == (issued.public_id, "active", until)
    assert (key.revoked_at, key.last_used_at) == (None, None)


@pytest.mark.parametrize("username", ["a", "7", "Alice", "a.b_c-d@example.org", "x" * 64])
def test_usernames_that_are_accepted(connection: psycopg.Connection, username: str) -> None:
    """1 to 64 characters; capitals count."""
    users.create_user(connection, username=username)
    assert [user.username for user in users.list_users(connection)] == [username]
    with pytest.raises(user_errors.UserNotFound):
        users.get_user(connection, username.swapcase() if username != "7" else "8")


@pytest.mark.parametrize(
    "username", ["", "x" * 65, "-a", ".a", "a b", "a\n", "é", "a'b", "a\0b", "\udcff", "a/b", "٣"]
)
def test_usernames_that_are_refused(connection: psycopg.Connection, username: str) -> None:
    """Wherever a username is taken, with the rule in one line."""
    for act in (
        lambda: users.create_user(connection, username=username),
        lambda: users.get_user(connection, username),
        lambda: users.rotate_key(connection, username),
    ):
        with pytest.raises(user_errors.InvalidUsername, match="use 1 to 64 of A-Z a-z 0-9") as caught:
            act()
        assert len(str(caught.value).splitlines()) == 1
    assert users.list_users(connection) == []


def test_a_username_is_given_once(database_url: str) -> None:
    """Of several at once one gets it; the others are told, and leave nothing."""
    together = Barrier(5)

    def create(_: int) -> str:
        with connect(database_url, application="tests") as connection:
            together.wait(30)
            try:
                return users.create_user(connection, username="alice").public_id
            except user_errors.UserExists as error:
                return str(error)

    with ThreadPoolExecutor(5) as pool:
        results = set(pool.map(create, range(5)))
    with connect(database_url, application="tests") as connection:
        (user,) = users.list_users(connection)
    expected = "there is a user alice already: rotate-key gives that user a new key"
    assert results == {expected, user.keys[0].public_id}


def test_nobody_s_actions_are_refused(connection: psycopg.Connection) -> None:
    """Each action on a user that is not there raises UserNotFound, which says where to look."""
    for act in (
        lambda: users.get_user(connection, "bob"),
        lambda: users.rotate_key(connection, "bob"),
        lambda: users.set_active(connection, "bob", active=True),
        lambda: users.delete_user(connection, "bob"),
        lambda: users.set_limits(connection, "bob", rate_limit=1),
        lambda: users.revoke_key(connection, "bob", "x"),
    ):
        with pytest.raises(user_errors.UserNotFound, match="no user bob: list-users shows"):
            act()


def test_rotation_revokes_every_active_key_at_once(connection: psycopg.Connection) -> None:
    """Without a grace; expired and revoked ones are left as they are."""
    first = users.create_user(connection, username="alice")
    second = users.rotate_key(connection, "alice", grace_s=60)
    third = users.rotate_key(connection, "alice")
    assert second.replaced == (first.public_id,)
    assert third.replaced == (first.public_id, second.public_id)
    assert states(connection) == ["revoked", "revoked", "active"]
    before = users.get_user(connection, "alice").keys[:2]
    assert users.rotate_key(connection, "alice").replaced == (third.public_id,)
    assert users.get_user(connection, "alice").keys[:2] == before


def test_a_grace_never_lengthens_a_key_s_life(connection: psycopg.Connection) -> None:
    """The old key ends after the grace, or when it would have, whichever comes first."""
    now = datetime.now(UTC)
    soon = now + timedelta(minutes=5)
    for username, own, grace_s, end in (
        ("unlimited", None, 3600, now + timedelta(hours=1)),
        ("later", now + timedelta(days=1), 3600, now + timedelta(hours=1)),
        ("sooner", soon, 3600, soon),
    ):
        users.create_user(connection, username=username, expires_at=own)
        users.rotate_key(connection, username, grace_s=grace_s)
        old, new = users.get_user(connection, username).keys
        assert (old.state, new.state) == ("active", "active")
        assert old.expires_at
        assert abs(old.expires_at - end) < timedelta(seconds=30)


def test_a_new_key_ends_with_the_newest_it_replaces(connection: psycopg.Connection) -> None:
    """So that rotation does not lengthen a limited user's time, unless that is asked for."""
    end = datetime(2040, 1, 31, tzinfo=UTC)
    users.create_user(connection, username="alice", expires_at=end)
    assert users.rotate_key(connection, "alice", grace_s=60).expires_at == end
    assert users.rotate_key(connection, "alice").expires_at == end
    assert users.rotate_key(connection, "alice", expires_at=None).expires_at is None
    assert users.get_user(connection, "alice").keys[-1].expires_at is None


def test_a_user_whose_keys_are_all_over_gets_a_new_one(connection: psycopg.Connection) -> None:
    """It replaces none and does not end."""
    users.create_user(connection, username="alice", expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    assert states(connection) == ["expired"]
    issued = users.rotate_key(connection, "alice", grace_s=60)
    assert (issued.replaced, issued.expires_at) == ((), None)
    assert states(connection) == ["expired", "active"]


def test_one_key_can_be_replaced_alone(connection: psycopg.Connection) -> None:
    """By its public id; one that is no longer active, or another's, cannot."""
    first = users.create_user(connection, username="alice").public_id
    users.rotate_key(connection, "alice", grace_s=60)
    issued = users.rotate_key(connection, "alice", public_id=first)
    assert issued.replaced == (first,)
    assert states(connection) == ["revoked", "active", "active"]
    other = users.create_user(connection, username="bob").public_id
    for public_id in (first, other, ""):
        with pytest.raises(user_errors.KeyNotFound, match="show-user shows"):
            users.rotate_key(connection, "alice", public_id=public_id)
    assert states(connection) == ["revoked", "active", "active"]


def test_rotations_at_once_leave_one_active_key(database_url: str) -> None:
    """Each sees what the one before it made."""
    with connect(database_url, application="tests") as connection:
        users.create_user(connection, username="alice")
    together = Barrier(4)

    def rotate(_: int) -> str:
        with connect(database_url, application="tests") as connection:
            together.wait(30)
            return users.rotate_key(connection, "alice").public_id

    with ThreadPoolExecutor(4) as pool:
        made = set(pool.map(rotate, range(4)))
    with connect(database_url, application="tests") as connection:
        active = [k for k in users.get_user(connection, "alice").keys if k.state == "active"]
    assert len(active) == 1
    assert active[0].public_id in made


def test_limits_are_set_singly_and_go_back_to_the_default(connection: psycopg.Connection) -> None:
    """What is not named stays."""
    users.create_user(connection, username="alice", rate_limit=5)

    def limits() -> tuple[int | None, float | None]:
        user = users.get_user(connection, "alice")
        return user.rate_limit, user.rate_window_seconds

    users.set_limits(connection, "alice", rate_window_seconds=0.25)
    assert limits() == (5, 0.25)
    users.set_limits(connection, "alice", rate_limit=2**53)
    assert limits() == (2**53, 0.25)
    users.set_limits(connection, "alice", rate_limit=None, rate_window_seconds=None)
    assert limits() == (None, None)


def test_a_revoked_key_keeps_the_date_of_its_end(connection: psycopg.Connection) -> None:
    """Revoking twice is no error; another user's key is out of reach."""
    public_id = users.create_user(connection, username="alice").public_id
    users.create_user(connection, username="bob")
    with pytest.raises(user_errors.KeyNotFound):
        users.revoke_key(connection, "bob", public_id)
    assert states(connection) == ["active"]
    users.revoke_key(connection, "alice", public_id)
    before = users.get_user(connection, "alice")
    users.revoke_key(connection, "alice", public_id)
    assert users.get_user(connection, "alice") == before
    assert states(connection) == ["revoked"]


def test_a_deleted_user_s_records_stay(connection: psycopg.Connection) -> None:
    """User and keys go; the name is free again, for a user who is another."""
    users.create_user(connection, username="alice")
    connection.execute(
        "INSERT INTO llama_requests (id, created_at, username, user_id, method, path, admitted)"
        " SELECT gen_random_uuid(), now(), username, id, 'GET', '/v1/models', true FROM llama_users"
    )
    users.delete_user(connection, "alice")
    assert users.list_users(connection) == []
    assert connection.execute("SELECT count(*) FROM llama_api_keys").fetchone() == (0,)
    users.create_user(connection, username="alice")
    counted = connection.execute(
        "SELECT count(*) FROM llama_requests r JOIN llama_users u USING (username) WHERE u.id != user_id"
    )
    assert counted.fetchone() == (1,)


ACTIONS: dict[str, Any] = {
    "rotate": lambda c, key: users.rotate_key(c, "alice"),
    "rotate with a grace": lambda c, key: users.rotate_key(c, "alice", grace_s=60),
    "revoke": lambda c, key: users.revoke_key(c, "alice", key),
    "deactivate": lambda c, key: users.set_active(c, "alice", active=False),
    "limits": lambda c, key: users.set_limits(c, "alice", rate_limit=1),
    "delete": lambda c, key: users.delete_user(c, "alice"),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_running_proxies_are_told(
    connection: psycopg.Connection, database_url: str, action: str
) -> None:
    """Every change of a user or a key is a notification with the user's id, once it is committed."""
    public_id = users.create_user(connection, username="alice").public_id
    row = connection.execute("SELECT id FROM llama_users").fetchone()
    assert row
    with connect(database_url, application="tests") as listener:
        listener.execute("LISTEN llama_user_changed")
        ACTIONS[action](connection, public_id)
        (notice,) = {n.payload for n in listener.notifies(timeout=10, stop_after=1)}
    assert notice == str(row[0])
