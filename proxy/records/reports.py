"""Reports of usage: sums of whole days from `llama_usage`, of part of a first day from the records.

`loader.py` inserts the records, and a trigger of the database sums them up; both outlive their users.
Where old records are removed (`retention.py`), the sums stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal, LiteralString

from psycopg import Connection, sql
from psycopg.rows import dict_row, kwargs_row


@dataclass(frozen=True, kw_only=True)
class Usage:
    """The sums of one user, or of one day.

    Latencies are of admitted requests that came to their end: the nearest rank, at most 5 % off; None
    where there is none.
    """

    name: str
    """The username, or the day (UTC) as 2027-01-31."""
    requests: int
    """Number of admitted requests."""
    refusals: int
    prompt_tokens: int
    completion_tokens: int
    request_bytes: int
    response_bytes: int
    median_ms: float | None
    p95_ms: float | None


_BY: dict[str, LiteralString] = {"user": "username", "day": "to_char(day, 'YYYY-MM-DD')"}

# A percentile is the mean of the first latency class that, with those below it, holds so many requests.
_SELECT: LiteralString = """
    WITH found AS (
        SELECT u.* FROM llama_usage u
        WHERE u.day >= %(whole_days)s AND (%(user)s::text IS NULL OR u.username = %(user)s)
        UNION ALL
        SELECT u.* FROM llama_requests r CROSS JOIN LATERAL llama_usage_of(r) u
        WHERE r.created_at >= %(since)s AND r.created_at < %(whole_days)s::timestamp AT TIME ZONE 'UTC'
          AND (%(user)s::text IS NULL OR r.username = %(user)s)
    ), classes AS (
        SELECT {name} AS name, latency_class, sum(requests) AS requests, sum(refusals) AS refusals,
               sum(prompt_tokens) AS prompt_tokens, sum(completion_tokens) AS completion_tokens,
               sum(request_bytes) AS request_bytes, sum(response_bytes) AS response_bytes,
               sum(latency_ms) / nullif(sum(requests), 0)::float8 AS mean_ms, latency_class >= 0 AS timed
        FROM found GROUP BY name, latency_class
    ), ranked AS (
        SELECT c.*, sum(requests) OVER (PARTITION BY name, timed ORDER BY latency_class)
                    / nullif(sum(requests) OVER (PARTITION BY name, timed), 0) AS reached
        FROM classes c
    )
    SELECT name, sum(requests) AS requests, sum(refusals) AS refusals,
           sum(prompt_tokens) AS prompt_tokens, sum(completion_tokens) AS completion_tokens,
           sum(request_bytes) AS request_bytes, sum(response_bytes) AS response_bytes,
           min(mean_ms) FILTER (WHERE timed AND reached >= 0.5) AS median_ms,
           min(mean_ms) FILTER (WHERE timed AND reached >= 0.95) AS p95_ms
    FROM ranked GROUP BY name ORDER BY name
"""


def usage(
    connection: Connection,
    *,
    since: datetime,
    by: Literal["user", "day"] = "user",
    user: str | None = None,
) -> list[Usage]:
    """Sums of the requests that arrived at `since` or later, of all users, deleted ones too, or of one.

    Part of a first day is summed from its records, as far as they have not been removed.
    """
    midnight = datetime.combine(since.astimezone(UTC), time.min, UTC)
    whole_days = midnight if midnight == since else midnight + timedelta(days=1)
    values = {"since": since, "whole_days": whole_days.date(), "user": user}
    cursor = connection.cursor(row_factory=kwargs_row(_usage_of))
    return cursor.execute(_SELECT.format(name=_BY[by]), values).fetchall()


_REQUESTS: LiteralString = """
    SELECT 'req_' || replace(r.id::text, '-', '') AS id, r.created_at, r.username, k.public_id,
           r.method, r.path, r.model, r.status_code, r.error, r.latency_ms, r.ttft_ms, r.queue_ms,
           r.request_bytes, r.response_bytes, r.prompt_tokens, r.completion_tokens, r.tokens_charged,
           r.stream, r.admitted, r.count, r.batch_id, r.backend
    FROM llama_requests r LEFT JOIN llama_api_keys k ON k.id = r.key_id
"""
_CONDITIONS: dict[str, LiteralString] = {
    "user": "r.username = %(user)s",
    "status": "r.status_code = %(status)s",
    "error": "r.error = %(error)s",
    "since": "r.created_at >= %(since)s",
    "until": "r.created_at <= %(until)s",
    "after": "(r.created_at, r.id) < (%(after_at)s, %(after)s::uuid)",
}


def requests(connection: Connection, /, *, limit: int, **wanted: object) -> list[dict[str, Any]]:
    """Records of requests, the newest first, at most `limit`.

    `wanted` is any of user, status, error, since, until, and `after`: only those older than the record
    with this id.
    """
    values = {**wanted, "limit": limit}
    if "after" in wanted:
        row = connection.execute(
            "SELECT created_at FROM llama_requests WHERE id = %s", [wanted["after"]]
        ).fetchone()
        if row is None:  # removed meanwhile, and what is older too
            return []
        values["after_at"] = row[0]
    conditions = sql.SQL(" AND ").join(
        [sql.SQL(text) for name, text in _CONDITIONS.items() if name in wanted] or [sql.SQL("true")]
    )
    statement = sql.SQL("{} WHERE {} ORDER BY r.created_at DESC, r.id DESC LIMIT %(limit)s").format(
        sql.SQL(_REQUESTS), conditions
    )
    return connection.cursor(row_factory=dict_row).execute(statement, values).fetchall()


def request(connection: Connection, request_id: str) -> dict[str, Any] | None:
    """The record of one request; None if there is none."""
    cursor = connection.cursor(row_factory=dict_row)
    return cursor.execute(_REQUESTS + " WHERE r.id = %s", [request_id]).fetchone()


def budget_use(connection: Connection, username: str) -> tuple[int, datetime]:
    """Tokens that a user has used in the present period of the budget, and when the next one begins.

    A user without a budget has the default period. The user must exist.
    """
    row = connection.execute(
        "SELECT h.used, to_timestamp(h.starts[2]) FROM llama_users u, llama_budget_history("
        "u.id, u.username, coalesce(u.budget_period, 'month'), now(), '{}') h WHERE u.username = %s",
        [username],
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def _usage_of(**row: Any) -> Usage:
    """PostgreSQL sums whole numbers up to a numeric, which cannot overflow."""
    values: dict[str, Any] = {
        name: int(value) if isinstance(value, Decimal) else value for name, value in row.items()
    }
    return Usage(**values)
