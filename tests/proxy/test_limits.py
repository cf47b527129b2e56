"""Rate windows over HTTP."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

import openai
import psycopg
import pytest

from proxy.config import ProxySettings
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.upstream import FakeUpstream
from tests.support.wait import until


async def status_of(proxy: RunningProxy, key: str) -> int:
    async with proxy.chat(key) as response:
        return int(response.status)


async def test_a_hundred_at_once_under_a_limit_of_ten(
    proxy: RunningProxy, upstream: FakeUpstream, create_user: Callable[..., str]
) -> None:
    """Exactly ten pass; the 11th does when `retry-after` says so, and not before."""
    key = create_user("busy", rate_limit=10, rate_window_seconds=2.0)
    begun = time.monotonic()
    statuses = await asyncio.gather(*(status_of(proxy, key) for _ in range(100)))
    assert Counter(statuses) == {200: 10, 429: 90}
    async with proxy.chat(key) as response:
        assert response.status == 429
        error = (await response.json())["error"]
        assert (error["type"], error["code"]) == ("requests", "rate_limit_exceeded")
        assert "10 requests per 2s" in error["message"]
        assert response.headers["x-ratelimit-limit-requests"] == "10"
        assert response.headers["x-ratelimit-remaining-requests"] == "0"
        wait_ms = int(response.headers["retry-after-ms"])
        assert int(response.headers["retry-after"]) in (1, 2)
    await asyncio.sleep(wait_ms / 1000)
    assert await status_of(proxy, key) == 200
    assert time.monotonic() - begun >= 2.0
    assert len(upstream.received) == 11


async def test_refusals_above_ten_a_second_are_folded(
    proxy: RunningProxy, create_user: Callable[..., str]
) -> None:
    """One row with their number; none is lost."""
    key = create_user("flood", rate_limit=1, rate_window_seconds=60)
    await asyncio.gather(*(status_of(proxy, key) for _ in range(200)))

    def total() -> int:
        with psycopg.connect(proxy.settings.database_url) as connection:
            row = connection.execute(
                "SELECT coalesce(sum(count), 0), count(*) FROM llama_requests WHERE NOT admitted"
            ).fetchone()
        assert row is not None
        assert row[1] <= 60
        return int(row[0])

    await until(lambda: total() == 199, "all refusals to be counted")


async def test_a_restart_frees_nobody_s_limit(
    settings: ProxySettings, create_user: Callable[..., str]
) -> None:
    """What an earlier process admitted within the window still counts."""
    key = create_user("restart", rate_limit=3, rate_window_seconds=60)
    async with running_proxy(settings) as proxy:
        assert [await status_of(proxy, key) for _ in range(2)] == [200, 200]
    async with running_proxy(settings) as proxy:
        assert [await status_of(proxy, key) for _ in range(2)] == [200, 429]


async def test_the_openai_client_gets_through_by_its_own_retry(
    proxy: RunningProxy, create_user: Callable[..., str]
) -> None:
    """It obeys our retry-after, and raises RateLimitError where it may not retry."""
    key = create_user("client", rate_limit=1, rate_window_seconds=1.0)
    messages = [{"role": "user", "content": "Hello"}]
    async with openai.AsyncOpenAI(base_url=proxy.url + "/v1", api_key=key) as client:
        for _ in range(2):
            answer = await client.chat.completions.create(model="x", messages=messages)  # type: ignore[arg-type]
            assert answer.choices[0].message.content == "hi"
    async with openai.AsyncOpenAI(base_url=proxy.url + "/v1", api_key=key, max_retries=0) as client:
        with pytest.raises(openai.RateLimitError) as raised:
            await client.chat.completions.create(model="x", messages=messages)  # type: ignore[arg-type]
    assert raised.value.code == "rate_limit_exceeded"
