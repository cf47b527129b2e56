"""Reads the past contents of a user's rate window from the database and the requests under way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from psycopg_pool import AsyncConnectionPool

from proxy.records.loader import CONNECTION_TIMEOUT_S
from proxy.records.record import RequestRecord

_HISTORY = """
    SELECT extract(epoch FROM at)::float8, count
    FROM llama_window_history(%(user_id)s, %(username)s, %(kind)s,
                              to_timestamp(%(since)s), to_timestamp(%(now)s),
                              to_timestamp(%(until)s), %(without)s::uuid[])
"""


def admissions_under_way(records: Iterable[RequestRecord], user_id: int) -> dict[str, float]:
    """When requests of a user were admitted that have not ended: Unix seconds by request id.

    `user_id`: a group's id as a negative number stands for its members.
    """
    return {
        record.id: record.admitted_at
        for record in records
        if record.admitted_at is not None and record.counts_for(user_id)
    }


class BudgetHistory(NamedTuple):
    """What was used of a period, and when that period and the next ones begin (Unix time)."""

    used: int
    starts: list[float]


class Moment(NamedTuple):
    """A time between two charges: what was charged until then is history, what comes later is not."""

    subject: int
    now: float
    """Unix time."""
    under_way: list[str]
    """Ids of the requests that have not ended."""
    charged: int
    """Tokens that the subject was charged for some of these."""


async def read_budget(
    pool: AsyncConnectionPool,
    *,
    subject: int,
    username: str,
    period: str,
    now: float,
    without: list[str],
) -> BudgetHistory:
    """Tokens of requests that ended in the period of `now`, until then. `without`: ids left out.

    Raises:
        psycopg.Error, OSError: the database is out of reach.
    """
    async with pool.connection(timeout=CONNECTION_TIMEOUT_S) as connection:
        cursor = await connection.execute(
            "SELECT used, starts FROM llama_budget_history(%s, %s, %s, to_timestamp(%s), %s::uuid[])",
            (subject, username, period, now, without),
        )
        row = await cursor.fetchone()
    assert row is not None
    return BudgetHistory(*row)


async def read_history(
    pool: AsyncConnectionPool,
    *,
    kind: str,
    username: str,
    user_id: int,
    since: float,
    now: float,
    running: dict[str, float],
    clock: Callable[[], float],
) -> list[tuple[float, int]]:
    """Admissions (`requests`) or charges (`tokens`): (seconds before `now`, how many), oldest first.

    `running`: requests under way at `now`. Their rows are left out, since they may end while the
    database is asked, and their admissions are added here.

    Raises:
        psycopg.Error, OSError: the database is out of reach.
    """
    async with pool.connection(timeout=CONNECTION_TIMEOUT_S) as connection:
        values = {
            "kind": kind, "username": username, "user_id": user_id, "without": list(running),
            "since": since, "now": now, "until": clock(),
        }  # fmt: skip
        cursor = await connection.execute(_HISTORY, values)
        found = [(at, count) for at, count in await cursor.fetchall()]
    found += [(at, 1) for at in running.values() if at > since]
    return [(max(0.0, now - at), count) for at, count in sorted(found)]
