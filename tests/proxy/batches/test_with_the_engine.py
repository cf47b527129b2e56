"""Batches at the real engine, which pauses their lines for users' requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.settings import BackendSettings
from tests.proxy.batches.conftest import BatchUser, lines_of
from tests.support.engine import API_KEY, Engine
from tests.support.proxy import RunningProxy, running_proxy, settings_for
from tests.support.wait import until


@pytest.fixture(params=[1, 2], ids=["an engine", "two engines"])
async def engines_proxy(
    request: pytest.FixtureRequest, engine: Engine, database_url: str, directory: Path
) -> AsyncIterator[RunningProxy]:
    """A proxy in front of the engine, which it may know by two names, which share its slots."""
    settings = settings_for(
        database_url=database_url, backend_url=engine.url, directory=directory, backend_key=API_KEY
    )
    if request.param == 2:
        urls = (engine.url, engine.url.replace("127.0.0.1", "localhost"))
        backends = (
            BackendSettings(url=urls[0], key=API_KEY, slots=2),
            BackendSettings(url=urls[1], key=API_KEY, slots=1),
        )
        settings = replace(settings, backends=backends)
    async with running_proxy(settings) as proxy:
        await until(lambda: proxy.app.turns.engine_is_ours, "the engine to be known")
        await until(lambda: proxy.app.turns.slots == 3, "all its slots to be known")
        yield proxy


async def test_users_do_not_wait_for_lines(
    engines_proxy: RunningProxy, create_user: Callable[..., str]
) -> None:
    """All slots have lines of many tokens: requests have their first token before these end."""
    user = BatchUser(engines_proxy, create_user("alice"))
    keys = [create_user(f"user{number}") for number in range(3)]
    lines = lines_of(4, max_tokens=180, min_tokens=180, temperature=0)
    lines[3]["body"].update(max_tokens=5, min_tokens=5)
    batch = await user.submit(lines)
    turns = engines_proxy.app.batches.turns
    await until(lambda: turns.running() == 3, "all slots to have lines")

    async def first_token_s(key: str) -> float:
        began = time.monotonic()
        async with engines_proxy.chat(key, stream=True, max_tokens=5) as response:
            assert response.status == 200
            async for line in response.content:
                if b"content" in line:
                    return time.monotonic() - began
        raise AssertionError

    waits = await asyncio.gather(*[first_token_s(key) for key in keys])
    now = await user.state(batch)
    assert now.request_counts is not None
    assert now.request_counts.completed == 0, waits
    batch = await user.at(batch, "completed", "failed", "expired")
    assert batch.status == "completed", batch
    results = await user.results(batch.output_file_id)
    texts = [result["response"]["body"]["choices"][0]["message"]["content"] for result in results]
    used = [result["response"]["body"]["usage"]["completion_tokens"] for result in results]
    assert used == [180, 180, 180, 5]
    async with engines_proxy.request(
        "POST", "/v1/chat/completions", key=user.client.api_key, json=lines[2]["body"]
    ) as response:
        alone = await response.json()
    assert texts[2] == alone["choices"][0]["message"]["content"]
    await user.client.close()
