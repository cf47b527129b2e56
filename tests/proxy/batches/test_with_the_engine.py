"""Batches at the real engine, which pauses their lines for users' requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from tests.proxy.batches.conftest import BatchUser, lines_of
from tests.support.proxy import RunningProxy


async def test_users_do_not_wait_for_lines(
    engine_proxy: RunningProxy, create_user: Callable[..., str]
) -> None:
    """All slots have lines of many tokens: requests have their first token before these end."""
    user = BatchUser(engine_proxy, create_user("alice"))
    lines = lines_of(4, max_tokens=100, min_tokens=100, temperature=0)
    batch = await user.submit(lines)
    running = len(lines) - 1
    for _ in range(500):
        if engine_proxy.app.batches.turns.running() == running:
            break
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.2)

    async def first_token_s(key: str) -> float:
        began = time.monotonic()
        async with engine_proxy.chat(key, stream=True, max_tokens=5) as response:
            assert response.status == 200
            async for line in response.content:
                if b"content" in line:
                    return time.monotonic() - began
        raise AssertionError

    keys = [create_user(f"user{number}") for number in range(3)]
    waits = await asyncio.gather(*[first_token_s(key) for key in keys])
    now = await user.state(batch)
    assert now.request_counts is not None
    assert now.request_counts.completed == 0, waits
    batch = await user.at(batch, "completed", "failed", "expired")
    assert batch.status == "completed", batch
    results = await user.results(batch.output_file_id)
    texts = [result["response"]["body"]["choices"][0]["message"]["content"] for result in results]
    assert [result["response"]["body"]["usage"]["completion_tokens"] for result in results] == [100] * 4
    async with engine_proxy.request(
        "POST", "/v1/chat/completions", key=user.client.api_key, json=lines[2]["body"]
    ) as response:
        alone = await response.json()
    assert texts[2] == alone["choices"][0]["message"]["content"]
    await user.client.close()
