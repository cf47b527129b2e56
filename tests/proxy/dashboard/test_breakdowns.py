"""Figures of a span of time are those of its records, of one user or all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from psycopg import Connection

from proxy.dashboard.data import breakdowns
from proxy.database.pool import connect

NOW = datetime(2027, 1, 31, 12, 0, 30, tzinfo=UTC)
START = NOW - timedelta(hours=1)


@pytest.fixture
def records(database_url: str) -> Connection:
    """Three streams of alice, and one of bob beside a look at the own limits."""
    connection = connect(database_url, application="tests")
    connection.execute("INSERT INTO llama_users (username) VALUES ('alice'), ('bob')")
    for number, (user, minute, admitted, error, ttft) in enumerate(
        (
            ("alice", 1, True, None, 100),
            ("alice", 1, True, None, 300),
            ("alice", 2, False, "rate_limit_exceeded", None),
            ("bob", 2, True, None, 900),
            ("bob", 2, False, None, None),
        )
    ):
        connection.execute(
            "INSERT INTO llama_requests (id, created_at, username, user_id, method, path, admitted,"
            " error, status_code, latency_ms, ttft_ms, queue_ms, prompt_tokens, completion_tokens,"
            " count, stream) VALUES ((%s::text || '0000000-0000-7000-8000-000000000000')::uuid, %s, %s,"
            " 1, 'POST', '/v1/x', %s, %s, %s, 1000, %s, 10, 7, 5, %s, true)",
            [number, START + timedelta(minutes=minute), user, admitted, error,
             429 if error else 200, ttft, 3 if error else 1],
        )  # fmt: skip
    return connection


def test_by_minute(records: Connection) -> None:
    """Each minute has its requests, refusals, tokens and median; a user's are apart."""
    with records:
        every = breakdowns.by_minute(records, since=START)
        assert [(m.requests, m.refusals, m.ttft_ms, m.tokens) for m in every] == [
            (2, 0, 200.0, 10),
            (1, 3, 900.0, 15),
        ]
        (only,) = breakdowns.by_minute(records, since=START, user="bob")
        assert (only.requests, only.refusals) == (1, 0)


def test_percentiles_and_refusals(records: Connection) -> None:
    """Percentiles are of what came to a good end, refusals of what did not. Only a stream has a first
    token, and lines of batches are no measure of users' requests.
    """
    with records:
        for number, batch_id, latency in ((7, None, 1000), (8, "batch_1", 9e6), (9, "batch_1", 9e6)):
            records.execute(
                "INSERT INTO llama_requests (id, created_at, username, user_id, method, path, admitted,"
                " status_code, latency_ms, ttft_ms, queue_ms, stream, batch_id) VALUES ((%s::text ||"
                " '0000000-0000-7000-8000-000000000000')::uuid, %s, 'alice', 1, 'POST', '/v1/x', true,"
                " 200, %s, 9e6, 10, false, %s)",
                [number, START + timedelta(minutes=1), latency, batch_id],
            )
        assert breakdowns.by_minute(records, since=START)[0].ttft_ms == 200.0
        found = breakdowns.percentiles(records, since=START, until=NOW, user="alice")
        assert (found.ttft_p50, found.queue_p95, found.latency_p50) == (200.0, 10.0, 1000.0)
        nothing = breakdowns.percentiles(records, since=NOW, until=NOW)
        assert nothing.ttft_p50 is None
        assert breakdowns.refusals(records, since=START, until=NOW) == [("rate_limit_exceeded", 3)]
        assert breakdowns.refusals(records, since=START, until=NOW, user="bob") == []


def test_sums_by_key_and_group(records: Connection) -> None:
    """Requests without a key or group have a row of their own."""
    with records:
        (group,) = breakdowns.sums_by(records, "group", since=START, until=NOW)
        assert (group.name, group.requests, group.refusals, group.prompt_tokens) == (
            "no group",
            3,
            3,
            35,
        )
        by_key = breakdowns.sums_by(records, "key", since=START, until=NOW)
        assert [one.name for one in by_key] == ["alice · a deleted key", "bob · a deleted key"]


def test_count_since(records: Connection) -> None:
    """Counts what the filters let through, up to the bound."""
    with records:
        assert breakdowns.count_since(records, since=START, most=10) == 5
        assert breakdowns.count_since(records, since=START, most=2) == 2
        assert breakdowns.count_since(records, since=START, most=10, user="bob") == 2
        assert breakdowns.count_since(records, since=START, most=10, error="rate_limit_exceeded") == 1
