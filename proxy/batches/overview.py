"""Batches as the admin API and the dashboard see and cancel them."""

from __future__ import annotations

from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from proxy.batches.table import described

_LIST = """
    SELECT b.*, u.username FROM llama_batches b JOIN llama_users u ON u.id = b.user_id
    WHERE (%(user)s::text IS NULL OR u.username = %(user)s)
      AND (%(after)s::text IS NULL OR (b.created_at, b.id) <
           (SELECT a.created_at, a.id FROM llama_batches a WHERE a.id = %(after)s))
    ORDER BY b.created_at DESC, b.id DESC LIMIT %(limit)s
"""
_CANCEL = """
    UPDATE llama_batches b SET status = 'cancelling', cancelling_at = now() FROM llama_users u
    WHERE u.id = b.user_id AND b.id = %(id)s AND b.status IN ('validating', 'in_progress')
      AND (%(user)s::text IS NULL OR u.username = %(user)s)
    RETURNING u.username
"""
_LINES_A_DAY = """
    SELECT u.batch_limit AS limit, coalesce(sum(b.total), 0)::bigint AS used,
           max(b.in_progress_at) + interval '1 day' AS resets_at
    FROM llama_users u LEFT JOIN llama_batches b
      ON b.user_id = u.id AND b.in_progress_at > now() - interval '1 day'
    WHERE u.username = %s AND u.batch_limit IS NOT NULL GROUP BY u.id
"""
_AUDIT = """
    INSERT INTO llama_audit (action, username, new)
    VALUES ('cancel batch', %s, jsonb_build_object('batch', %s::text))
"""


def lines_a_day(connection: Connection, username: str) -> dict[str, Any] | None:
    """What is used of a user's limit of lines in 24 hours, as `GET /v1/usage` tells windows; None: there
    is no limit.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_LINES_A_DAY, [username]).fetchone()
    if row is None:
        return None
    resets_at = row["resets_at"] and row["resets_at"].isoformat(timespec="seconds")
    remaining = max(0, row["limit"] - row["used"])
    return {**row, "of": "user", "kind": "lines of batches", "window_seconds": 86_400.0,
            "remaining": remaining, "resets_at": resets_at}  # fmt: skip


def batches(
    connection: Connection, *, user: str | None, after: str | None, limit: int
) -> list[dict[str, Any]]:
    """Batches of all users or of one, the newest first, with `username` and `lines_per_minute`."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_LIST, {"user": user, "after": after, "limit": limit}).fetchall()
        now = cursor.execute("SELECT now() AS now").fetchone()
    assert now is not None
    return [{**described(row), "username": row["username"], **_speed(row, now["now"])} for row in rows]


def _speed(row: dict[str, Any], now: Any) -> dict[str, Any]:
    """Lines a minute since the batch began, and the seconds that it still needs at this speed."""
    begun, done = row["in_progress_at"], row["completed"] + row["failed"]
    speed = left_s = None
    if row["status"] == "in_progress" and begun is not None and done:
        passed_s = max(1.0, (now - begun).total_seconds())
        speed, left_s = round(done / passed_s * 60, 1), round(passed_s / done * (row["total"] - done))
    return {"lines_per_minute": speed, "estimated_seconds_left": left_s}


def cancel(connection: Connection, batch_id: str, *, user: str | None = None) -> bool:
    """Have a batch of a user cancelled; of any one, without `user`, which the audit tells.

    Returns False if it has ended, or there is none.
    """
    row = connection.execute(_CANCEL, {"id": batch_id, "user": user}).fetchone()
    if row is not None and user is None:
        connection.execute(_AUDIT, [row[0], batch_id])
    return row is not None
