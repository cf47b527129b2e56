"""Several engines behind one proxy: which gets a request, and what becomes of it when one fails."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest
import trustme
from aiohttp import web

from proxy.settings import BackendSettings, ProxySettings
from tests.support.process import free_port
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.upstream import FakeUpstream, drop, events, fake_upstream
from tests.support.wait import until

SLOTS = 2


@dataclass
class Fleet:
    """A proxy in front of three engines with SLOTS slots each."""

    engines: list[FakeUpstream]
    proxy: RunningProxy

    def counts(self) -> list[int]:
        """How many requests each engine has got."""
        return [len(engine.received) for engine in self.engines]

    def running(self) -> list[int]:
        return [engine.running for engine in self.engines]

    def all_do(self, behaviour: Callable[[FakeUpstream], Any]) -> None:
        for engine in self.engines:
            engine.behaviour = behaviour(engine)

    async def usable(self, count: int) -> None:
        turns = self.proxy.app.turns
        await until(
            lambda: sum(backend.usable for backend in turns.backends) == count, f"{count} to be usable"
        )

    def ask(self, key: str, count: int, **fields: Any) -> list[asyncio.Task[tuple[int, bytes]]]:
        """Send so many requests, each a conversation of its own; each task gives status and body."""

        async def one(number: int) -> tuple[int, bytes]:
            said = {"messages": [{"role": "user", "content": str(number)}], **fields}
            async with self.proxy.chat(key, **said) as response:
                return response.status, await response.read()

        return [asyncio.create_task(one(number)) for number in range(count)]


def settings_of(settings: ProxySettings, *urls: str) -> ProxySettings:
    backends = tuple(BackendSettings(url=url, key="engine-key") for url in urls)
    return replace(settings, backends=backends)


def refusing(status: int) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    return refuse


@pytest.fixture
async def fleet(settings: ProxySettings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fleet]:
    """All three are known to the proxy, which asks for their health often."""
    monkeypatch.setattr("proxy.scheduling.engine_watch.AMONG_OTHERS_EVERY_S", 0.05)
    monkeypatch.setattr("proxy.scheduling.engine_watch.SETTLE_S", 0.01)
    async with AsyncExitStack() as stack:
        engines = [await stack.enter_async_context(fake_upstream()) for _ in range(3)]
        for engine in engines:
            engine.slots, engine.model = SLOTS, "a.gguf"
        urls = [engine.url for engine in engines]
        proxy = await stack.enter_async_context(running_proxy(settings_of(settings, *urls)))
        fleet = Fleet(engines, proxy)
        await fleet.usable(3)
        await until(lambda: proxy.app.turns.slots == 3 * SLOTS, "the slots to be read")
        yield fleet


async def test_requests_are_spread_and_no_engine_gets_more_than_its_slots(
    fleet: Fleet, key: str
) -> None:
    """Nine requests: two at each engine, three wait; each record names its engine."""
    fleet.all_do(lambda engine: engine.hold)
    tasks = fleet.ask(key, 9)
    await until(lambda: (sum(fleet.running()), fleet.proxy.waiting()) == (6, 3), "six to run")
    assert fleet.running() == [SLOTS] * 3
    for engine in fleet.engines:
        engine.go_on.set()
    assert {status for status, _ in await asyncio.gather(*tasks)} == {200}
    assert [engine.most for engine in fleet.engines] == [SLOTS] * 3
    rows = await fleet.proxy.rows(9)
    counted = Counter(row["backend"] for row in rows)
    assert [counted[engine.url] for engine in fleet.engines] == fleet.counts()


async def test_turns_are_fair_between_users_whatever_the_number_of_engines(
    fleet: Fleet, create_user: Callable[..., str]
) -> None:
    """A light user's request is the next one served, although a heavy user's fill all engines."""
    heavy, light = create_user("heavy"), create_user("light")
    fleet.all_do(lambda engine: engine.hold)
    tasks = fleet.ask(heavy, 12)
    await until(lambda: fleet.proxy.waiting() == 6, "six to wait")
    tasks += fleet.ask(light, 1, user="light")
    await until(lambda: fleet.proxy.waiting() == 7, "the light one to wait")
    before = fleet.counts()
    fleet.engines[1].go_on.set()
    await until(lambda: fleet.counts()[1] > before[1], "the next turn")
    assert b"light" in fleet.engines[1].received[before[1]].body
    for engine in fleet.engines:
        engine.go_on.set()
    await asyncio.gather(*tasks)


async def test_a_conversation_stays_with_its_engine_while_that_has_a_free_slot(
    fleet: Fleet, key: str
) -> None:
    """Its next request goes there, and elsewhere at once when the engine is full."""
    said: list[dict[str, str]] = [{"role": "user", "content": "Hello"}]
    first = fleet.ask(key, 1, messages=said)
    await asyncio.gather(*first)
    (home,) = [number for number, count in enumerate(fleet.counts()) if count]
    for turn in range(4):
        said += [{"role": "assistant", "content": "hi"}, {"role": "user", "content": str(turn)}]
        await asyncio.gather(*fleet.ask(key, 1, messages=said))
        assert fleet.counts()[home] == turn + 2
    fleet.all_do(lambda engine: engine.hold)
    tasks = fleet.ask(key, 3, messages=[*said, *said])
    await until(lambda: sum(fleet.running()) == 3, "all to run")
    assert sorted(fleet.running()) in ([0, 1, 2], [1, 1, 1])
    for engine in fleet.engines:
        engine.go_on.set()
    await asyncio.gather(*tasks)


async def test_an_engine_that_is_gone_is_not_used_and_comes_back(
    settings: ProxySettings, key: str, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests go to the others meanwhile; nobody sees an error, and each is answered once."""
    monkeypatch.setattr("proxy.scheduling.engine_watch.AMONG_OTHERS_EVERY_S", 0.05)
    monkeypatch.setattr("proxy.scheduling.engine_watch.SETTLE_S", 0.01)
    port = free_port()
    several = settings_of(settings, upstream.url, f"http://127.0.0.1:{port}")
    upstream.slots, upstream.model = 1, "a.gguf"
    async with running_proxy(several) as proxy:
        fleet = Fleet([upstream], proxy)
        await fleet.usable(1)
        assert {status for status, _ in await asyncio.gather(*fleet.ask(key, 3))} == {200}
        async with fake_upstream(port) as second:
            second.slots, second.model = 1, "a.gguf"
            await fleet.usable(2)
            assert {status for status, _ in await asyncio.gather(*fleet.ask(key, 4))} == {200}
            assert second.received
        assert {status for status, _ in await asyncio.gather(*fleet.ask(key, 4))} == {200}
        await fleet.usable(1)
        assert len(upstream.received) + len(second.received) == 11
        async with proxy.request("GET", "/readyz") as response:
            assert (response.status, (await response.json())["engine"]) == (200, True)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_engine_that_breaks_off_before_the_first_byte_is_replaced_by_another(
    fleet: Fleet, key: str, *, stream: bool
) -> None:
    """A stream's head may have come: the client sees one whole response, and the row says whose."""

    async def breaks(request: web.Request) -> web.StreamResponse:
        if stream:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            await asyncio.sleep(0.05)
        await drop(request)
        return web.Response()

    fleet.engines[0].behaviour = breaks
    for engine in fleet.engines[1:]:
        engine.behaviour = engine.as_asked
    tasks = fleet.ask(key, 3, stream=stream)
    found = await asyncio.gather(*tasks)
    assert {status for status, _ in found} == {200}
    if stream:
        assert {body for _, body in found} == {b"".join(events("one", "two"))}
    counts = fleet.counts()
    assert counts[0] >= 1
    assert sum(counts) == 3 + counts[0]
    rows = await fleet.proxy.rows(3)
    assert fleet.engines[0].url not in {row["backend"] for row in rows}


async def test_a_request_that_breaks_engines_is_not_sent_to_all_of_them(fleet: Fleet, key: str) -> None:
    """To two at most; then its client gets the error."""

    async def breaks(request: web.Request) -> web.StreamResponse:
        await drop(request)
        return web.Response()

    fleet.all_do(lambda _: breaks)
    ((status, _),) = await asyncio.gather(*fleet.ask(key, 1))
    assert status == 502
    assert sum(fleet.counts()) == 2


async def test_nothing_is_sent_twice_after_the_first_byte(fleet: Fleet, key: str) -> None:
    """The stream ends with an error event."""
    fleet.all_do(lambda engine: engine.stream_and_drop)
    ((status, body),) = await asyncio.gather(*fleet.ask(key, 1, stream=True))
    assert (status, b"upstream_error" in body) == (200, True)
    assert sum(fleet.counts()) == 1


async def test_an_engine_that_falls_silent_loses_what_it_has_not_begun_to_answer(
    fleet: Fleet, key: str
) -> None:
    """As one whose link is down: two checks fail, then its requests are sent to others."""
    engine = fleet.engines[0]
    engine.behaviour = engine.stall
    tasks = fleet.ask(key, 3)
    await until(lambda: engine.running == 1, "one to hang")
    engine.ready = False
    assert {status for status, _ in await asyncio.gather(*tasks)} == {200}
    assert sum(fleet.counts()) == 4


async def test_an_engine_without_room_gets_less_and_the_request_goes_elsewhere(
    fleet: Fleet, key: str
) -> None:
    """Its 503, if it is not ours, reaches no client while others have room, and it is tried later."""
    other, turns = fleet.engines[0], fleet.proxy.app.turns
    other.slots = None
    await until(lambda: turns.slots == 2 * SLOTS + 1, "it to be no longer ours")
    other.behaviour = refusing(503)
    before = fleet.counts()[0]
    assert {status for status, _ in await asyncio.gather(*fleet.ask(key, 5))} == {200}
    assert fleet.counts()[0] > before
    other.behaviour = None
    before = fleet.counts()[0]
    await until(lambda: turns.slots == 2 * SLOTS + 1, "its slot to come back")
    await asyncio.gather(*fleet.ask(key, 6))
    assert fleet.counts()[0] > before


async def test_our_engine_s_503_is_about_the_request_and_takes_no_slots(fleet: Fleet, key: str) -> None:
    """Its client gets it as from a single engine: else a user could take the slots of others."""
    fleet.all_do(lambda _: refusing(503))
    turns = fleet.proxy.app.turns
    limits: list[int] = []
    for _ in range(4):
        ((status, _),) = await asyncio.gather(*fleet.ask(key, 1))
        assert status == 503
        limits.append(turns.slots)
    assert limits == [3 * SLOTS] * 4
    assert sum(fleet.counts()) == 4


async def test_an_engine_that_refuses_its_key_is_away_for_a_while_and_says_so(
    fleet: Fleet, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others answer; no client sees the 401, and it is not sent the next request at once."""
    monkeypatch.setattr("proxy.scheduling.engine_watch.SETTLE_S", 1.5)
    fleet.engines[0].behaviour = refusing(401)
    watch = fleet.proxy.app.turns.backends[0].watch
    assert {status for status, _ in await asyncio.gather(*fleet.ask(key, 3))} == {200}
    assert (watch.available, watch.problem) == (False, "refuses the key")
    fleet.engines[0].behaviour = None
    await fleet.usable(3)
    assert watch.problem is None


async def test_an_engine_with_another_model_is_not_used(
    fleet: Fleet, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says which serves what; when it serves the same again, it is used."""
    fleet.engines[2].model = "b.gguf"
    await fleet.usable(2)
    assert "b.gguf" in caplog.text
    assert fleet.engines[2].url in caplog.text
    await asyncio.gather(*fleet.ask(key, 6))
    assert fleet.counts()[2] == 0
    fleet.engines[2].model = "a.gguf"
    await fleet.usable(3)


async def test_an_engine_whose_certificate_is_not_trusted_is_not_used_and_the_log_says_why(
    settings: ProxySettings, upstream: FakeUpstream, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The others serve; its problem is shown to operators."""
    upstream.slots, upstream.model = 1, "a.gguf"
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    async with fake_upstream(tls=tls) as untrusted:
        assert untrusted.url.startswith("https:")
        several = settings_of(settings, untrusted.url, upstream.url)
        async with running_proxy(several) as proxy:
            fleet = Fleet([untrusted, upstream], proxy)
            await fleet.usable(1)
            problem = await until(lambda: proxy.app.turns.backends[0].problem, "its problem")
            assert "certificate verify failed" in problem
            assert f"the engine {untrusted.url} is not there yet: {problem}" in caplog.text
            assert {status for status, _ in await asyncio.gather(*fleet.ask(key, 3))} == {200}
    assert fleet.counts() == [0, 3]


async def test_slots_that_are_set_count_instead_of_those_that_are_reported(
    settings: ProxySettings, upstream: FakeUpstream, key: str
) -> None:
    """URL*3 in front of an engine that tells nothing; the key is its own."""
    upstream.behaviour = upstream.hold
    backends = (
        BackendSettings(url=upstream.url, key="its-own", slots=3),
        BackendSettings(url=f"http://127.0.0.1:{free_port()}", key="another"),
    )
    async with running_proxy(replace(settings, backends=backends)) as proxy:
        fleet = Fleet([upstream], proxy)
        await fleet.usable(1)
        tasks = fleet.ask(key, 5)
        await until(lambda: (upstream.running, proxy.waiting()) == (3, 2), "three to run")
        upstream.go_on.set()
        assert {status for status, _ in await asyncio.gather(*tasks)} == {200}
    assert upstream.received[-1].headers["authorization"] == "Bearer its-own"
    assert upstream.most == 3
