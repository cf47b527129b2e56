"""What pages show is as fresh as they say, bounded, and a user's own."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from proxy.dashboard.data import api_requests
from proxy.dashboard.data.api_requests import Models
from proxy.dashboard.data.cached import Cached
from proxy.dashboard.data.live import LIVE_PATH, MODELS_PATH, LiveState, TokenRate, seen_by
from proxy.dashboard.layout import units
from proxy.dashboard.layout.csv_files import csv_text
from tests.support.upstream import fake_upstream


def test_others_are_someone() -> None:
    """Of others' requests their state, age, place and estimate are left, and nothing of engines."""
    theirs = {
        "id": "req_1", "user": "bob", "key": "pub", "group": "g", "path": "/v1/x", "state": "waiting",
        "since": "now", "age_s": 1.0, "queue_s": 1.0, "place": 1, "estimated_wait_s": 2.0,
        "first_byte_s": None, "stream": True, "prompt_tokens": 5, "completion_tokens": 6,
        "response_bytes": 7, "backend": "http://a", "progress": {"prompt_tokens": 5},
    }  # fmt: skip
    own = {**theirs, "user": "alice"}
    seen = seen_by(
        "alice",
        {
            "running": [theirs, own],
            "waiting": [theirs],
            "models": ["m"],
            "backends": [{"url": "http://a"}],
        },
    )
    assert set(seen) == {"running", "waiting", "models"}
    assert seen["running"][1] == {k: v for k, v in own.items() if k != "backend"}
    assert seen["models"] == ["m"]
    for one in (seen["running"][0], seen["waiting"][0]):
        assert one == {
            "user": "someone", "state": "waiting", "age_s": 1.0, "place": 1, "estimated_wait_s": 2.0,
            "stream": True,
        }  # fmt: skip


def test_tokens_a_second() -> None:
    """The mean of the last seconds, whichever requests come and go."""
    rate = TokenRate()
    assert rate.note(0.0, {"a": {"completion_tokens": 10}}) is None
    assert rate.note(1.0, {"a": {"completion_tokens": 30}}) == 20.0
    assert rate.note(2.0, {"b": {"completion_tokens": 10}}) == 15.0
    assert rate.note(20.0, {}) == 0.0


async def test_a_cached_answer() -> None:
    """Pages that ask at the same time share one reading; errors are asked again."""
    now, calls = [0.0], []
    cached: Cached[int] = Cached(5.0, clock=lambda: now[0])

    async def read() -> int:
        calls.append(now[0])
        await asyncio.sleep(0)
        if len(calls) == 2:
            raise LookupError
        return len(calls)

    assert list(await asyncio.gather(cached.get("x", read), cached.get("x", read))) == [1, 1]
    now[0] = 6.0
    with pytest.raises(LookupError):
        await cached.get("x", read)
    assert await cached.get("x", read) == 3


async def test_a_slow_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that are opened while it is asked for its models wait for the same answer. When it is away
    later, the models that are known stay."""
    monkeypatch.setattr(api_requests, "MODELS_FRESH_S", 0.5)
    asked = asyncio.Event()

    async with fake_upstream() as engine, aiohttp.ClientSession() as http:

        async def answer(request: web.Request) -> web.StreamResponse:
            if request.path == LIVE_PATH:
                return web.json_response({"running": [], "waiting": []})
            if request.path != MODELS_PATH:
                return web.Response(status=404)
            asked.set()
            await engine.go_on.wait()
            return web.json_response({"data": [{"id": "m"}]})

        engine.behaviour = answer
        settings: Any = SimpleNamespace(proxy_url=engine.url, admin_key="k", engines=((engine.url, ""),))
        session: Any = SimpleNamespace(is_admin=False, username="bob")
        models, live = Models(http, settings.engines), LiveState(http, settings)

        async def live_models() -> list[str]:
            return list((await live.state(session))["models"])

        for read in (models.names, live_models):
            asked.clear()
            engine.go_on.clear()
            first = asyncio.create_task(read())
            await asked.wait()
            second = asyncio.create_task(read())
            await asyncio.sleep(0.05)  # for an answer that must not come yet
            engine.go_on.set()
            assert (await first, await second) == (["m"], ["m"])
        engine.behaviour = None
        await asyncio.sleep(0.6)  # the answer is not fresh any more
        assert await models.names() == ["m"]


async def test_an_idle_engine_is_asked_nothing() -> None:
    """A question would keep its model loaded, or have it loaded again. While requests run it is asked
    how far they are, and for all its models."""
    running: list[dict[str, Any]] = []
    backends = [{"model": "m"}]
    now = [100.0]

    async with fake_upstream() as engine, aiohttp.ClientSession() as http:

        async def answer(request: web.Request) -> web.StreamResponse:
            asked.append(request.path)
            if request.path == LIVE_PATH:
                return web.json_response({"running": running, "waiting": [], "backends": backends})
            if request.path == MODELS_PATH:
                return web.json_response({"data": [{"id": "m"}, {"id": "embeds"}]})
            return web.json_response({"1": {"completion_tokens": 7}})

        engine.behaviour = answer
        settings: Any = SimpleNamespace(proxy_url=engine.url, admin_key="k", engines=((engine.url, ""),))
        session: Any = SimpleNamespace(is_admin=True)
        live = LiveState(http, settings, lambda: now[0])

        async def models() -> list[str]:
            now[0] += 60
            asked.clear()
            return list((await live.state(session))["models"])

        asked: list[str] = []
        assert (await models(), asked) == (["m"], [LIVE_PATH])
        running.append({"id": "req_1"})
        assert (await models(), len(asked)) == (["embeds", "m"], 3)
        assert (await live.state(session))["running"][0]["progress"] == {"completion_tokens": 7}
        running.clear()
        assert (await models(), asked) == (["embeds", "m"], [LIVE_PATH])
        backends[0]["model"] = "other"
        assert (await models(), asked) == (["other"], [LIVE_PATH])


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (units.duration(0.0123), "12 ms"),
        (units.duration(12.34), "12.3 s"),
        (units.duration(3725), "1 h 2 min"),
        (units.duration(None), "–"),
        (units.size(999), "999 bytes"),
        (units.size(1234), "1.23 kB"),
        (units.size(5e12), "5e+03 GB"),
        (units.compact(1234), "1,234"),
        (units.compact(12_345), "12.3 k"),
        (units.compact(4_560_000), "4.56 M"),
    ],
)
def test_numbers_have_units(shown: str, expected: str) -> None:
    """Numbers are short and say what they count."""
    assert shown == expected


def test_csv_starts_no_formula() -> None:
    """What a user typed does not become a formula in a spreadsheet."""
    text = csv_text(("name", "n"), [{"name": "=1+1", "n": -5}, {"name": 'a,"b"', "n": None}])
    assert text.splitlines() == ["name,n", "'=1+1,-5", '"a,""b""",']
