"""Create, change and read users and their keys.

Each action is one transaction. Running proxies are notified by triggers in the database. Leaves the form
of keys to `keys.py`, and what a user has used to `records/reports.py`.

Every function that takes a username raises InvalidUsername when it is not a valid one, and UserNotFound
(except those that create a user) when no user has it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from itertools import groupby
from typing import Any, Final, LiteralString, Unpack

from psycopg import Connection
from psycopg.rows import dict_row

from proxy.identity import keys
from proxy.identity.limits import LIMITS, Period, UserLimits, set_limits_of
from proxy.identity.user_errors import InvalidUsername, KeyNotFound, UserExists, UserNotFound


@dataclass(frozen=True, kw_only=True)
class Key:
    """One of a user's keys. `state` is active, expired or revoked, by the database's clock."""

    public_id: str
    state: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class User:
    """A user with all keys, oldest first. A limit of None is the default."""

    username: str
    is_active: bool
    is_admin: bool
    rate_limit: int | None
    rate_window_seconds: float | None
    token_limit: int | None
    weight: float
    max_concurrent: int | None
    token_budget: int | None
    budget_period: Period | None
    batch_limit: int | None
    group: str | None
    """The name of the user's group."""
    created_at: datetime
    keys: tuple[Key, ...]


@dataclass(frozen=True, kw_only=True)
class IssuedKey:
    """A key just issued. `key` is shown once and stored nowhere."""

    key: str = field(repr=False)
    public_id: str
    expires_at: datetime | None
    replaced: tuple[str, ...] = ()
    """The public ids of the keys that it replaces."""


class _Unchanged(Enum):
    UNCHANGED = "unchanged"


UNCHANGED: Final = _Unchanged.UNCHANGED
"""The default of arguments for which None has a meaning."""


def create_user(
    connection: Connection,
    *,
    username: str,
    expires_at: datetime | None = None,
    **limits: Unpack[UserLimits],
) -> IssuedKey:
    """Create a user with one key, which expires at `expires_at`; None: never.

    Raises:
        UserExists: the name is taken.
    """
    with connection.transaction():
        user_id = _insert_user(connection, username, limits)
        return _issue_key(connection, user_id, expires_at=expires_at)


def create_user_without_key(
    connection: Connection, *, username: str, **limits: Unpack[UserLimits]
) -> None:
    """Create a user without a key.

    Raises:
        UserExists: the name is taken.
    """
    with connection.transaction():
        _insert_user(connection, username, limits)


def _insert_user(connection: Connection, username: str, limits: UserLimits) -> int:
    _check_username(username)
    row = connection.execute(
        "INSERT INTO llama_users (username) VALUES (%s) ON CONFLICT (username) DO NOTHING RETURNING id",
        [username],
    ).fetchone()
    if row is None:
        raise UserExists(username)
    set_limits_of(connection, row[0], limits)
    return int(row[0])


def rotate_key(
    connection: Connection,
    username: str,
    *,
    grace_s: float = 0.0,
    public_id: str | None = None,
    expires_at: datetime | _Unchanged | None = UNCHANGED,
) -> IssuedKey:
    """Replace all of a user's active keys, or the one named, by one new key.

    The old ones are revoked at once, or expire after `grace_s` seconds, never later than they would
    have. The new key expires with the newest one it replaces unless `expires_at` says otherwise.

    Raises:
        KeyNotFound: the key named is not one of the user's active keys.
    """
    with connection.transaction():
        user_id = _lock_user(connection, username)
        old = connection.execute(
            "SELECT public_id, expires_at FROM llama_api_keys WHERE user_id = %s AND revoked_at IS NULL"
            " AND (expires_at IS NULL OR expires_at > now())"
            " AND public_id = coalesce(%s, public_id) ORDER BY id",
            [user_id, public_id],
        ).fetchall()
        if public_id is not None and not old:
            raise KeyNotFound(username, public_id)
        replaced = [row[0] for row in old]
        _retire_keys(connection, replaced, grace_s=grace_s)
        if isinstance(expires_at, _Unchanged):
            expires_at = old[-1][1] if old else None
        return _issue_key(connection, user_id, expires_at=expires_at, replaced=replaced)


def add_key(connection: Connection, username: str, *, expires_at: datetime | None) -> IssuedKey:
    """Give a user one more key, which expires at `expires_at`; None: never. The other keys stay."""
    with connection.transaction():
        return _issue_key(connection, _lock_user(connection, username), expires_at=expires_at)


def list_users(connection: Connection) -> list[User]:
    """All users by name."""
    return _select_users(connection, "", [])


def get_user(connection: Connection, username: str) -> User:
    """One user."""
    _check_username(username)
    found = _select_users(connection, "WHERE u.username = %s", [username])
    if not found:
        raise UserNotFound(username)
    return found[0]


def set_active(connection: Connection, username: str, *, active: bool) -> None:
    """Activate or deactivate a user. Deactivating ends all requests with the user's keys."""
    with connection.transaction():
        user_id = _lock_user(connection, username)
        connection.execute("UPDATE llama_users SET is_active = %s WHERE id = %s", [active, user_id])


def set_admin(connection: Connection, username: str, *, admin: bool) -> None:
    """Make a user an administrator, or one no longer."""
    with connection.transaction():
        user_id = _lock_user(connection, username)
        connection.execute("UPDATE llama_users SET is_admin = %s WHERE id = %s", [admin, user_id])


def delete_user(connection: Connection, username: str) -> None:
    """Remove a user and all keys. The records of the user's requests stay."""
    with connection.transaction():
        user_id = _lock_user(connection, username)
        connection.execute("DELETE FROM llama_users WHERE id = %s", [user_id])


def set_limits(connection: Connection, username: str, **limits: Unpack[UserLimits]) -> None:
    """Set those limits of a user that are given."""
    with connection.transaction():
        set_limits_of(connection, _lock_user(connection, username), limits)


def revoke_key(connection: Connection, username: str, public_id: str) -> None:
    """Revoke one key for good. A key that is revoked already keeps its date.

    Raises:
        KeyNotFound: it is not one of the user's keys.
    """
    with connection.transaction():
        user_id = _lock_user(connection, username)
        cursor = connection.execute(
            "UPDATE llama_api_keys SET revoked_at = coalesce(revoked_at, now())"
            " WHERE user_id = %s AND public_id = %s",
            [user_id, public_id],
        )
        if cursor.rowcount == 0:
            raise KeyNotFound(username, public_id)


def _check_username(username: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", username):
        raise InvalidUsername(username)


def _lock_user(connection: Connection, username: str) -> int:
    """Lock the user and the keys until this transaction ends. Returns the user's id."""
    _check_username(username)
    row = connection.execute(
        "SELECT id FROM llama_users WHERE username = %s FOR UPDATE", [username]
    ).fetchone()
    if row is None:
        raise UserNotFound(username)
    return int(row[0])


def _retire_keys(connection: Connection, public_ids: list[str], *, grace_s: float) -> None:
    if grace_s > 0:
        connection.execute(
            "UPDATE llama_api_keys SET expires_at = least(expires_at, now() + make_interval(secs => %s))"
            " WHERE public_id = ANY(%s)",
            [grace_s, public_ids],
        )
    else:
        connection.execute(
            "UPDATE llama_api_keys SET revoked_at = now() WHERE public_id = ANY(%s)", [public_ids]
        )


def _issue_key(
    connection: Connection,
    user_id: int,
    *,
    expires_at: datetime | None,
    replaced: list[str] | None = None,
) -> IssuedKey:
    new = keys.create_key()
    connection.execute(
        "INSERT INTO llama_api_keys (user_id, public_id, hash, expires_at) VALUES (%s, %s, %s, %s)",
        [user_id, new.public_id, new.hash, expires_at],
    )
    return IssuedKey(
        key=new.key, public_id=new.public_id, expires_at=expires_at, replaced=tuple(replaced or ())
    )


_SELECT: LiteralString = """
    SELECT u.username, u.is_active, u.is_admin, u.rate_limit, u.rate_window_seconds, u.token_limit,
           u.weight, u.max_concurrent, u.token_budget, u.budget_period, u.batch_limit, g.name AS "group",
           u.created_at AS user_created_at,
           k.public_id, k.created_at, k.expires_at, k.revoked_at, k.last_used_at,
           CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked'
                WHEN k.expires_at <= now() THEN 'expired' ELSE 'active' END AS state
    FROM llama_users u LEFT JOIN llama_api_keys k ON k.user_id = u.id
    LEFT JOIN llama_groups g ON g.id = u.group_id
"""


def _select_users(connection: Connection, where: LiteralString, parameters: list[Any]) -> list[User]:
    cursor = connection.cursor(row_factory=dict_row)
    rows = cursor.execute(_SELECT + where + " ORDER BY u.username, k.id", parameters).fetchall()
    found = []
    for _, group in groupby(rows, key=lambda row: row["username"]):
        user_rows = list(group)
        first = user_rows[0]
        key_names = Key.__dataclass_fields__
        found.append(
            User(
                username=first["username"],
                is_active=first["is_active"],
                is_admin=first["is_admin"],
                **{name: first[name] for name in LIMITS},
                group=first["group"],
                created_at=first["user_created_at"],
                keys=tuple(
                    Key(**{name: row[name] for name in key_names})
                    for row in user_rows
                    if row["public_id"]
                ),
            )
        )
    return found
