"""The limits of one user or group, as stored in its row.

Leaves to `ratelimit/admission.py` how the proxy's defaults fill in what is not set.
"""

from __future__ import annotations

from typing import Literal, LiteralString, TypedDict

from psycopg import Connection, sql

Period = Literal["day", "week", "month"]
"""A period of the calendar, in the time zone of the database."""
DEFAULT_PERIOD: Period = "month"


class GroupLimits(TypedDict, total=False):
    """Limits of a group's members together, all positive. None: no limit."""

    rate_limit: int | None
    """Requests in any window."""
    rate_window_seconds: float | None
    """None: the proxy's default."""
    token_limit: int | None
    """Tokens in any window."""
    token_budget: int | None
    """Tokens in any period."""
    budget_period: Period | None
    """None: DEFAULT_PERIOD."""


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
    token_budget: int | None
    """Tokens in any period; default: any number."""
    budget_period: Period | None
    """Default: DEFAULT_PERIOD."""
    batch_limit: int | None
    """Lines of batches in any 24 hours; default: any number."""


LIMITS: tuple[LiteralString, ...] = (
    "rate_limit",
    "rate_window_seconds",
    "token_limit",
    "weight",
    "max_concurrent",
    "token_budget",
    "budget_period",
    "batch_limit",
)
GROUP_LIMITS: tuple[LiteralString, ...] = (
    "rate_limit",
    "rate_window_seconds",
    "token_limit",
    "token_budget",
    "budget_period",
)


def set_limits_of(
    connection: Connection,
    row_id: int,
    limits: UserLimits | GroupLimits,
    *,
    table: LiteralString = "llama_users",
) -> None:
    """Set those limits of a user, or of a row of `llama_groups`, that are given, in one statement."""
    given = [name for name in LIMITS if name in limits]
    if given:
        settings = [
            sql.SQL("{} = {}").format(
                sql.Identifier(name), sql.SQL("DEFAULT" if limits.get(name) is None else "%s")
            )
            for name in given
        ]
        statement = sql.SQL("UPDATE {} SET {} WHERE id = %s").format(
            sql.Identifier(table), sql.SQL(", ").join(settings)
        )
        values = [limits.get(name) for name in given if limits.get(name) is not None]
        connection.execute(statement, [*values, row_id])
