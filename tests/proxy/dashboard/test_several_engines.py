"""Page Now with several engines: each of them, what runs where, and how far it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Locator, Page, expect

from tests.proxy.dashboard.conftest import OpenPage
from tests.support.dashboard import Stack, running_stack
from tests.support.postgres import Postgres
from tests.support.upstream import Behaviour, FakeUpstream, fake_upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODEL = "fleet.gguf"
SLOTS = (1, 2)
TOKENS = (11, 22)
"""Generated so far by each request of the first engine, and of the second."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engines() -> AsyncIterator[list[FakeUpstream]]:
    """Two that hold chats until they are let go. Only the second one tells its models."""
    async with AsyncExitStack() as stack:
        made = [await stack.enter_async_context(fake_upstream()) for _ in SLOTS]
        for number, engine in enumerate(made):
            engine.slots, engine.model = SLOTS[number], MODEL
            engine.behaviour = behaviour(engine, TOKENS[number], tells_models=number > 0)
        yield made


def behaviour(engine: FakeUpstream, tokens: int, *, tells_models: bool) -> Behaviour:
    """What an engine does that is busy with chats."""

    async def behave(request: web.Request) -> web.StreamResponse:
        if request.path == "/v1/chat/completions":
            return await engine.hold(request)
        if request.path == "/internal/progress":
            ids = [one.headers.get("x-llamaserve-request") for one in engine.received]
            far = {"prompt_length": 7, "prompt_tokens": 7, "completion_tokens": tokens}
            return web.json_response({name: far for name in ids if name})
        if request.path == "/v1/models" and tells_models:
            return web.json_response({"data": [{"id": MODEL}]})
        return web.Response(status=404)

    return behave


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(
    engines: list[FakeUpstream], postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    """Proxy and dashboard in front of them."""
    urls = ",".join(engine.url for engine in engines)
    directory = tmp_path_factory.mktemp("fleet")
    with running_stack("", postgres.fresh_database(), directory, LLAMA_SERVER_BACKENDS=urls) as stack:
        yield stack


def row(page: Page, panel: str, text: str) -> Locator:
    """The rows of a panel's table that have this text."""
    return page.locator(f".panel:has(> .heading:text-is('{panel}')) tbody tr", has_text=text)


async def test_each_engine_is_seen(
    stack: Stack, engines: list[FakeUpstream], logged_in: OpenPage
) -> None:
    """Administrators see state, slots and runs of each, and the engine of each request; users the sums.
    An engine that does not answer is told as away, and models are asked of the next one."""
    admin, alice = [await logged_in(name) for name in ("admin", "alice")]
    first, second = (engine.url for engine in engines)
    chats = [asyncio.create_task(stack.chat("alice", str(number))) for number in range(4)]
    try:
        for page in (admin, alice):
            await expect(page.locator(".tile", has_text="slots in use")).to_contain_text("3 of 3")
            await expect(page.locator(".tile", has_text="requests waiting")).to_contain_text("1")
        for url, slots, tokens in ((first, 1, 11), (second, 2, 22)):
            cells = row(admin, "Engines", url).locator("td")
            await expect(cells).to_have_text([url, "ready", MODEL, str(slots), str(slots)])
            running = row(admin, "Running", urlsplit(url).netloc)
            await expect(running).to_have_count(slots)
            await expect(running.first.locator("td").nth(5)).to_have_text(str(tokens))
        await expect(row(alice, "Running", "alice")).to_have_count(3)
        await expect(alice.locator("body")).not_to_contain_text(urlsplit(first).netloc)
        engines[0].ready = False
        await expect(row(admin, "Engines", first)).to_contain_text("away")
        await alice.goto(stack.url + "/connect")
        await expect(alice.locator(".snippets")).to_contain_text(MODEL)
    finally:
        for engine in engines:
            engine.ready = True
            engine.go_on.set()
    assert {found["status"] for found in await asyncio.gather(*chats)} == {200}
