"""How long statements on a large `llama_requests` take: usage, windows, loading, removing.

    runtime/.venv/bin/python -m tests.bench.records [--rows 10000000]

Starts a PostgreSQL of its own, as the appliance runs it, fills it and leaves nothing behind.
Times are the best of three, with what the statement reads in the system's cache.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg_pool import AsyncConnectionPool

from proxy.database import schema
from proxy.database.pool import connect
from proxy.records import reports
from proxy.records.record import RequestRecord
from proxy.records.request_log import RequestLog
from proxy.records.retention import Retention
from proxy.records.spool import Spool
from tests.bench.request_rows import DAYS, USERS, make_rows
from tests.support.postgres import Postgres
from tests.support.proxy import settings_for

DAY_S = 86_400
LOADED = 20_000
BATCHES = ((10, 200), (1000, 20))
"""Rows of a batch, and how many batches."""
# Percentiles computed from the records themselves, for comparison.
_FROM_RECORDS: LiteralString = """
    SELECT username, sum(count), sum(prompt_tokens), sum(completion_tokens), sum(response_bytes),
           percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY latency_ms) FILTER (WHERE admitted)
    FROM llama_requests WHERE created_at >= %s GROUP BY 1
"""
_HISTORY: LiteralString = """
    SELECT h.* FROM llama_users u, llama_window_history(
        u.id, u.username, %s, now() - %s * interval '1 s', now(), now(), '{}') h
    WHERE u.username = 'user1'
"""
_INSERT: LiteralString = """
    INSERT INTO llama_requests SELECT * FROM batch OFFSET %s LIMIT %s ON CONFLICT (id) DO NOTHING
"""
_MEANWHILE: tuple[LiteralString, LiteralString] = (
    "INSERT INTO llama_requests SELECT * FROM one",
    "SELECT sum(u.requests) FROM llama_requests r CROSS JOIN LATERAL llama_usage_of(r) u"
    " WHERE r.created_at > now() - interval '1 hour'",
)
_ONE: LiteralString = "CREATE TEMPORARY TABLE one AS SELECT * FROM llama_requests LIMIT 1"
_WITHOUT: dict[str, LiteralString] = {
    "as it is": "SELECT",
    "without the sums": "DROP TRIGGER llama_requests_usage ON llama_requests",
    "without the index on created_at": "DROP INDEX llama_requests_created_at",
    "without the index on username, created_at": "DROP INDEX llama_requests_username_created_at",
}


def show(what: str, work: Callable[[], object], rounds: int = 3) -> None:
    """Print a line with the best time of several runs."""
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    print(f"  {what:52} {min(times) * 1e3:10.1f} ms", flush=True)


def show_sizes(connection: psycopg.Connection) -> None:
    """Tables and indexes, in MiB."""
    rows = connection.execute(
        "SELECT relname, pg_relation_size(oid) / 2^20 FROM pg_class"
        " WHERE relname ~ '^llama_(requests|usage)' AND relkind IN ('r', 'i') ORDER BY 1"
    )
    for name, size in rows:
        print(f"  {name:52} {size:10.0f} MiB")


def show_usage(connection: psycopg.Connection) -> None:
    """`usage` of one user and of all, over a day, a month and all; and without the sums."""
    now = datetime.now(UTC)
    for days in (1, 30, DAYS + 1):
        since = now - timedelta(days=days)
        for user in ("user1", None):
            name = f"usage, {days} days, {user or 'all users'}"
            show(name, lambda s=since, u=user: reports.usage(connection, since=s, user=u))  # type: ignore[misc]
    show(f"usage by day, {days} days", lambda: reports.usage(connection, since=since, by="day"))
    records = lambda: connection.execute(_FROM_RECORDS, [since]).fetchall()  # noqa: E731
    show("the same from the records alone", records, rounds=1)


def show_history(connection: psycopg.Connection) -> None:
    """Measure the query of a proxy that first sees the user with the most records."""
    for days in (1, 30, DAYS):
        for kind in ("requests", "tokens"):
            parameters = [kind, days * DAY_S]
            show(
                f"the history of a window of {days} days, {kind}",
                lambda p=parameters: connection.execute(_HISTORY, p).fetchall(),  # type: ignore[misc]
            )


def show_inserts(connection: psycopg.Connection) -> None:
    """The loader's INSERT, and what each index and the sums take of it: nothing of it is kept."""
    total = sum(rows * batches for rows, batches in BATCHES)
    connection.execute(
        "CREATE TEMPORARY TABLE batch AS SELECT * FROM llama_requests TABLESAMPLE SYSTEM (10) LIMIT %s",
        [total],
    )
    connection.execute(
        "UPDATE batch SET id = uuidv7(), created_at = clock_timestamp() + interval '1 minute'"
    )
    # In turn, since what is rolled back is left in the indexes until the end.
    times = [[_insert(connection, change) for change in _WITHOUT.values()] for _ in range(5)]
    connection.execute("VACUUM llama_requests, llama_usage")
    for name, rounds in zip(_WITHOUT, zip(*times, strict=True), strict=True):
        for (rows, _), of_size in zip(BATCHES, zip(*rounds, strict=True), strict=True):
            each, wal = (min(values) for values in zip(*of_size, strict=True))
            print(
                f"  {name}, {rows} rows at a time".ljust(54)
                + f"{each:7.1f} µs, {wal:5.0f} bytes of WAL a row"
            )


def _insert(connection: psycopg.Connection, change: LiteralString) -> list[tuple[float, float]]:
    """Microseconds and bytes of WAL a row, for each size of batch."""
    found, offset = [], 0
    with connection.transaction(force_rollback=True):
        connection.execute(change)
        for rows, batches in BATCHES:
            begun, wal = time.perf_counter(), _wal(connection)
            for _ in range(batches):
                connection.execute(_INSERT, [offset, rows])
                offset += rows
            took, written = time.perf_counter() - begun, _wal(connection) - wal
            found.append((took / rows / batches * 1e6, written / rows / batches))
    return found


def _wal(connection: psycopg.Connection) -> float:
    """The bytes of write-ahead log written so far."""
    row = connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchone()
    return float(row[0]) if row else 0.0


async def show_loading(url: str) -> None:
    """Records through the spool into the table, as a proxy brings them there."""
    with tempfile.TemporaryDirectory() as directory:
        async with AsyncConnectionPool(url, kwargs={"autocommit": True}) as pool:
            log = RequestLog(pool, Spool(Path(directory)))
            for number in range(LOADED):
                user = number % USERS + 1
                record = RequestRecord(
                    created_at=time.time(), username=f"user{user}", user_id=user, key_id=user,
                    method="POST", path="/v1/chat/completions",
                )  # fmt: skip
                record.admitted, record.admitted_at, record.status_code = True, time.time(), 200
                record.latency_ms = number % 9000
                record.prompt_tokens = record.completion_tokens = 100
                log.admitted(record)
                log.ended(record)
            begun = time.perf_counter()
            await log.close()
            took = time.perf_counter() - begun
    each = f"{took / LOADED * 1e6:8.1f} µs a row"
    print(f"  loading {LOADED} records from the spool".ljust(64) + each)


async def show_retention(url: str) -> None:
    """Remove all but two days of records, while records are loaded and usage is queried."""
    await _show_waits(url, "meanwhile nothing", asyncio.sleep(5))
    with tempfile.TemporaryDirectory() as directory:
        settings = settings_for(
            database_url=url, backend_url="", directory=Path(directory), retention_s=2.0 * DAY_S
        )
        begun = time.perf_counter()
        removed = await _show_waits(url, "while records are removed", Retention(settings).prune())
        took = time.perf_counter() - begun
    print(f"  {removed} records removed in {took:.0f} s")


async def _show_waits(url: str, name: str, work: Coroutine[None, None, object]) -> object:
    """What an insert, and the usage of an hour from records, take while something else is done."""
    task = asyncio.create_task(work)
    waits: dict[str, list[float]] = {"an insert": [], "usage of an hour": []}
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(_ONE)
        while not task.done():
            await connection.execute("UPDATE one SET id = gen_random_uuid(), created_at = now()")
            for samples, statement in zip(waits.values(), _MEANWHILE, strict=True):
                begun = time.perf_counter()
                await connection.execute(statement)
                samples.append((time.perf_counter() - begun) * 1e3)
            await asyncio.sleep(0.05)
    for what, samples in waits.items():
        samples.sort()
        median, most, longest = (samples[(len(samples) - 1) * part // 100] for part in (50, 99, 100))
        print(f"  {name}, {what}: {median:.1f} ms (median), {most:.1f} (99 %), {longest:.1f} (longest)")
    return await task


def main(arguments: list[str]) -> int:
    """Fill a database and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    rows = parser.parse_args(arguments).rows
    print(f"{platform.system()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    with Postgres() as postgres:
        url = postgres.fresh_database()
        with connect(url, application="bench") as connection:
            schema.migrate(connection)
            begun = time.perf_counter()
            make_rows(connection, rows)
            print(f"{rows} records, made in {time.perf_counter() - begun:.0f} s")
            show_sizes(connection)
            show_usage(connection)
            show_history(connection)
            show_inserts(connection)
        asyncio.run(show_loading(url))
        asyncio.run(show_retention(url))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
