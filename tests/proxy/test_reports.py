"""Usage, summed up from rows with known numbers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from proxy import db, reports

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    with db.connect(database_url, application="tests") as connection:
        yield connection


def record(connection: psycopg.Connection, username: str, at: datetime, **fields: Any) -> None:
    """A row of llama_requests; not saying otherwise, an admitted one."""
    row = {"username": username, "created_at": at, "admitted": True, **fields}
    connection.execute(
        sql.SQL(
            "INSERT INTO llama_requests (id, user_id, method, path, {})"
            " VALUES (gen_random_uuid(), 1, 'POST', '/v1/chat/completions', {})"
        ).format(
            sql.SQL(", ").join(map(sql.Identifier, row)), sql.SQL(", ").join(map(sql.Placeholder, row))
        ),
        row,
    )


def test_sums_and_latencies_of_a_user(connection: psycopg.Connection) -> None:
    """Refusals count as often as they were folded, and their latency does not count."""
    for latency_ms in range(1, 102):
        record(
            connection, "alice", NOON, latency_ms=latency_ms, request_bytes=10, response_bytes=100,
            prompt_tokens=3, completion_tokens=5,
        )  # fmt: skip
    record(connection, "alice", NOON, error="interrupted")
    for count in (1, 500):
        record(connection, "alice", NOON, admitted=False, count=count, latency_ms=0.1, response_bytes=1)
    (alice,) = reports.usage(connection, since=NOON)
    assert alice == reports.Usage(
        name="alice",
        requests=102,
        refusals=501,
        prompt_tokens=303,
        completion_tokens=505,
        request_bytes=1010,
        response_bytes=10102,
        median_ms=51,
        p95_ms=96,
    )


def test_a_user_who_was_only_refused(connection: psycopg.Connection) -> None:
    """Zeros, and no latency."""
    record(connection, "alice", NOON, admitted=False, latency_ms=1)
    (alice,) = reports.usage(connection, since=NOON)
    assert (alice.requests, alice.refusals, alice.median_ms, alice.p95_ms) == (0, 1, None, None)
    assert (alice.prompt_tokens, alice.completion_tokens) == (0, 0)


def test_by_user_and_by_day(connection: psycopg.Connection) -> None:
    """Days are UTC whatever the connection's time zone; the first moment of `since` is within it."""
    connection.execute("SET TIME ZONE 'Asia/Tokyo'")
    midnight = NOON.replace(hour=0)
    record(connection, "bob", midnight - timedelta(microseconds=1))
    record(connection, "bob", midnight)
    record(connection, "alice", midnight + timedelta(hours=23))

    def names(**arguments: Any) -> list[tuple[str, int]]:
        return [(row.name, row.requests) for row in reports.usage(connection, **arguments)]

    earlier = midnight - timedelta(days=30)
    assert names(since=earlier) == [("alice", 1), ("bob", 2)]
    assert names(since=earlier, by="day") == [("2030-05-31", 1), ("2030-06-01", 2)]
    assert names(since=earlier, by="day", user="bob") == [("2030-05-31", 1), ("2030-06-01", 1)]
    assert names(since=midnight) == [("alice", 1), ("bob", 1)]
    assert names(since=NOON, user="bob") == []
