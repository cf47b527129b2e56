"""Several proxies in front of the same engines: they never send more than these have slots."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import aiohttp
import psycopg
import pytest

from proxy.scheduling.coordination import TTL_S, Coordination
from proxy.settings import BackendSettings, ProxySettings
from runtime.config import Config
from tests.support.process import ProxyProcess
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.upstream import FakeUpstream, fake_upstream
from tests.support.wait import until


def ask(proxy: RunningProxy, key: str, count: int) -> list[asyncio.Task[int]]:
    async def one(number: int) -> int:
        said = [{"role": "user", "content": str(number)}]
        async with proxy.chat(key, messages=said) as response:
            await response.read()
            return int(response.status)

    return [asyncio.create_task(one(number)) for number in range(count)]


@pytest.fixture
async def engines(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[FakeUpstream]]:
    """Two, with four slots each; proxies ask them often."""
    monkeypatch.setattr("proxy.scheduling.engine_watch.AMONG_OTHERS_EVERY_S", 0.05)
    async with fake_upstream() as one, fake_upstream() as two:
        for engine in (one, two):
            engine.slots, engine.model, engine.behaviour = 4, "a.gguf", engine.hold
        yield [one, two]


@pytest.fixture
def shared(settings: ProxySettings, engines: list[FakeUpstream]) -> ProxySettings:
    backends = tuple(BackendSettings(url=engine.url, key="engine-key") for engine in engines)
    config = Config(
        root=Path("/nowhere"),
        values={"LLAMA_SERVER_BACKENDS": ",".join(engine.url for engine in engines)},
    )
    return replace(settings, shared=True, backends=backends, rate_limit=1000, config=config)


@pytest.fixture
async def proxies(shared: ProxySettings) -> AsyncIterator[list[RunningProxy]]:
    """Two, that share the slots of both engines evenly while they are idle."""
    async with AsyncExitStack() as stack:
        found = [
            await stack.enter_async_context(
                running_proxy(replace(shared, spool_dir=shared.spool_dir / name))
            )
            for name in ("one", "two")
        ]
        for proxy in found:
            await until(lambda p=proxy: p.app.turns.slots == 4, "half of the slots")  # type: ignore[misc]
        yield found


def running(engines: list[FakeUpstream]) -> list[int]:
    return [engine.running for engine in engines]


async def test_two_proxies_never_send_more_than_the_slots(
    proxies: list[RunningProxy], engines: list[FakeUpstream], key: str
) -> None:
    """A busy one has all but what the other needs, gives it back as its requests end, and none waits."""
    first = ask(proxies[0], key, 12)
    await until(lambda: running(engines) == [4, 4], "one proxy to use all slots")
    second = ask(proxies[1], key, 4)
    await until(lambda: proxies[1].waiting() == 4, "the others to wait")
    for engine in engines:
        engine.go_on.set()
    assert set(await asyncio.gather(*first, *second)) == {200}
    assert max(engine.most for engine in engines) == 4
    for engine in engines:
        engine.go_on.clear()
    for proxy in proxies:
        await until(lambda p=proxy: p.app.turns.slots == 4, "half of the slots again")  # type: ignore[misc]
    both = [ask(proxy, key, 10) for proxy in proxies]
    await until(lambda: [proxy.at_engine() for proxy in proxies] == [4, 4], "both to have half")
    await until(lambda: running(engines) == [4, 4], "all slots to be used")
    for engine in engines:
        engine.go_on.set()
    assert {status for tasks in both for status in await asyncio.gather(*tasks)} == {200}
    assert max(engine.most for engine in engines) == 4


async def test_the_turns_of_a_proxy_that_is_killed_are_given_by_another_within_seconds(
    shared: ProxySettings,
    engines: list[FakeUpstream],
    create_user: Callable[..., str],
    directory: Path,
) -> None:
    """Two processes; kill -9 while one uses every slot: the other has them when its lease ends."""
    key = create_user("alice", rate_limit=1000)
    configuration = {
        "LLAMA_SERVER_DATABASE_URL": shared.database_url,
        "LLAMA_SERVER_BACKENDS": ",".join(engine.url for engine in engines),
        "LLAMA_SERVER_API_KEY": "engine-key",
        "LLAMA_PROXY_SHARED": "1",
    }
    async with AsyncExitStack() as stack:
        one, two = [
            await stack.enter_async_context(ProxyProcess(directory, **configuration)) for _ in range(2)
        ]
        client = await stack.enter_async_context(aiohttp.ClientSession())

        async def ask_process(proxy: ProxyProcess) -> int:
            body = {"messages": [{"role": "user", "content": "Hello"}]}
            headers = {"Authorization": f"Bearer {key}"}
            try:
                url = f"{proxy.url}/v1/chat/completions"
                async with client.post(url, json=body, headers=headers) as response:
                    await response.read()
                    return response.status
            except aiohttp.ClientError:
                return 0

        lost = [asyncio.create_task(ask_process(one)) for _ in range(8)]
        await until(lambda: running(engines) == [4, 4], "one proxy to use all slots")
        waiting = [asyncio.create_task(ask_process(two)) for _ in range(8)]
        with psycopg.connect(shared.database_url, autocommit=True) as connection:
            wanted = "SELECT sum(demand) FROM llama_leases"
            await until(lambda: connection.execute(wanted).fetchone() == (16,), "the others to wait")
            one.signal(signal.SIGKILL)
            killed_at = time.monotonic()
            assert await asyncio.gather(*lost) == [0] * 8
            await until(lambda: running(engines) == [4, 4], "the other to use all slots")
            seconds = time.monotonic() - killed_at
            print(f"the slots of the killed proxy were used again after {seconds:.1f} s")
            assert connection.execute("SELECT count(*) FROM llama_proxies").fetchone() == (1,)
        for engine in engines:
            engine.go_on.set()
        assert await asyncio.gather(*waiting) == [200] * 8
    assert seconds < 3 * TTL_S
    assert max(engine.most for engine in engines) == 4


async def test_without_the_database_a_proxy_uses_its_slots_no_longer_than_its_lease(
    shared: ProxySettings, engines: list[FakeUpstream], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then others may have them; when the database is back, it goes on."""
    monkeypatch.setattr("proxy.scheduling.coordination.TTL_S", 0.3)
    monkeypatch.setattr("proxy.scheduling.coordination.RENEW_EVERY_S", 0.05)
    async with running_proxy(shared) as proxy:
        turns = proxy.app.turns
        await until(lambda: turns.slots == 8, "all slots")
        with monkeypatch.context() as broken:

            async def fails(_: Coordination) -> None:
                raise psycopg.OperationalError("out of reach")

            broken.setattr(Coordination, "_renew", fails)
            await until(lambda: turns.queues["generate"].paused, "its lease to end")
        await until(lambda: not turns.queues["generate"].paused and turns.slots == 8, "a new lease")
    assert running(engines) == [0, 0]


async def test_a_drained_engine_gets_nothing_new_from_any_proxy(
    proxies: list[RunningProxy], engines: list[FakeUpstream], key: str, admin_key: str
) -> None:
    """What runs there goes on; the admin API shows it, and a second call takes it back."""
    path = "/admin/v1/backends"

    async def drain(url: str, *, drained: bool) -> int:
        body = {"url": url, "drained": drained}
        async with proxies[0].request("POST", path, key=admin_key, json=body) as response:
            return int(response.status)

    tasks = ask(proxies[1], key, 2)
    await until(lambda: running(engines) == [1, 1], "one to run at each")
    assert await drain(engines[0].url, drained=True) == 200
    await until(lambda: all(p.app.turns.backends[0].drained for p in proxies), "both to know")
    tasks += ask(proxies[1], key, 3)
    await until(lambda: running(engines) == [1, 4], "the others to run elsewhere")
    async with proxies[1].request("GET", path, key=admin_key) as response:
        shown = (await response.json())["data"]
    assert [(one["url"], one["state"], one["running"]) for one in shown] == [
        (engines[0].url, "drained", 1),
        (engines[1].url, "ready", 4),
    ]
    assert await drain(engines[0].url, drained=False) == 200
    await until(lambda: not any(p.app.turns.backends[0].drained for p in proxies), "both to know")
    for engine in engines:
        engine.go_on.set()
    assert set(await asyncio.gather(*tasks)) == {200}
    assert await drain("http://elsewhere:1", drained=True) == 404
    async with proxies[0].request("GET", path, key=key) as response:
        assert response.status == 403
