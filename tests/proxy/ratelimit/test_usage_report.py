"""GET /v1/usage: a user's own limits and what is used of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import orjson
import psycopg
import pytest

from proxy.database.pool import connect
from proxy.identity import groups
from proxy.identity.principal import Principal
from proxy.ratelimit.admission import Admission, Admitter
from proxy.ratelimit.sliding_window import Decision
from proxy.ratelimit.usage_report import READINGS_AT_ONCE, UsageReports
from proxy.settings import ProxySettings
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.upstream import FakeUpstream
from tests.support.wait import until

USAGE = "/v1/usage"


async def report(proxy: RunningProxy, key: str) -> list[dict[str, Any]]:
    """The windows, by kind."""
    async with proxy.request("GET", USAGE, key=key) as response:
        assert response.status == 200
        told = await response.json()
        assert (told["object"], told["user"]) == ("usage", "alice")
        windows: list[dict[str, Any]] = told["windows"]
        assert told["budgets"] == []
        requests = windows[0]
        assert response.headers["x-ratelimit-remaining-requests"] == str(requests["remaining"])
        return windows


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "shared"])
async def test_users_see_their_limits_and_what_is_left(
    settings: ProxySettings, upstream: FakeUpstream, create_user: Callable[..., str], shared: bool
) -> None:
    """Also when nothing is left. Asking uses up nothing, never reaches the engine, and has its row."""
    key = create_user("alice", rate_limit=2, rate_window_seconds=600, token_limit=15)
    async with running_proxy(replace(settings, shared=shared)) as proxy:
        requests, tokens = await report(proxy, key)
        assert (requests["kind"], requests["limit"], requests["used"]) == ("requests", 2, 0)
        assert (requests["remaining"], requests["window_seconds"]) == (2, 600)
        assert (requests["resets_at"], requests["next_at"]) == (None, None)
        assert (tokens["kind"], tokens["limit"], tokens["remaining"]) == ("tokens", 15, 15)
        for _ in range(2):
            async with proxy.chat(key) as response:
                assert response.status == 200
        requests, tokens = await report(proxy, key)
        assert (requests["used"], requests["remaining"]) == (2, 0)
        assert (tokens["used"], tokens["remaining"]) == (15, 0)
        for window in (requests, tokens):
            now = datetime.now(UTC)
            left_s = (datetime.fromisoformat(window["resets_at"]) - now).total_seconds()
            assert 500 < left_s <= 601
            assert 0 < (datetime.fromisoformat(window["next_at"]) - now).total_seconds() <= left_s
        assert [received.path for received in upstream.received] == ["/v1/chat/completions"] * 2
        rows = await proxy.rows(4)
        assert [(row["path"], row["status_code"], row["admitted"]) for row in rows] == [
            (USAGE, 200, False),
            ("/v1/chat/completions", 200, True),
            ("/v1/chat/completions", 200, True),
            (USAGE, 200, False),
        ]


async def test_the_usage_is_the_key_s_own_and_only_read(proxy: RunningProxy, key: str) -> None:
    """Without a token limit there is one window; without a key none; and nothing can be posted."""
    assert [window["kind"] for window in await report(proxy, key)] == ["requests"]
    async with proxy.request("GET", USAGE) as response:
        assert response.status == 401
    async with proxy.request("POST", USAGE, key=key, json={}) as response:
        assert (response.status, response.headers["Allow"]) == (405, "GET")


async def test_a_flood_of_questions_is_no_flood_of_rows(proxy: RunningProxy, key: str) -> None:
    """They are folded like refusals: nothing limits how many there are."""
    for _ in range(60):
        await report(proxy, key)

    def counts() -> list[int] | None:
        with psycopg.connect(proxy.settings.database_url) as connection:
            found = [count for (count,) in connection.execute("SELECT count FROM llama_requests")]
        return found if sum(found) == 60 else None

    assert len(await until(counts, "all questions to be counted")) < 60


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "shared"])
async def test_budgets_and_the_group_s_limits_are_told_too(
    settings: ProxySettings, create_user: Callable[..., str], database_url: str, shared: bool
) -> None:
    """A budget is charged once, also where the user's tokens have no window."""
    key = create_user("alice", token_budget=30)
    with connect(database_url, application="tests") as connection:
        groups.create_group(connection, name="lab", rate_limit=5, token_budget=100, budget_period="day")
        groups.set_group(connection, "alice", "lab")
    async with running_proxy(replace(settings, shared=shared)) as proxy:
        async with proxy.chat(key) as response:
            assert response.status == 200
        async with proxy.request("GET", USAGE, key=key) as response:
            told = await response.json()
    found = [(one["of"], one["kind"], one["limit"], one["remaining"]) for one in told["windows"]]
    assert found == [("user", "requests", 60, 59), ("group", "requests", 5, 4)]
    found = [(one["of"], one["period"], one["limit"], one["used"]) for one in told["budgets"]]
    assert found == [("user", "month", 30, 10), ("group", "day", 100, 10)]
    assert all(datetime.fromisoformat(one["resets_at"]) > datetime.now(UTC) for one in told["budgets"])


class SlowAdmitter:
    """Looks only when it is told to, and counts who is looked at."""

    def __init__(self) -> None:
        self.looked_at: list[int] = []
        self.may_end = asyncio.Event()

    async def look(self, principal: Principal) -> Admission:
        self.looked_at.append(principal.user_id)
        await self.may_end.wait()
        window = Decision(admitted=True, limit=9, remaining=4, retry_after_s=0.0, reset_s=60.0)
        return Admission(window, None)


async def test_asking_often_costs_what_asking_once_costs(settings: ProxySettings) -> None:
    """One reading for all requests of a user, and few at a time for all users, who may also leave."""
    admitter = SlowAdmitter()
    reports = UsageReports(cast("Admitter", admitter), settings)
    asking = [
        asyncio.create_task(reports.read(principal(user))) for user in range(5) for _ in range(100)
    ]
    await asyncio.sleep(0.05)
    assert len(admitter.looked_at) == READINGS_AT_ONCE
    asking.pop().cancel()
    admitter.may_end.set()
    read = await asyncio.gather(*asking)

    assert sorted(admitter.looked_at) == [0, 1, 2, 3, 4]
    assert [orjson.loads(body)["user"] for _, body in read[::100]] == [f"u{user}" for user in range(5)]
    await reports.read(principal(0))
    assert admitter.looked_at.count(0) == 2


def principal(user: int) -> Principal:
    return Principal(
        public_id=f"p{user}",
        key_id=user,
        user_id=user,
        username=f"u{user}",
        is_active=True,
        revoked=False,
        expires_at=None,
        rate_limit=9,
        rate_window_s=60.0,
    )
