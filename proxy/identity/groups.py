"""Create, change and read groups of users. A user belongs to at most one; its members share its limits.

Each action is one transaction. Running proxies are notified by triggers in the database.

Every function that takes a group's name raises GroupNotFound (except `create_group`) when there is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString, Unpack

from psycopg import Connection
from psycopg.rows import class_row

from proxy.identity.limits import GroupLimits, Period, set_limits_of
from proxy.identity.user_errors import GroupExists, GroupNotFound, InvalidGroupName
from proxy.identity.users import get_user


@dataclass(frozen=True, kw_only=True)
class Group:
    """A group with the names of its members. A limit of None is none."""

    name: str
    rate_limit: int | None
    rate_window_seconds: float | None
    token_limit: int | None
    token_budget: int | None
    budget_period: Period | None
    created_at: datetime
    members: list[str]


_SELECT: LiteralString = """
    SELECT g.name, g.rate_limit, g.rate_window_seconds, g.token_limit, g.token_budget, g.budget_period,
           g.created_at, coalesce(array_agg(u.username ORDER BY u.username)
                                  FILTER (WHERE u.username IS NOT NULL), '{}') AS members
    FROM llama_groups g LEFT JOIN llama_users u ON u.group_id = g.id
    WHERE %(name)s::text IS NULL OR g.name = %(name)s GROUP BY g.id ORDER BY g.name
"""


def create_group(connection: Connection, name: str, **limits: Unpack[GroupLimits]) -> None:
    """Create a group without members.

    Raises:
        InvalidGroupName, GroupExists: the name cannot be used.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", name):
        raise InvalidGroupName(name)
    with connection.transaction():
        row = connection.execute(
            "INSERT INTO llama_groups (name) VALUES (%s) ON CONFLICT (name) DO NOTHING RETURNING id",
            [name],
        ).fetchone()
        if row is None:
            raise GroupExists(name)
        set_limits_of(connection, row[0], limits, table="llama_groups")


def list_groups(connection: Connection) -> list[Group]:
    """All groups by name."""
    cursor = connection.cursor(row_factory=class_row(Group))
    return cursor.execute(_SELECT, {"name": None}).fetchall()


def get_group(connection: Connection, name: str) -> Group:
    """One group."""
    cursor = connection.cursor(row_factory=class_row(Group))
    group = cursor.execute(_SELECT, {"name": name}).fetchone()
    if group is None:
        raise GroupNotFound(name)
    return group


def set_group_limits(connection: Connection, name: str, **limits: Unpack[GroupLimits]) -> None:
    """Set those limits of a group that are given."""
    with connection.transaction():
        set_limits_of(connection, _lock_group(connection, name), limits, table="llama_groups")


def delete_group(connection: Connection, name: str) -> None:
    """Remove a group. Its members stay, without one."""
    with connection.transaction():
        connection.execute("DELETE FROM llama_groups WHERE id = %s", [_lock_group(connection, name)])


def set_group(connection: Connection, username: str, name: str | None) -> None:
    """Put a user into a group, or out of any. What the user has used before counts for the former one.

    Raises:
        UserNotFound: no user has this name.
    """
    with connection.transaction():
        get_user(connection, username)
        group_id = None if name is None else _lock_group(connection, name)
        connection.execute(
            "UPDATE llama_users SET group_id = %s WHERE username = %s AND group_id IS DISTINCT FROM %s",
            [group_id, username, group_id],
        )


def _lock_group(connection: Connection, name: str) -> int:
    row = connection.execute("SELECT id FROM llama_groups WHERE name = %s FOR UPDATE", [name]).fetchone()
    if row is None:
        raise GroupNotFound(name)
    return int(row[0])
