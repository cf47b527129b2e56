"""Usage, summed up from rows with known numbers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from proxy.database import schema
from proxy.database.pool import connect
from proxy.records import reports

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    with connect(database_url, application="tests") as connection:
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


def test_what_the_proxy_answers_itself_is_no_refusal(empty_database_url: str) -> None:
    """Usage, files and batches: neither requests nor refusals, also in the sums of an older version."""
    with connect(empty_database_url, application="tests") as connection:
        for _, name, statements in schema.known_migrations():
            if name == "refusals":
                record(connection, "alice", NOON, admitted=False, status_code=200, count=5)
                record(connection, "alice", NOON, admitted=False, status_code=429, count=2)
                (before,) = reports.usage(connection, since=NOON.replace(hour=0))
                assert before.refusals == 7
            connection.execute(statements.encode())
        for status in (200, 413, 499):
            record(connection, "alice", NOON, admitted=False, status_code=status)
        for since in (NOON, NOON.replace(hour=0)):
            (alice,) = reports.usage(connection, since=since)
            assert (alice.requests, alice.refusals) == (0, 4)


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


def test_a_row_for_several_requests(connection: psycopg.Connection) -> None:
    """Counts as so many requests of its latency; its bytes and tokens are sums already."""
    record(connection, "alice", NOON, count=3, latency_ms=100, prompt_tokens=30, request_bytes=60)
    record(connection, "alice", NOON, count=2, latency_ms=9000, completion_tokens=20, response_bytes=7)
    record(connection, "alice", NOON, count=4, admitted=False, request_bytes=40)
    for since in (NOON, NOON.replace(hour=0)):
        (alice,) = reports.usage(connection, since=since)
        assert (alice.requests, alice.refusals) == (5, 4)
        assert (alice.prompt_tokens, alice.completion_tokens) == (30, 20)
        assert (alice.request_bytes, alice.response_bytes) == (100, 7)
        assert (alice.median_ms, alice.p95_ms) == (100, 9000)


def test_percentiles_are_close(connection: psycopg.Connection) -> None:
    """5 % at most, over six orders of magnitude, both from sums and from records."""
    connection.execute(
        "INSERT INTO llama_requests (id, created_at, username, user_id, method, path,"
        " admitted, latency_ms) SELECT gen_random_uuid(), %s, 'alice', 1, 'POST', '/', true,"
        " 10 ^ (n / 1000.0)"
        " FROM generate_series(0, 6000) n",
        [NOON],
    )
    for since in (NOON, NOON.replace(hour=0)):
        (alice,) = reports.usage(connection, since=since)
        assert alice.median_ms == pytest.approx(10**3, rel=0.05)
        assert alice.p95_ms == pytest.approx(10**5.7, rel=0.05)


@pytest.mark.parametrize("latency_ms", ["NaN", "Infinity", "-Infinity", "-5", "0", "1e308"])
def test_no_latency_keeps_a_record_out(connection: psycopg.Connection, latency_ms: str) -> None:
    """However odd: a record that cannot be summed up would be lost."""
    for _ in range(2):
        record(connection, "alice", NOON, latency_ms=latency_ms, count=2**40, prompt_tokens=2**62)
    (alice,) = reports.usage(connection, since=NOON.replace(hour=0))
    assert (alice.requests, alice.prompt_tokens) == (2**41, 2**63)
    assert alice.median_ms is not None


def test_a_first_day_that_is_cut_and_whole_days_after_it(connection: psycopg.Connection) -> None:
    """Nothing is counted twice and nothing left out at midnight; a record loaded twice is one."""
    midnight = NOON.replace(hour=0) + timedelta(days=1)
    for at in (NOON - timedelta(microseconds=1), NOON, midnight - timedelta(microseconds=1), midnight):
        record(connection, "alice", at)
    connection.execute(
        "INSERT INTO llama_requests SELECT * FROM llama_requests ON CONFLICT (id) DO NOTHING"
    )
    found = reports.usage(connection, since=NOON, by="day")
    assert [(day.name, day.requests) for day in found] == [("2030-06-01", 2), ("2030-06-02", 1)]


def test_records_from_before_there_were_sums(empty_database_url: str) -> None:
    """The migration sums them up."""
    with connect(empty_database_url, application="tests") as connection:
        for _, name, statements in schema.known_migrations():
            if name == "usage_and_audit":
                record(connection, "alice", NOON, latency_ms=7, prompt_tokens=9)
                record(connection, "alice", NOON, admitted=False, count=5)
            connection.execute(statements.encode())
        (alice,) = reports.usage(connection, since=NOON.replace(hour=0))
        assert (alice.requests, alice.refusals, alice.prompt_tokens) == (1, 5, 9)
        assert alice.median_ms == 7


def test_several_load_at_once(database_url: str) -> None:
    """The same users' records in any order: nobody fails, nothing is lost."""

    def load(seed: int) -> None:
        with connect(database_url, application="tests") as connection:
            for number in range(20):
                connection.execute(
                    "INSERT INTO llama_requests (id, created_at, username, user_id, method, path,"
                    " admitted) SELECT gen_random_uuid(), %s, 'user' || n, 1, 'POST', '/', true"
                    " FROM generate_series(1, 30) n ORDER BY hashint8(n * %s)",
                    [NOON, seed + number],
                )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(load, range(4)))
    with connect(database_url, application="tests") as connection:
        found = reports.usage(connection, since=NOON.replace(hour=0))
    assert [row.requests for row in found] == [80] * 30


def test_a_loader_that_falls_silent_holds_the_others_up_for_seconds_only(
    connection: psycopg.Connection,
) -> None:
    """The database ends it, once it holds sums that all need; other transactions are left alone."""
    setting = "SHOW idle_in_transaction_session_timeout"
    with connection.transaction():
        record(connection, "alice", NOON)
        assert connection.execute(setting).fetchone() == ("30s",)
    assert connection.execute(setting).fetchone() == ("0",)
