"""Three engines on machines of their own behind two proxies: one is killed, one cut off, under load."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace

import aiohttp
import pytest

from proxy.settings import BackendSettings, ProxySettings
from tests.support.engine import API_KEY, Engine
from tests.support.gguf import SLOW, build_model
from tests.support.namespaces import Namespace, NoNamespacesError, engine_on, namespaces
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.wait import until, wait_until

LIMIT, SENT = 24, 30
SLOTS = 2


@pytest.fixture(scope="module")
def machines() -> Iterator[list[Namespace]]:
    try:
        with namespaces(3) as made:
            yield made
    except NoNamespacesError:
        pytest.skip("only root, with the right to make networks, has namespaces")


@pytest.fixture(scope="module")
def engines(
    machines: list[Namespace], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Engine]]:
    """One on each machine."""
    model = tmp_path_factory.mktemp("models") / "slow.gguf"
    build_model(model, shape=SLOW)
    with ExitStack() as stack:
        found = []
        for number, machine in enumerate(machines):
            root = tmp_path_factory.mktemp(f"engine{number}")
            engine = stack.enter_context(engine_on(machine, root, model, slots=SLOTS))
            engine.spawn()
            found.append(engine)
        for engine in found:
            wait_until(lambda e=engine: e.health() == 200, "the engine to serve", deadline_s=60)  # type: ignore[misc]
        yield found


async def ask(proxy: RunningProxy, key: str, number: int) -> str:
    """Send a request, every other one for a stream; says how it ended."""
    said = [{"role": "user", "content": f"{number} Hello"}]
    try:
        async with proxy.chat(
            key, messages=said, max_tokens=12, stream=number % 2 == 0, seed=number
        ) as response:
            body = await response.read()
    except aiohttp.ClientError:
        return "broken"
    return "broken" if b"upstream_error" in body else str(response.status)


async def test_what_only_waits_outlives_an_engine_that_is_killed_and_one_that_is_cut_off(
    settings: ProxySettings,
    create_user: Callable[..., str],
    engines: list[Engine],
    machines: list[Namespace],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The window is exact over both proxies; at most what had begun at these two engines breaks."""
    monkeypatch.setattr("proxy.scheduling.engine_watch.AMONG_OTHERS_EVERY_S", 0.3)
    key = create_user("alice", rate_limit=LIMIT, rate_window_seconds=600)
    backends = tuple(BackendSettings(url=engine.url, key=API_KEY) for engine in engines)
    shared = replace(settings, shared=True, backends=backends, connect_timeout_s=1.0)
    async with AsyncExitStack() as stack:
        proxies = [
            await stack.enter_async_context(
                running_proxy(replace(shared, spool_dir=shared.spool_dir / name))
            )
            for name in ("one", "two")
        ]
        for proxy in proxies:
            await until(lambda p=proxy: p.app.turns.slots == 3 * SLOTS // 2, "half of the slots")  # type: ignore[misc]
        tasks = [
            asyncio.create_task(ask(proxies[number % 4 // 2], key, number)) for number in range(SENT)
        ]
        await until(lambda: sum(task.done() for task in tasks) > SENT - LIMIT + 3, "some to end")
        engines[0].process.send_signal(signal.SIGKILL)  # type: ignore[union-attr]
        machines[1].connect(up=False)
        outcomes = Counter(await asyncio.gather(*tasks))
        assert outcomes["429"] == SENT - LIMIT
        assert outcomes["200"] + outcomes["broken"] == LIMIT
        assert outcomes["broken"] <= 2 * SLOTS
        rows = [row for row in await proxies[0].rows(SENT) if row["admitted"]]
        broken = [row for row in rows if row["error"] is not None]
        assert len(broken) == outcomes["broken"]
        assert all(row["ttft_ms"] is not None for row in broken), "a request that only waited was lost"
        machines[1].connect(up=True)
        await until(
            lambda: all(p.app.turns.backends[1].usable for p in proxies), "the one cut off to be used"
        )
        assert not any(p.app.turns.backends[0].usable for p in proxies)
