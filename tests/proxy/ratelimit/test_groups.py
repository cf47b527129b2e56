"""What the members of a group share: its budget and its windows, alone and with other proxies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from proxy.database.pool import connect
from proxy.identity import groups
from proxy.settings import ProxySettings
from tests.proxy.ratelimit.outcomes import OK, TOKENS, USED_UP, outcome
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.upstream import FakeUpstream
from tests.support.wait import until


async def test_the_members_of_a_group_share_its_budget(
    either: RunningProxy, create_user: Callable[..., str]
) -> None:
    """The error says whose budget it is. Who leaves the group is free; what was used stays."""
    alice, bob, carol = (create_user(name) for name in ("alice", "bob", "carol"))
    with connect(either.settings.database_url, application="tests") as connection:
        groups.create_group(connection, "lab", token_budget=2 * TOKENS)
        for name in ("alice", "bob"):
            groups.set_group(connection, name, "lab")
        assert [await outcome(either, key) for key in (alice, bob)] == [OK, OK]
        async with either.chat(bob) as response:
            assert response.status == 429
            assert "your group's budget" in await response.text()
        assert await outcome(either, carol) == OK
        groups.set_group(connection, "alice", None)
        await until(lambda: _ends_with(either, alice, OK), "alice is out")
        assert await outcome(either, bob) == USED_UP


async def _ends_with(proxy: RunningProxy, key: str, expected: tuple[int, str | None]) -> bool:
    return await outcome(proxy, key) == expected


async def test_the_members_of_a_group_share_its_window(
    settings_of_both: ProxySettings, create_user: Callable[..., str]
) -> None:
    """Exactly so many requests of all together, over a restart too. A refusal counts for nobody."""
    names = ("alice", "bob", "carol")
    keys = [create_user(name, rate_limit=4) for name in names]
    with connect(settings_of_both.database_url, application="tests") as connection:
        groups.create_group(connection, "lab", rate_limit=5, rate_window_seconds=600)
        for name in names:
            groups.set_group(connection, name, "lab")
    async with running_proxy(settings_of_both) as proxy:
        found = await asyncio.gather(*(outcome(proxy, key) for key in keys))
        assert found == [OK] * 3
    async with running_proxy(settings_of_both) as proxy:
        found = await asyncio.gather(*(outcome(proxy, key) for key in keys * 3))
        assert sorted(found) == [OK] * 2 + [(429, "rate_limit_exceeded")] * 7
        with connect(settings_of_both.database_url, application="tests") as connection:
            groups.set_group_limits(connection, "lab", rate_limit=None)
        # Each user's own window has only what was served: 9 requests of 12 places are left in all.
        await until(lambda: _ends_with(proxy, keys[0], OK), "the group has no limit any more")
        left = [await outcome(proxy, key) for key in keys for _ in range(5)]
        assert left.count(OK) == 12 - 5 - 1


async def test_requests_that_began_before_a_groups_token_limit_count_in_it(
    either: RunningProxy, upstream: FakeUpstream, create_user: Callable[..., str]
) -> None:
    """Also where another member's request has opened the group's window before they end."""
    alice, bob = create_user("alice"), create_user("bob")
    with connect(either.settings.database_url, application="tests") as connection:
        groups.create_group(connection, "lab")
        for name in ("alice", "bob"):
            groups.set_group(connection, name, "lab")
        assert await outcome(either, bob) == OK
        upstream.behaviour = upstream.hold
        held = asyncio.create_task(outcome(either, alice))
        await until(lambda: either.at_engine() == 1, "one runs")
        groups.set_group_limits(connection, "lab", token_limit=50 * TOKENS, rate_window_seconds=600)
    await until(lambda: _of_group(either, bob, "tokens"), "the limit is known")
    upstream.behaviour = None
    assert await outcome(either, bob) == OK
    upstream.go_on.set()
    assert await held == OK

    async def all_count() -> bool:
        window = await _of_group(either, bob, "tokens")
        return window is not None and window["used"] == 3 * TOKENS

    await until(all_count, "all three in the group's window", deadline_s=10)


async def test_requests_count_for_a_group_while_it_has_no_limit(
    either: RunningProxy, create_user: Callable[..., str]
) -> None:
    """A limit that is given again finds what was served meanwhile."""
    alice = create_user("alice")
    limits: dict[str, Any] = {"rate_limit": 50, "rate_window_seconds": 600}
    with connect(either.settings.database_url, application="tests") as connection:
        groups.create_group(connection, "lab", **limits)
        groups.set_group(connection, "alice", "lab")
        assert await outcome(either, alice) == OK
        groups.set_group_limits(connection, "lab", rate_limit=None)

        async def is_unlimited() -> bool:
            return await _of_group(either, alice, "requests") is None

        await until(is_unlimited, "the group has no limit")
        assert [await outcome(either, alice) for _ in range(2)] == [OK, OK]
        groups.set_group_limits(connection, "lab", **limits)
    window = await until(lambda: _of_group(either, alice, "requests"), "the limit is known")
    assert window["used"] == 3


async def _of_group(proxy: RunningProxy, key: str, kind: str) -> dict[str, Any] | None:
    """The window of the user's group, as GET /v1/usage tells it."""
    async with proxy.request("GET", "/v1/usage", key=key) as response:
        windows = (await response.json())["windows"]
    return next((one for one in windows if (one["of"], one["kind"]) == ("group", kind)), None)
