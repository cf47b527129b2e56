"""All users' batches, as operators see them, and figures for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from proxy.batches.runner import Runner
from proxy.batches.table import described
from proxy.metrics.gauges import Sample
from proxy.scheduling.batch_turns import BatchTurns

_LIST = """
    SELECT b.*, u.username FROM llama_batches b JOIN llama_users u ON u.id = b.user_id
    WHERE (%(user)s::text IS NULL OR u.username = %(user)s)
      AND (%(after)s::text IS NULL OR (b.created_at, b.id) <
           (SELECT a.created_at, a.id FROM llama_batches a WHERE a.id = %(after)s))
    ORDER BY b.created_at DESC, b.id DESC LIMIT %(limit)s
"""
_CANCEL = """
    UPDATE llama_batches b SET status = 'cancelling', cancelling_at = now() FROM llama_users u
    WHERE u.id = b.user_id AND b.id = %s AND b.status IN ('validating', 'in_progress')
    RETURNING u.username
"""


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


def cancel(connection: Connection, batch_id: str) -> str | None:
    """Have a batch cancelled. Returns its user's name; None if it has ended, or there is none."""
    row = connection.execute(_CANCEL, [batch_id]).fetchone()
    return None if row is None else str(row[0])


def samples(runner: Runner, turns: BatchTurns) -> Iterator[Sample]:
    """What this proxy does for batches now, and has done."""
    prefix = "llamaserve_batch_"
    yield Sample(f"{prefix}batches", "gauge", "Batches that this proxy works on.", runner.working)
    yield Sample(f"{prefix}lines_running", "gauge", "Lines that have a turn.", turns.running())
    yield Sample(f"{prefix}lines_waiting", "gauge", "Lines that wait for a turn.", turns.waiting())
    help_ = "Lines that have got their result."
    for outcome, number in runner.results.items():
        yield Sample(f"{prefix}lines_total", "counter", help_, number, ("outcome", outcome))
