"""How many requests the engine gets at a time: as many as it tells, or as is set."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from proxy.settings import ProxySettings
from tests.support.process import free_port
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.upstream import FakeUpstream, fake_upstream
from tests.support.wait import until


def ask(proxy: RunningProxy, key: str, count: int) -> list[asyncio.Task[int]]:
    """Send so many chat requests; each task gives the response's status."""

    async def one() -> int:
        async with proxy.chat(key) as response:
            await response.read()
            return int(response.status)

    return [asyncio.create_task(one()) for _ in range(count)]


async def test_the_engine_gets_as_many_requests_as_it_tells(
    settings: ProxySettings, upstream: FakeUpstream, key: str
) -> None:
    """With LLAMA_PROXY_MAX_CONCURRENT unset the slots in its /health count."""
    upstream.slots, upstream.behaviour = 3, upstream.hold
    async with running_proxy(settings) as proxy:
        await until(lambda: proxy.app.turns.slots == 3, "the slots to be read")
        tasks = ask(proxy, key, 5)
        await until(lambda: (upstream.running, proxy.waiting()) == (3, 2), "three to run, two to wait")
        upstream.go_on.set()
        assert set(await asyncio.gather(*tasks)) == {200}
    assert upstream.most == 3


async def test_an_engine_that_tells_no_slots_gets_one_request(
    proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """As every engine can take."""
    upstream.behaviour = upstream.hold
    tasks = ask(proxy, key, 3)
    await until(lambda: (upstream.running, proxy.waiting()) == (1, 2), "one to run")
    upstream.go_on.set()
    assert set(await asyncio.gather(*tasks)) == {200}
    assert upstream.most == 1


async def test_a_number_that_is_set_counts_instead(
    settings: ProxySettings, upstream: FakeUpstream, key: str
) -> None:
    """LLAMA_PROXY_MAX_CONCURRENT=2 with an engine of five slots."""
    upstream.slots, upstream.behaviour = 5, upstream.hold
    async with running_proxy(replace(settings, max_concurrent=2)) as proxy:
        await until(lambda: proxy.app.turns.engine_is_ours, "the slots to be read")
        tasks = ask(proxy, key, 4)
        await until(lambda: (upstream.running, proxy.waiting()) == (2, 2), "two to run")
        upstream.go_on.set()
        assert set(await asyncio.gather(*tasks)) == {200}


async def test_the_slots_follow_the_engine_across_a_restart(
    settings: ProxySettings, create_user: Callable[..., str]
) -> None:
    """The model that comes has more slots, the next one fewer: no request is lost or sent twice."""
    port, key = free_port(), create_user("alice")
    async with running_proxy(replace(settings, backend_url=f"http://127.0.0.1:{port}")) as proxy:
        for slots in (2, 4, 1):
            tasks = ask(proxy, key, 6)
            await until(lambda: proxy.waiting() == 6, "the requests to wait for an engine")
            async with fake_upstream(port) as upstream:
                upstream.slots, upstream.behaviour = slots, upstream.hold
                await until(lambda up=upstream, n=slots: up.running == n, "the slots to be used")  # type: ignore[misc]
                assert proxy.waiting() == 6 - slots
                upstream.go_on.set()
                assert set(await asyncio.gather(*tasks)) == {200}
                assert (len(upstream.received), upstream.most) == (6, slots)


async def test_slots_that_change_unseen_are_read_again(
    settings: ProxySettings, upstream: FakeUpstream, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a restart between two requests; those that wait get their turns then."""
    monkeypatch.setattr("proxy.scheduling.engine_watch.READ_EVERY_S", 0.05)
    upstream.slots, upstream.behaviour = 1, upstream.hold
    async with running_proxy(settings) as proxy:
        await until(lambda: proxy.app.turns.engine_is_ours, "the slots to be read")
        tasks = ask(proxy, key, 4)
        await until(lambda: (upstream.running, proxy.waiting()) == (1, 3), "one to run")
        upstream.slots = 3
        await until(lambda: (upstream.running, proxy.waiting()) == (3, 1), "three to run")
        upstream.slots = 2
        await until(lambda: proxy.app.turns.slots == 2, "the slots to be read again")
        assert proxy.at_engine() == 3
        upstream.go_on.set()
        assert set(await asyncio.gather(*tasks)) == {200}


async def test_slots_of_an_engine_that_still_loads_are_read_as_soon_as_it_is_ready(
    settings: ProxySettings, upstream: FakeUpstream
) -> None:
    """The proxy starts beside the engine and asks it before its model is loaded."""
    upstream.slots, upstream.ready = 4, False
    async with running_proxy(settings) as proxy:
        await until(lambda: upstream.health_checks > 1, "the engine to be asked again")
        upstream.ready = True
        await until(lambda: proxy.app.turns.slots == 4, "the slots to be read", deadline_s=10)
