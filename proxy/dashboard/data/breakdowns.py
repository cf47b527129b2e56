"""Figures from the records of a span of time: by minute, key or group; percentiles; refusals.

They read records, so that they know nothing of what retention has removed; `reports.py` has the sums
that stay. `user` None stands for all users.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, LiteralString

from psycopg import Connection, sql
from psycopg.rows import class_row

_SPAN: LiteralString = (
    "r.created_at >= %(since)s AND r.created_at < %(until)s"
    " AND (%(user)s::text IS NULL OR r.username = %(user)s)"
)


@dataclass(frozen=True, kw_only=True)
class Minute:
    """What arrived in one minute."""

    at: datetime
    requests: int
    """Admitted ones."""
    refusals: int
    ttft_ms: float | None
    """The median time to the first token of streams: other responses come whole."""
    tokens: int


@dataclass(frozen=True, kw_only=True)
class Percentiles:
    """Milliseconds, of requests that came to a good end; None where there is none."""

    ttft_p50: float | None
    ttft_p95: float | None
    queue_p50: float | None
    queue_p95: float | None
    latency_p50: float | None
    latency_p95: float | None


@dataclass(frozen=True, kw_only=True)
class Sums:
    """The sums of one key or group."""

    name: str
    requests: int
    refusals: int
    prompt_tokens: int
    completion_tokens: int


def by_minute(connection: Connection, *, since: datetime, user: str | None = None) -> list[Minute]:
    """The minutes since then in which something arrived, the oldest first."""
    return (
        connection.cursor(row_factory=class_row(Minute))
        .execute(
            sql.SQL(
                "SELECT date_trunc('minute', r.created_at) AS at,"
                " coalesce(sum(r.count) FILTER (WHERE r.admitted), 0)::bigint AS requests,"
                " coalesce(sum(r.count) FILTER (WHERE NOT r.admitted AND r.status_code >= 400),"
                " 0)::bigint AS refusals,"
                " percentile_cont(0.5) WITHIN GROUP (ORDER BY r.ttft_ms) FILTER (WHERE r.stream)"
                " AS ttft_ms,"
                " coalesce(sum(r.completion_tokens), 0)::bigint AS tokens"
                " FROM llama_requests r WHERE {} GROUP BY 1 ORDER BY 1"
            ).format(sql.SQL(_SPAN)),
            {"since": since, "until": "infinity", "user": user},
        )
        .fetchall()
    )


def percentiles(
    connection: Connection, *, since: datetime, until: datetime, user: str | None = None
) -> Percentiles:
    """How long requests took, without lines of batches, which wait for as long as others need."""
    streams, every = sql.SQL("r.stream"), sql.SQL("true")
    columns = sql.SQL(", ").join(
        sql.SQL("percentile_cont({}) WITHIN GROUP (ORDER BY r.{}_ms) FILTER (WHERE {}) AS {}").format(
            sql.Literal(share), sql.SQL(what), whose, sql.Identifier(f"{what}_p{share * 100:.0f}")
        )
        for what, whose in (("ttft", streams), ("queue", every), ("latency", every))
        for share in (0.5, 0.95)
    )
    row = (
        connection.cursor(row_factory=class_row(Percentiles))
        .execute(
            sql.SQL(
                "SELECT {} FROM llama_requests r"
                " WHERE r.admitted AND r.error IS NULL AND r.batch_id IS NULL AND {}"
            ).format(columns, sql.SQL(_SPAN)),
            {"since": since, "until": until, "user": user},
        )
        .fetchone()
    )
    assert row is not None
    return row


def refusals(
    connection: Connection, *, since: datetime, until: datetime, user: str | None = None
) -> list[tuple[str, int]]:
    """Errors with which requests were refused or failed, and how many; the most frequent first."""
    return connection.execute(
        sql.SQL(
            "SELECT r.error, sum(r.count)::bigint FROM llama_requests r"
            " WHERE r.error IS NOT NULL AND {} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20"
        ).format(sql.SQL(_SPAN)),
        {"since": since, "until": until, "user": user},
    ).fetchall()


_NAMES: dict[str, LiteralString] = {
    "key": "r.username || ' · ' || coalesce(k.public_id, 'a deleted key')",
    "group": "coalesce(g.name, 'no group')",
}


def sums_by(
    connection: Connection,
    by: Literal["key", "group"],
    *,
    since: datetime,
    until: datetime,
    user: str | None = None,
) -> list[Sums]:
    """Sums by key, or by the group that the user belonged to at the time."""
    return (
        connection.cursor(row_factory=class_row(Sums))
        .execute(
            sql.SQL(
                "SELECT {} AS name,"
                " coalesce(sum(r.count) FILTER (WHERE r.admitted), 0)::bigint AS requests,"
                " coalesce(sum(r.count) FILTER (WHERE NOT r.admitted AND r.status_code >= 400),"
                " 0)::bigint AS refusals,"
                " coalesce(sum(r.prompt_tokens), 0)::bigint AS prompt_tokens,"
                " coalesce(sum(r.completion_tokens), 0)::bigint AS completion_tokens"
                " FROM llama_requests r LEFT JOIN llama_api_keys k ON k.id = r.key_id"
                " LEFT JOIN llama_memberships m ON m.user_id = r.user_id"
                " AND r.created_at >= m.since AND r.created_at < m.until"
                " LEFT JOIN llama_groups g ON g.id = m.group_id"
                " WHERE {} GROUP BY 1 ORDER BY 4 DESC, 1 LIMIT 500"
            ).format(sql.SQL(_NAMES[by]), sql.SQL(_SPAN)),
            {"since": since, "until": until, "user": user},
        )
        .fetchall()
    )


def count_since(connection: Connection, /, *, since: datetime, most: int, **wanted: Any) -> int:
    """How many records there are since then, at most `most`. `wanted`: user, status or error."""
    conditions = [
        sql.SQL("r.{} = {}").format(sql.Identifier(column), sql.Placeholder(name))
        for name, column in (("user", "username"), ("status", "status_code"), ("error", "error"))
        if name in wanted
    ]
    row = connection.execute(
        sql.SQL(
            "SELECT count(*) FROM (SELECT FROM llama_requests r WHERE {} LIMIT %(most)s) found"
        ).format(sql.SQL(" AND ").join([sql.SQL("r.created_at >= %(since)s"), *conditions])),
        {"since": since, "most": most, **wanted},
    ).fetchone()
    assert row is not None
    return int(row[0])
