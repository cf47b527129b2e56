"""What was used, summed up from `llama_requests`.

`request_log.py` writes those rows; they outlive their users.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg import Connection
from psycopg.rows import class_row


@dataclass(frozen=True, kw_only=True)
class Usage:
    """The sums of one user, or of one day.

    Latencies are of admitted requests that came to their end; None where there is none.
    """

    name: str
    """The username, or the day (UTC) as 2027-01-31."""
    requests: int
    """Admitted ones."""
    refusals: int
    prompt_tokens: int
    completion_tokens: int
    request_bytes: int
    response_bytes: int
    median_ms: float | None
    p95_ms: float | None


_BY = {"user": "username", "day": "to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')"}

_SELECT = """
    SELECT {name} AS name,
           coalesce(sum(count) FILTER (WHERE admitted), 0)::bigint AS requests,
           coalesce(sum(count) FILTER (WHERE NOT admitted), 0)::bigint AS refusals,
           coalesce(sum(prompt_tokens), 0)::bigint AS prompt_tokens,
           coalesce(sum(completion_tokens), 0)::bigint AS completion_tokens,
           sum(request_bytes)::bigint AS request_bytes,
           sum(response_bytes)::bigint AS response_bytes,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms) FILTER (WHERE admitted) AS median_ms,
           percentile_cont(0.95) WITHIN GROUP (ORDER BY latency_ms) FILTER (WHERE admitted) AS p95_ms
    FROM llama_requests
    WHERE created_at >= %(since)s AND (%(user)s::text IS NULL OR username = %(user)s)
    GROUP BY 1 ORDER BY 1
"""


def usage(
    connection: Connection,
    *,
    since: datetime,
    by: Literal["user", "day"] = "user",
    user: str | None = None,
) -> list[Usage]:
    """What arrived at `since` or later: of all users, deleted ones too, or of one."""
    cursor = connection.cursor(row_factory=class_row(Usage))
    statement = _SELECT.format(name=_BY[by])
    return cursor.execute(statement.encode(), {"since": since, "user": user}).fetchall()
