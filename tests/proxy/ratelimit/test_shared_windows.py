"""LLAMA_PROXY_SHARED=1: several proxies, one database, one window for each user."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from proxy.database.pool import connect
from proxy.errors import ApiError
from proxy.identity import users
from proxy.identity.principal import NOBODY, Principal
from proxy.ratelimit.admission import Admission
from proxy.ratelimit.queries import fetch
from proxy.ratelimit.shared import SharedAdmission
from proxy.records.request_log import RequestLog
from proxy.records.spool import Spool
from proxy.settings import ProxySettings
from tests.support.process import ProxyProcess
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.records import record
from tests.support.upstream import FakeUpstream
from tests.support.wait import until


@pytest.fixture
async def pair(settings: ProxySettings) -> AsyncIterator[list[RunningProxy]]:
    """Two proxies on one database."""
    shared = replace(settings, shared=True)
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(running_proxy(shared)) for _ in range(2)]


async def ask(proxy: RunningProxy, key: str) -> tuple[int, dict[str, Any], Any]:
    """Status, body and headers of a chat completion."""
    async with proxy.chat(key) as response:
        return response.status, await response.json(), response.headers


async def test_a_limit_holds_for_two_proxies_together(
    pair: list[RunningProxy], create_user: Callable[..., str], database_url: str
) -> None:
    """Three at the one, then one at the other: the next is refused by both, until the window is over."""
    key = create_user("alice", rate_limit=4, rate_window_seconds=600)
    one, two = pair
    for number in range(3):
        status, _, headers = await ask(one, key)
        assert (status, headers["x-ratelimit-remaining-requests"]) == (200, str(3 - number))
    status, _, headers = await ask(two, key)
    assert (status, headers["x-ratelimit-remaining-requests"]) == (200, "0")
    assert headers["x-ratelimit-limit-requests"] == "4"
    assert headers["x-ratelimit-reset-requests"] == "10m0s"
    for proxy in pair:
        status, body, headers = await ask(proxy, key)
        assert status == 429
        assert body["error"]["type"] == "requests"
        assert 300_000 < int(headers["retry-after-ms"]) <= 600_000
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE llama_window_entries SET first_at = first_at - interval '10 min',"
            " last_at = last_at - interval '10 min'"
        )
    assert (await ask(one, key))[0] == 200


async def test_four_proxies_hammered_at_once_let_exactly_the_limit_through(
    directory: Path, upstream: FakeUpstream, create_user: Callable[..., str], database_url: str
) -> None:
    """4 processes, 500 requests at once at each, a limit of 100."""
    key = create_user("alice", rate_limit=100, rate_window_seconds=600)
    configuration = {
        "LLAMA_SERVER_DATABASE_URL": database_url,
        "LLAMA_SERVER_BACKEND_URL": upstream.url,
        "LLAMA_PROXY_SHARED": "1",
        "LLAMA_PROXY_MAX_CONCURRENT": "4",
        "LLAMA_PROXY_QUEUE_SIZE_PER_USER": "100",
    }
    async with AsyncExitStack() as stack:
        proxies = [
            await stack.enter_async_context(ProxyProcess(directory, **configuration)) for _ in range(4)
        ]
        connector = aiohttp.TCPConnector(limit=0)
        client = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        headers = {"Authorization": f"Bearer {key}"}

        async def status(url: str) -> int:
            async with client.post(url + "/v1/completions", headers=headers, json={}) as response:
                return response.status

        urls = [proxy.url for proxy in proxies for _ in range(500)]
        statuses = Counter(await asyncio.gather(*map(status, urls)))
    assert statuses == {200: 100, 429: 1900}
    assert len(upstream.received) == 100


async def test_what_is_refused_after_all_is_given_back(
    settings: ProxySettings, upstream: FakeUpstream, create_user: Callable[..., str]
) -> None:
    """A request that waited in vain has used up nothing, at the other proxy neither."""
    key = create_user("alice", rate_limit=2, rate_window_seconds=600)
    shared = replace(settings, shared=True, max_concurrent=2)
    async with (
        running_proxy(replace(shared, queue_timeout_s=0.1)) as one,
        running_proxy(shared) as two,
    ):
        for proxy in (one, two):
            await until(lambda p=proxy: p.app.turns.backends[0].leased == 1, "a slot for each")  # type: ignore[misc]
        upstream.behaviour = upstream.hold
        first = asyncio.create_task(ask(one, key))
        await until(lambda: upstream.running, "the first to run")
        assert (await ask(one, key))[0] == 503
        upstream.behaviour = None

        async def passes() -> bool:
            return (await ask(two, key))[0] == 200

        await until(passes, "the place to be free again", deadline_s=3)
        assert (await ask(two, key))[0] == 429
        upstream.go_on.set()
        assert (await first)[0] == 200


async def test_tokens_are_counted_together(
    pair: list[RunningProxy], create_user: Callable[..., str]
) -> None:
    """10 tokens a request under a limit of 15: two pass, wherever; the next is refused at once."""
    key = create_user("alice", token_limit=15, rate_window_seconds=600)
    one, two = pair
    assert (await ask(one, key))[0] == 200
    status, _, headers = await ask(one, key)
    assert (status, headers["x-ratelimit-remaining-tokens"]) == (200, "5")
    status, body, headers = await ask(one, key)
    assert (status, body["error"]["type"]) == (429, "tokens")
    assert headers["x-ratelimit-remaining-tokens"] == "0"
    status, body, _ = await ask(two, key)
    assert (status, body["error"]["type"]) == (429, "tokens")
    async with two.request("GET", "/v1/models", key=key) as response:
        assert response.status == 200


async def test_tokens_used_up_while_a_request_waited_refuse_it(
    pair: list[RunningProxy], upstream: FakeUpstream, create_user: Callable[..., str]
) -> None:
    """Here too: of ten that came at once one runs."""
    key = create_user("alice", token_limit=5)
    upstream.behaviour = upstream.hold
    tasks = [asyncio.create_task(ask(pair[0], key)) for _ in range(10)]
    await until(lambda: pair[0].waiting() == 9, "nine to wait")
    upstream.go_on.set()
    assert Counter([(await task)[0] for task in tasks]) == {200: 1, 429: 9}


async def test_records_from_before_it_was_shared_count(
    settings: ProxySettings, create_user: Callable[..., str]
) -> None:
    """A proxy that stood alone is joined by another: what it admitted is known, tokens too."""
    key = create_user("alice", rate_limit=3, token_limit=1000, rate_window_seconds=600)
    async with running_proxy(settings) as proxy:
        assert [(await ask(proxy, key))[0] for _ in range(2)] == [200, 200]
        await proxy.rows(2)
    async with running_proxy(replace(settings, shared=True)) as proxy:
        status, _, headers = await ask(proxy, key)
        assert status == 200
        assert headers["x-ratelimit-remaining-tokens"] == "980"
        assert (await ask(proxy, key))[0] == 429


async def test_limits_changed_while_in_use(
    pair: list[RunningProxy], create_user: Callable[..., str], database_url: str
) -> None:
    """A lowered limit and a longer window hold at both; what the short window forgot counts again."""
    key = create_user("alice", rate_limit=1, rate_window_seconds=0.05)

    async def passes() -> bool:
        return (await ask(pair[0], key))[0] == 200

    for _ in range(3):
        await until(passes, "a place in a short window")
    with connect(database_url, application="tests") as connection:
        users.set_limits(connection, "alice", rate_limit=1000, rate_window_seconds=600)

    async def remaining() -> int | None:
        status, _, headers = await ask(pair[1], key)
        known = status == 200 and headers["x-ratelimit-limit-requests"] == "1000"
        return int(headers["x-ratelimit-remaining-requests"]) if known else None

    left = await until(remaining, "the new limit")
    with psycopg.connect(database_url) as connection:
        rows = await until(lambda: _admitted(connection, 1000 - left), "the rows")
    assert rows == 1000 - left >= 4


def _admitted(connection: psycopg.Connection, at_least: int) -> int | None:
    row = connection.execute("SELECT count(*) FROM llama_requests WHERE admitted").fetchone()
    connection.commit()
    assert row is not None
    return int(row[0]) if row[0] >= at_least else None


async def test_without_the_database_nobody_is_admitted(
    settings: ProxySettings, create_user: Callable[..., str], database_url: str
) -> None:
    """A 503 with a time to come back: what is not known must not pass."""
    key = create_user("alice")
    async with running_proxy(replace(settings, shared=True)) as proxy:
        assert (await ask(proxy, key))[0] == 200
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("ALTER FUNCTION llama_admit_once RENAME TO llama_admit_away")
            status, body, headers = await ask(proxy, key)
            assert (status, body["error"]["code"]) == (503, "auth_unavailable")
            assert headers["retry-after"] == "5"
            connection.execute("ALTER FUNCTION llama_admit_away RENAME TO llama_admit_once")
        assert (await ask(proxy, key))[0] == 200


async def test_memory_is_bounded_in_the_database_too(database_url: str) -> None:
    """6,000 admissions under a limit of 10⁹ take a bounded number of rows, and none is forgotten."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT max(a.used) FROM generate_series(1, 6000) n,"
            " LATERAL llama_admit(7, 'alice', 1 + n * 0, 1000000000, 600, NULL) a"
        ).fetchone()
        assert row == (5_999,)
        row = connection.execute("SELECT count(*), sum(count) FROM llama_window_entries").fetchone()
    assert row is not None
    assert row[0] < 4500
    assert row[1] == 6_000


async def test_a_database_clock_that_was_set_back_shuts_nobody_out(
    database_url: str, create_user: Callable[..., str], settings: ProxySettings
) -> None:
    """Entries of a time to come count as now, for one window."""
    key = create_user("alice", rate_limit=1, rate_window_seconds=1.0)
    async with running_proxy(replace(settings, shared=True)) as proxy:
        assert (await ask(proxy, key))[0] == 200
        with psycopg.connect(database_url) as connection:
            connection.execute(
                "UPDATE llama_window_entries SET first_at = now() + '1 hour', last_at = now() + '1 hour'"
            )
        assert (await ask(proxy, key))[0] == 429

        async def passes() -> bool:
            return (await ask(proxy, key))[0] == 200

        await until(passes, "the window to be over", deadline_s=30)


async def test_a_deleted_user_leaves_no_window(
    settings: ProxySettings, create_user: Callable[..., str], database_url: str
) -> None:
    """Neither entries nor state."""
    key = create_user("alice")
    async with running_proxy(replace(settings, shared=True)) as proxy:
        assert (await ask(proxy, key))[0] == 200
        with psycopg.connect(database_url, autocommit=True) as connection:
            users.delete_user(connection, "alice")
            for table in ("llama_window_entries", "llama_windows"):
                assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)  # noqa: S608


@pytest.fixture
async def shared(settings: ProxySettings, directory: Path) -> AsyncIterator[SharedAdmission]:
    """The windows alone, with the records they are made of; `run` is not running."""
    async with AsyncConnectionPool(settings.database_url, kwargs={"autocommit": True}) as pool:
        log = RequestLog(pool, Spool(directory / "spool"))
        log.recovered.set()
        made = SharedAdmission(settings=replace(settings, shared=True), pool=pool, request_log=log)
        yield made
        await made.close()
        await log.close()


def alice(**limits: Any) -> Principal:
    """The first user, with these limits in ten minutes."""
    return replace(NOBODY, user_id=1, username="alice", rate_window_s=600.0, **limits)


def replace_fetch(monkeypatch: pytest.MonkeyPatch, replacement: Any) -> None:
    """Let another function ask the database."""
    for module in ("queries", "shared"):
        monkeypatch.setattr(f"proxy.ratelimit.{module}.fetch", replacement)


async def test_an_unforeseen_error_leaves_nobody_waiting(
    shared: SharedAdmission, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Those asked for and those that came meanwhile are refused or served; the next is as ever."""
    calls = 0

    async def broken(*values: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            await asyncio.sleep(0)
            raise KeyError("unforeseen")
        return await fetch(*values)

    replace_fetch(monkeypatch, broken)
    first = asyncio.create_task(shared.admit(alice(rate_limit=5), generates=True))
    await until(lambda: calls, "the first to be asked for")
    second = asyncio.create_task(shared.admit(alice(rate_limit=5), generates=True))
    async with asyncio.timeout(10):
        ends = await asyncio.gather(first, second, return_exceptions=True)
    assert isinstance(ends[0], ApiError)
    assert ends[0].status == 500
    assert isinstance(ends[1], Admission)
    assert ends[1].requests.remaining == 4
    assert "unforeseen" in caplog.text


async def test_a_lost_reply_counts_once(
    shared: SharedAdmission, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database carries out each call, but its first reply to each is lost."""
    monkeypatch.setattr("proxy.ratelimit.queries.RETRY_S", 0.0)
    lost: list[Any] = []

    async def lossy(pool: AsyncConnectionPool, statement: Any, values: Any) -> Any:
        row = await fetch(pool, statement, values)
        if statement not in lost:
            lost.append(statement)
            raise psycopg.OperationalError("the connection is lost")
        return row

    replace_fetch(monkeypatch, lossy)
    principal = alice(rate_limit=5, token_limit=100)
    with pytest.raises(ApiError) as failure:
        await shared.admit(principal, generates=True)
    assert failure.value.status == 503
    await shared.close()
    admission = await shared.admit(principal, generates=True)
    assert admission.requests.remaining == 4
    assert await shared.admit(principal, generates=True)
    shared.give_back(principal, admission)
    shared.charge(principal, record(prompt_tokens=7, completion_tokens=3))
    await shared.close()
    monkeypatch.undo()
    admission = await shared.admit(principal, generates=True)
    assert admission.requests.remaining == 3
    assert admission.tokens is not None
    assert admission.tokens.remaining == 90
    assert len(lost) == 4


async def test_a_charge_whose_record_was_counted_already_counts_once(shared: SharedAdmission) -> None:
    """The window is made of the records, among them the one that is being charged for."""
    one = record(prompt_tokens=7, completion_tokens=3)
    shared._log.ended(one)
    await shared._log.load()
    shared.charge(alice(rate_limit=5, token_limit=100), one)
    left = await shared.tokens_left(alice(rate_limit=5, token_limit=100))
    assert left is not None
    assert left.remaining == 90


async def test_a_token_limit_set_in_mid_request_counts_that_request(
    shared: SharedAdmission, create_user: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its user had none when it began; another of the user's requests has opened the window since."""
    monkeypatch.setattr("proxy.ratelimit.shared.UNLIMITED_EVERY_S", 0.01)
    create_user("alice", token_limit=100)
    before, after = alice(rate_limit=5), alice(rate_limit=5, token_limit=100)
    await shared.admit(before, generates=True)
    await shared.admit(after, generates=True)
    running = record(prompt_tokens=7, completion_tokens=3)
    shared._log.ended(running)
    shared.charge(before, running)
    task = asyncio.create_task(shared.run())

    async def left() -> bool:
        tokens = await shared.tokens_left(after)
        return tokens is not None and tokens.remaining == 90

    await until(left, "the request to be charged", deadline_s=10)
    task.cancel()


async def test_windows_wait_for_what_an_earlier_process_left(
    shared: SharedAdmission, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until its records are loaded nobody is admitted: 503 after a while, or as soon as they are."""
    shared._log.recovered.clear()
    with monkeypatch.context() as patched:
        patched.setattr("proxy.ratelimit.shared.QUERY_TIMEOUT_S", 0.01)
        with pytest.raises(ApiError) as failure:
            await shared.admit(alice(rate_limit=5), generates=True)
        assert failure.value.status == 503
    asked = asyncio.create_task(shared.admit(alice(rate_limit=5), generates=True))
    await asyncio.sleep(0)
    assert not shared._waiting
    shared._log.recovered.set()
    assert (await asked).requests.remaining == 4


async def test_a_client_that_leaves_as_its_answer_comes_takes_no_place(
    shared: SharedAdmission, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of four that were admitted together three leave in that moment: one place is taken."""
    principal = alice(rate_limit=5)
    asked = [asyncio.create_task(shared.admit(principal, generates=True)) for _ in range(4)]
    distribute = shared._distribute

    def distribute_and_leave(*answers: Any) -> None:
        distribute(*answers)
        for one in asked[1:]:
            one.cancel()

    monkeypatch.setattr(shared, "_distribute", distribute_and_leave)
    ends = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(end) for end in ends[1:]] == [asyncio.CancelledError] * 3
    monkeypatch.undo()
    await shared.close()
    admission = await shared.admit(principal, generates=True)
    assert admission.requests.remaining == 3
