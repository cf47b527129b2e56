"""The limits of one user, as stored in the user's row.

Leaves to `ratelimit/admission.py` how the proxy's defaults fill in what is not set.
"""

from __future__ import annotations

from typing import LiteralString, TypedDict

from psycopg import Connection, sql


class UserLimits(TypedDict, total=False):
    """Limits of a user, all positive. None restores the default."""

    rate_limit: int | None
    """Requests in any window; default: the proxy's."""
    rate_window_seconds: float | None
    token_limit: int | None
    """Tokens in any window; default: the proxy's."""
    weight: float | None
    """The share of turns, relative to other users; default: 1."""
    max_concurrent: int | None
    """Requests at the engine at a time; default: as many as it has slots."""


LIMITS: tuple[LiteralString, ...] = (
    "rate_limit",
    "rate_window_seconds",
    "token_limit",
    "weight",
    "max_concurrent",
)


def set_limits_of(connection: Connection, user_id: int, limits: UserLimits) -> None:
    """Set those limits of a user that are given, in one statement."""
    given = [name for name in LIMITS if name in limits]
    if given:
        settings = [
            sql.SQL("{} = {}").format(
                sql.Identifier(name), sql.SQL("DEFAULT" if limits.get(name) is None else "%s")
            )
            for name in given
        ]
        statement = sql.SQL("UPDATE llama_users SET {} WHERE id = %s").format(
            sql.SQL(", ").join(settings)
        )
        values = [limits.get(name) for name in given if limits.get(name) is not None]
        connection.execute(statement, [*values, user_id])
