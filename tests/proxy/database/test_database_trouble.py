"""A database that is slow, locked, cut off or another program's holds up no known user and no row."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from proxy.identity import keys
from proxy.settings import ProxySettings
from tests.support.pipe import Pipe
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.wait import until


@pytest.fixture
async def known(settings: ProxySettings, key: str) -> AsyncIterator[RunningProxy]:
    """A proxy without a limit on wrong keys that has served its one user once."""
    async with running_proxy(replace(settings, auth_failures_per_minute=0)) as proxy:
        assert await status_of(proxy, key) == (200, None)
        yield proxy


async def status_of(proxy: RunningProxy, key: str) -> tuple[int, str | None]:
    async with proxy.chat(key) as response:
        body = await response.json()
        return response.status, body["error"]["code"] if "error" in body else None


async def served_again(proxy: RunningProxy, key: str) -> None:
    async def served() -> bool:
        return await status_of(proxy, key) == (200, None)

    await until(served, "the user to be served")


async def test_a_lock_on_the_records_holds_up_the_records_alone(
    known: RunningProxy, key: str, create_user: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As VACUUM FULL or a backup takes one. Whose window is not known yet must wait: a 503."""
    monkeypatch.setattr("proxy.records.request_log.RETRY_S", 0.2)
    bob = create_user("bob")
    with psycopg.connect(known.settings.database_url) as connection:
        connection.execute("LOCK TABLE llama_requests IN ACCESS EXCLUSIVE MODE")
        for _ in range(5):
            assert await status_of(known, key) == (200, None)
        assert await status_of(known, bob) == (503, "auth_unavailable")
        connection.rollback()
    await served_again(known, bob)
    statuses = await until(lambda: statuses_in(known.settings.database_url, 6), "the rows")
    assert statuses == {200: 6}


def statuses_in(url: str, count: int) -> dict[int, int] | None:
    """How many rows of alice's there are by status, once there are so many."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT status_code, count(*) FROM llama_requests WHERE username = 'alice' GROUP BY 1"
        ).fetchall()
    found: dict[int, int] = dict(rows)
    return found if sum(found.values()) == count else None


async def test_a_crowd_of_unknown_keys_on_a_stuck_database_leaves_room_for_known_ones(
    known: RunningProxy, key: str, create_user: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They use up the pool, and get a 503 each; only so many are looked up at a time."""
    monkeypatch.setattr("proxy.identity.authentication.key_lookup.QUERY_TIMEOUT_S", 0.5)
    bob = create_user("bob")
    with psycopg.connect(known.settings.database_url) as connection:
        connection.execute("LOCK TABLE llama_api_keys IN ACCESS EXCLUSIVE MODE")
        crowd = [asyncio.create_task(status_of(known, keys.create_key().key)) for _ in range(200)]
        for _ in range(5):
            assert await status_of(known, key) == (200, None)
        assert set(await asyncio.gather(*crowd)) == {(503, "auth_unavailable")}
        connection.rollback()
    await served_again(known, bob)
    assert await status_of(known, keys.create_key().key) == (401, "invalid_api_key")
    await until(lambda: statuses_in(known.settings.database_url, 6), "the rows")


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(b"COPY llama_requests_batch", id="in the midst of a COPY"),
        pytest.param(b"INSERT INTO llama_requests ", id="while rows are inserted"),
        pytest.param(b"COMMIT", id="when the commit is on its way"),
    ],
)
async def test_a_connection_that_breaks_loses_no_row_and_makes_none_twice(
    settings: ProxySettings, key: str, moment: bytes
) -> None:
    """As in a failover."""
    async with (
        Pipe(settings.database_url) as pipe,
        running_proxy(replace(settings, database_url=pipe.url)) as proxy,
    ):
        assert await status_of(proxy, key) == (200, None)
        pipe.cut_after = moment
        for _ in range(5):
            assert await status_of(proxy, key) == (200, None)
        await asyncio.wait_for(pipe.cut.wait(), 30)
        assert await status_of(proxy, key) == (200, None)
        # Not by way of the pipe, which lives in this event loop.
        await until(lambda: statuses_in(settings.database_url, 7), "the rows")


async def test_another_program_s_schema_is_told_of_and_lived_with(
    known: RunningProxy, key: str, create_user: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    """Known users are served, unknown keys get a 503; when it is right again, no restart is needed."""
    bob = create_user("bob")
    run(known, "ALTER TABLE llama_requests RENAME COLUMN error TO mistake")
    run(known, "ALTER TABLE llama_users RENAME COLUMN weight TO mass")
    assert await status_of(known, bob) == (503, "auth_unavailable")
    assert await status_of(known, key) == (200, None)
    await until(lambda: "stay in the spool for now" in caplog.text, "the log to tell")
    run(known, "ALTER TABLE llama_requests RENAME COLUMN mistake TO error")
    run(known, "ALTER TABLE llama_users RENAME COLUMN mass TO weight")
    await served_again(known, bob)
    await until(lambda: statuses_in(known.settings.database_url, 2), "the rows")


def run(proxy: RunningProxy, statement: Any) -> None:
    with psycopg.connect(proxy.settings.database_url, autocommit=True) as connection:
        connection.execute(statement)
