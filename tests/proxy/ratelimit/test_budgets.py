"""Budgets of tokens for a calendar period, alone and with other proxies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from proxy.database.pool import connect
from proxy.identity import users
from proxy.identity.principal import NOBODY
from proxy.ratelimit.local_budgets import LocalBudgets, _Counter
from proxy.records.history import BudgetHistory
from proxy.records.request_log import RequestLog
from proxy.records.spool import Spool
from proxy.settings import ProxySettings
from tests.proxy.ratelimit.outcomes import OK, TOKENS, USED_UP, outcome
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.records import record
from tests.support.upstream import FakeUpstream
from tests.support.wait import until


async def test_a_budget_that_is_used_up_refuses_until_it_is_renewed(
    either: RunningProxy, create_user: Callable[..., str]
) -> None:
    """The error says when, and that trying again is of no use. Other users go on."""
    alice = create_user("alice", token_budget=2 * TOKENS)
    bob = create_user("bob")
    assert [await outcome(either, alice) for _ in range(3)] == [OK, OK, USED_UP]
    async with either.chat(alice) as response:
        assert response.headers["x-should-retry"] == "false"
        month_s = int(response.headers["retry-after"])
        assert 0 < month_s <= 31 * 86_400
        error = (await response.json())["error"]
        assert error["type"] == "insufficient_quota"
        assert "your budget of 20 tokens a month" in error["message"]
    async with either.request("GET", "/v1/models", key=alice) as response:
        assert response.status == 200, "what uses no tokens goes on"
    assert await outcome(either, bob) == OK


async def test_a_restart_forgets_nothing(
    settings_of_both: ProxySettings, create_user: Callable[..., str]
) -> None:
    """What was used before counts, and so does what was used before there was a budget."""
    alice, bob = create_user("alice", token_budget=2 * TOKENS), create_user("bob")
    async with running_proxy(settings_of_both) as proxy:
        assert [await outcome(proxy, key) for key in (alice, alice, bob)] == [OK] * 3
    with connect(settings_of_both.database_url, application="tests") as connection:
        users.set_limits(connection, "bob", token_budget=2 * TOKENS, budget_period="day")
    async with running_proxy(settings_of_both) as proxy:
        assert await outcome(proxy, alice) == USED_UP
        assert [await outcome(proxy, bob) for _ in range(2)] == [OK, USED_UP]


async def test_a_budget_that_is_set_while_requests_run_counts_them(
    either: RunningProxy, upstream: FakeUpstream, create_user: Callable[..., str]
) -> None:
    """Those that end after the budget was read are charged to it, once each."""
    alice = create_user("alice")
    assert await outcome(either, alice) == OK
    upstream.behaviour = upstream.hold
    held = [asyncio.create_task(outcome(either, alice)) for _ in range(2)]
    await until(lambda: either.at_engine() == 2, "two run")
    with connect(either.settings.database_url, application="tests") as connection:
        users.set_limits(connection, "alice", token_budget=3 * TOKENS)
    await until(lambda: _budget_of(either, "alice") == 3 * TOKENS, "the budget is known")
    upstream.behaviour = None
    assert await outcome(either, alice) == OK
    upstream.go_on.set()
    assert await asyncio.gather(*held) == [OK, OK]
    await either.rows(4)
    assert await outcome(either, alice) == USED_UP


def _budget_of(proxy: RunningProxy, username: str) -> int | None:
    cache = proxy.app.operators.authenticator._cache.values()
    return next((one.token_budget for one in cache if one.username == username), None)


async def test_several_proxies_share_a_budget(
    settings: ProxySettings, create_user: Callable[..., str]
) -> None:
    """What one has charged the other refuses at once, before any record is in the database."""
    shared = replace(settings, shared=True)
    alice = create_user("alice", token_budget=3 * TOKENS, budget_period="week")
    second = replace(shared, spool_dir=shared.spool_dir.parent / "second")
    async with running_proxy(shared) as one, running_proxy(second) as two:
        assert [await outcome(proxy, alice) for proxy in (one, two, one)] == [OK] * 3
        assert [await outcome(proxy, alice) for proxy in (one, two)] == [USED_UP] * 2


@pytest.fixture
async def log(database_url: str, directory: Path) -> AsyncIterator[RequestLog]:
    """A request log; `run` is not running."""
    async with AsyncConnectionPool(database_url, kwargs={"autocommit": True}) as pool:
        made = RequestLog(pool, Spool(directory / "spool"))
        made.recovered.set()
        yield made
        await made.close()


LIMITED = replace(NOBODY, user_id=1, username="alice", token_budget=1000)


async def test_a_request_that_ends_as_the_budget_is_read_counts_once(log: RequestLog) -> None:
    """It ends after the first request under the budget came, before the records are asked for."""
    budgets = LocalBudgets(log, time.time)
    running = record(prompt_tokens=7, completion_tokens=3)
    log.admitted(running)

    def end() -> None:
        log.ended(running)
        budgets.charge(LIMITED, running)

    looked = asyncio.create_task(budgets.look(LIMITED))
    asyncio.get_running_loop().call_soon(end)  # in the same turn of the event loop
    assert [state.used for state in await looked] == [TOKENS]


async def test_a_request_that_ends_as_the_reading_does_counts_once(
    log: RequestLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counter has been opened, and the end of its reading has not been noted yet."""
    budgets = LocalBudgets(log, time.time)
    running = record(prompt_tokens=7, completion_tokens=3)
    log.admitted(running)
    opened = _Counter.open

    def open_and_charge(counter: _Counter, history: BudgetHistory) -> None:
        opened(counter, history)
        asyncio.get_running_loop().call_soon(budgets.charge, LIMITED, running)

    monkeypatch.setattr(_Counter, "open", open_and_charge)
    await budgets.look(LIMITED)
    assert [state.used for state in await budgets.look(LIMITED)] == [TOKENS]


async def test_a_new_period_begins_by_the_calendar(
    settings: ProxySettings, create_user: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In memory: at the time that the database gave, without asking it again."""
    alice = create_user("alice", token_budget=TOKENS, budget_period="day")
    async with running_proxy(settings) as proxy:
        assert [await outcome(proxy, alice) for _ in range(2)] == [OK, USED_UP]
        admitter: Any = proxy.app._handler._admitter
        clock = admitter._budgets._clock
        admitter._budgets._clock = lambda: clock() + 86_400
        assert [await outcome(proxy, alice) for _ in range(2)] == [OK, USED_UP]


@pytest.mark.parametrize("period", ["day", "week", "month"])
def test_the_database_begins_a_new_period(
    database_url: str, create_user: Callable[..., str], period: str
) -> None:
    """A budget of the last period counts for nothing, and records of it change nothing."""
    create_user("alice")
    query = "SELECT used, reset_s FROM llama_budget_used(1, 'alice', %s)"
    with psycopg.connect(database_url, autocommit=True) as connection:
        assert connection.execute(query, [period]).fetchone()[0] == 0  # type: ignore[index]
        add = "SELECT llama_budget_charge(gen_random_uuid(), 1, 7)"
        connection.execute(add)
        connection.execute(add)
        used, reset_s = connection.execute(query, [period]).fetchone()  # type: ignore[misc]
        assert used == 14
        ends = datetime.now(UTC).timestamp() + reset_s
        starts = connection.execute(
            "SELECT starts FROM llama_budget_history(1, 'alice', %s, now(), '{}')", [period]
        ).fetchone()
        assert starts[0][1] == pytest.approx(ends, abs=1.0)  # type: ignore[index]
        connection.execute(
            "UPDATE llama_budget_use SET period_start = period_start - ('1 ' || period)::interval"
        )
        assert connection.execute(query, [period]).fetchone()[0] == 0  # type: ignore[index]
        connection.execute(add)
        assert connection.execute(query, [period]).fetchone()[0] == 7  # type: ignore[index]


def test_a_charge_and_its_record_count_once(database_url: str, create_user: Callable[..., str]) -> None:
    """In whatever order they come; a record without a charge counts too."""
    create_user("alice")
    row = (
        "INSERT INTO llama_requests (id, created_at, username, user_id, method, path, admitted,"
        " tokens_charged) VALUES (%s, now(), 'alice', 1, 'POST', '/', true, 5)"
    )
    charge = "SELECT llama_budget_charge(%s, 1, 5)"
    one, two, three = (f"00000000-0000-0000-0000-00000000000{number}" for number in (1, 2, 3))
    used = "SELECT used FROM llama_budget_used(1, 'alice', 'month')"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(used)
        for statement, values in (
            (charge, [one]), (charge, [one]), (row, [one]),
            (row, [two]), (charge, [two]), (row, [three]),
        ):  # fmt: skip
            connection.execute(statement, values)
        assert connection.execute(used).fetchone() == (15,)
        assert connection.execute("SELECT count(*) FROM llama_budget_charges").fetchone() == (0,)


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York"])
async def test_a_day_begins_at_midnight_in_the_databases_time_zone(
    settings_of_both: ProxySettings, create_user: Callable[..., str], zone: str
) -> None:
    """The error tells the time until then, whichever the machine's own time zone is."""
    alice = create_user("alice", token_budget=TOKENS, budget_period="day")
    with psycopg.connect(settings_of_both.database_url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE \"{name}\" SET timezone = '{zone}'")
    async with running_proxy(settings_of_both) as proxy:
        assert [await outcome(proxy, alice) for _ in range(2)] == [OK, USED_UP]
        async with proxy.chat(alice) as response:
            left_s = int(response.headers["retry-after"])
    now = datetime.now(ZoneInfo(zone))
    midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), now.tzinfo)
    assert left_s == pytest.approx(midnight.timestamp() - now.timestamp(), abs=5)
