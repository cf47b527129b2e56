"""Reads who changed which user or key, and when, from `llama_audit`.

Triggers of the database write it, so that changes by direct SQL are there too; `note` adds what no table
shows. Nothing here changes or removes a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change. `old` and `new` have the columns that changed, a hash only as `not shown`."""

    id: int
    at: datetime
    action: str
    """Such as `create user`, `change key` or `truncate llama_users`."""
    username: str | None
    group_name: str | None
    """Set where a group was changed."""
    public_id: str | None
    """The key's public part; None for a user."""
    old: dict[str, Any]
    new: dict[str, Any]
    database_role: str
    """Who logged in to the database."""
    application: str
    """The name that the program gave itself; it may be false."""
    client_address: str | None
    """None if the connection came by a Unix socket."""


def changes(
    connection: Connection,
    *,
    since: datetime,
    user: str | None = None,
    after: int = 0,
    limit: int | None = None,
    newest_first: bool = False,
) -> list[Change]:
    """Changes at `since` or later, the oldest first: of all users, deleted ones too, or of one.

    `after`: only those with a higher id. `limit`: at most so many.
    """
    return (
        connection.cursor(row_factory=class_row(Change))
        .execute(
            "SELECT id, at, action, username, group_name, public_id, old, new, database_role,"
            " application, host(client_address) AS client_address FROM llama_audit"
            " WHERE at >= %(since)s AND (%(user)s::text IS NULL OR username = %(user)s)"
            " AND id > %(after)s ORDER BY CASE WHEN %(newest)s THEN -id ELSE id END LIMIT %(limit)s",
            {"since": since, "user": user, "after": after, "limit": limit, "newest": newest_first},
        )
        .fetchall()
    )


def note(
    connection: Connection, action: str, values: Mapping[str, str], *, username: str | None = None
) -> None:
    """Add what somebody did that changes no row: to a user, if one is named."""
    connection.execute(
        "INSERT INTO llama_audit (action, username, new) VALUES (%s, %s, %s)",
        [action, username, Jsonb(dict(values))],
    )
