"""Old records go, in small batches, and nothing that still counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from proxy.database.pool import connect
from proxy.identity import groups, users
from proxy.identity.limits import Period
from proxy.records import reports, retention
from proxy.records.retention import Retention
from proxy.settings import ProxySettings
from runtime.config import Config
from tests.support.proxy import running_proxy
from tests.support.wait import until

DAY = 86_400.0


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    with connect(database_url, application="tests") as connection:
        yield connection


@pytest.fixture
def settings(settings: ProxySettings) -> ProxySettings:
    """Records are kept for 10 days."""
    return replace(settings, retention_s=10 * DAY)


def make(connection: psycopg.Connection, *ages: float, each: int = 1) -> None:
    """So many records of each age in days."""
    connection.execute(
        "INSERT INTO llama_requests (id, created_at, username, user_id, method, path, admitted,"
        " latency_ms) SELECT gen_random_uuid(), now() - age * interval '1 day', 'alice', 1, 'POST', '/',"
        " true, 5"
        " FROM unnest(%s::float8[]) age, generate_series(1, %s)",
        [list(ages), each],
    )


def ages(connection: psycopg.Connection) -> list[int]:
    """The ages in days of the records that are there, the oldest first."""
    rows = connection.execute(
        "SELECT extract(epoch FROM now() - created_at) / 86400 FROM llama_requests ORDER BY created_at"
    )
    return [int(row[0]) for row in rows]


async def test_what_is_older_goes_and_usage_still_knows_it(
    connection: psycopg.Connection, settings: ProxySettings
) -> None:
    """By the batch, the last of which need not be full; a second time there is nothing to do."""
    make(connection, 400.5, 12.5, each=1500)
    make(connection, 11.5, 8.5, 0.5)
    since = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=500)
    before = reports.usage(connection, since=since)
    assert await Retention(settings).prune() == 3001
    assert ages(connection) == [8, 0]
    assert await Retention(settings).prune() == 0
    assert reports.usage(connection, since=since) == before
    assert before[0].requests == 3003


async def test_rows_of_one_moment_are_all_removed(
    connection: psycopg.Connection, settings: ProxySettings
) -> None:
    """More than a batch takes: the next begins at the moment where the last ended."""
    make(connection, 20, each=3 * retention.MAX_ROWS)
    assert await Retention(settings).prune() == 3 * retention.MAX_ROWS


async def test_what_a_window_may_need_stays(
    connection: psycopg.Connection, settings: ProxySettings
) -> None:
    """The longest of the default's and all users', and a day, since tokens are charged at the end."""
    users.create_user(connection, username="alice", rate_window_seconds=30 * DAY)
    make(connection, 32.5, 30.5, 25.5, 12.5)
    await Retention(settings).prune()
    assert ages(connection) == [30, 25, 12]
    users.set_limits(connection, "alice", rate_window_seconds=None)
    await Retention(replace(settings, rate_window_s=20 * DAY)).prune()
    assert ages(connection) == [12]
    connection.execute("UPDATE llama_users SET rate_window_seconds = 'Infinity'")
    await Retention(settings).prune()
    assert ages(connection) == [12]


async def test_one_proxy_at_a_time(connection: psycopg.Connection, settings: ProxySettings) -> None:
    """The others leave it to the one that is at it, and take over when that is gone."""
    make(connection, 20.5)
    with psycopg.connect(settings.database_url) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [retention._ADVISORY_LOCK])
        assert await Retention(settings).prune() is None
    assert await Retention(settings).prune() == 1


async def test_a_locked_table_is_waited_for_elsewhere(
    connection: psycopg.Connection,
    settings: ProxySettings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A proxy tells of it in one line, goes on serving, and removes the records once it can."""
    monkeypatch.setattr(retention, "RETRY_S", 0.1)
    make(connection, 20.5)
    with psycopg.connect(settings.database_url) as other:
        other.execute("LOCK TABLE llama_requests")
        async with running_proxy(settings) as proxy:
            await until(lambda: "old request records stay for now" in caplog.text, "the line")
            async with proxy.request("GET", "/healthz") as answer:
                assert answer.status == 200
            other.rollback()
            await until(lambda: not ages(connection), "the record's removal")
    lines = [record for record in caplog.records if "stay for now" in record.getMessage()]
    assert [record.exc_info for record in lines if record.name == "proxy.records.retention"] == [None]


async def test_without_a_database_there_is_one_line(
    settings: ProxySettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And the proxy is there."""
    monkeypatch.setattr(retention, "RETRY_S", 0.01)
    url = settings.database_url.split("?")[0] + "?host=/nowhere"
    async with running_proxy(replace(settings, database_url=url)) as proxy:
        await until(lambda: "old request records stay for now" in caplog.text, "the line")
        async with proxy.request("GET", "/healthz") as answer:
            assert answer.status == 200
    assert "Traceback" not in caplog.text


async def test_unless_it_is_asked_for_nothing_is_removed(
    connection: psycopg.Connection, settings: ProxySettings
) -> None:
    """The part ends at once."""
    make(connection, 36_000.5)
    await Retention(replace(settings, retention_s=None)).run()
    assert ages(connection) == [36_000]


@pytest.mark.parametrize(("days", "seconds"), [("", None), ("1", DAY), ("36500", 36_500 * DAY)])
def test_the_configuration_gives_days(directory: Path, days: str, seconds: float | None) -> None:
    """None where it says nothing."""
    values = {"LLAMA_SERVER_DATABASE_URL": "postgresql://host/db", "LLAMA_REQUESTS_RETENTION_DAYS": days}
    settings = ProxySettings.from_config(Config(root=directory, values=values))
    assert settings.retention_s == seconds


async def test_after_a_failure_it_goes_on_where_it_was(
    connection: psycopg.Connection, settings: ProxySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a smaller batch; what is older and came late goes in the next round."""
    monkeypatch.setattr(retention, "MAX_ROWS", 10)
    make(connection, 30, each=10)
    make(connection, 20, each=10)
    keeper = Retention(settings)
    with psycopg.connect(settings.database_url) as other:
        other.execute(
            "SELECT FROM llama_requests WHERE created_at > now() - interval '25 days' FOR UPDATE"
        )
        with pytest.raises(psycopg.errors.LockNotAvailable):
            await keeper.prune()
    assert set(ages(connection)) == {20}
    make(connection, 40)
    assert await keeper.prune() == 10
    assert ages(connection) == [40]
    assert await keeper.prune() == 1


@pytest.mark.parametrize(("period", "kept"), [("day", [8]), ("week", [8]), ("month", [30, 20, 8])])
async def test_what_a_budget_counts_stays(
    connection: psycopg.Connection, settings: ProxySettings, period: Period, kept: list[int]
) -> None:
    """As long as its period can be, of a group too."""
    make(connection, 40.5, 30.5, 20.5, 8.5)
    groups.create_group(connection, "lab", token_budget=5, budget_period=period)
    await Retention(settings).prune()
    assert ages(connection) == kept
