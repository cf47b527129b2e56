"""What one user may have of the engine, as it stands in the user's row.

What the proxy's defaults make of it is `admission.py`'s business.
"""

from __future__ import annotations

from typing import LiteralString, TypedDict

from psycopg import Connection, sql


class UserLimits(TypedDict, total=False):
    """What a user may have of the engine, all positive. None goes back to the default."""

    rate_limit: int | None
    """Requests in any window; default: the proxy's."""
    rate_window_seconds: float | None
    token_limit: int | None
    """Tokens in any window; default: the proxy's."""
    weight: float | None
    """Turns in each round of those who wait; default: 1."""
    max_concurrent: int | None
    """Requests with the engine at a time; default: as many as it takes."""


LIMITS: tuple[LiteralString, ...] = (
    "rate_limit",
    "rate_window_seconds",
    "token_limit",
    "weight",
    "max_concurrent",
)


def set_limits_of(connection: Connection, user_id: int, limits: UserLimits) -> None:
    """Set those limits of a user's that are given: one change."""
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
