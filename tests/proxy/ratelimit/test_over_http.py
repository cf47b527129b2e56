"""Rate windows over HTTP."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import openai
import psycopg
import pytest

from proxy.database.pool import connect
from proxy.identity import users
from proxy.settings import ProxySettings
from tests.support.process import ProxyProcess
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.upstream import FakeUpstream
from tests.support.wait import until


async def status_of(proxy: RunningProxy, key: str) -> int:
    async with proxy.chat(key) as response:
        return int(response.status)


async def test_a_hundred_at_once_under_a_limit_of_ten(
    proxy: RunningProxy, upstream: FakeUpstream, create_user: Callable[..., str]
) -> None:
    """Exactly ten pass; the others are told the limit and when to come back."""
    key = create_user("busy", rate_limit=10, rate_window_seconds=600)
    statuses = await asyncio.gather(*(status_of(proxy, key) for _ in range(100)))
    assert Counter(statuses) == {200: 10, 429: 90}
    async with proxy.chat(key) as response:
        assert response.status == 429
        error = (await response.json())["error"]
        assert (error["type"], error["code"]) == ("requests", "rate_limit_exceeded")
        assert "10 requests per 600s" in error["message"]
        assert response.headers["x-ratelimit-limit-requests"] == "10"
        assert response.headers["x-ratelimit-remaining-requests"] == "0"
        assert 300_000 < int(response.headers["retry-after-ms"]) <= 600_000
        assert 300 < int(response.headers["retry-after"]) <= 600
    assert len(upstream.received) == 10


async def test_nobody_passes_before_retry_after_and_everybody_after(
    proxy: RunningProxy, upstream: FakeUpstream, create_user: Callable[..., str]
) -> None:
    """A refused request names the time that is left of the window; then the next one passes."""
    key = create_user("soon", rate_limit=1, rate_window_seconds=1.0)
    begun = time.monotonic()
    assert await status_of(proxy, key) == 200

    async def passes() -> bool:
        async with proxy.chat(key) as response:
            refused = response.status == 429
            assert not refused or 0 < int(response.headers["retry-after-ms"]) <= 1000
            return not refused

    await until(passes, "the window to be over", deadline_s=30)
    assert time.monotonic() - begun >= 1.0
    assert len(upstream.received) == 2


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


async def test_refusals_of_many_paths_are_folded_too(proxy: RunningProxy, key: str) -> None:
    """Going through paths that are not there makes no row for each."""

    async def get(number: int) -> None:
        async with proxy.request("GET", f"/v1/{number}", key=key) as response:
            assert response.status == 404

    await asyncio.gather(*(get(number) for number in range(200)))

    def rows() -> int:
        with psycopg.connect(proxy.settings.database_url) as connection:
            row = connection.execute("SELECT sum(count), count(*) FROM llama_requests").fetchone()
        assert row is not None
        return int(row[1]) if row[0] == 200 else 0

    assert await until(rows, "all refusals to be counted") <= 60


async def test_a_clock_set_back_does_not_shut_a_user_out(
    settings: ProxySettings, create_user: Callable[..., str], database_url: str
) -> None:
    """What an earlier process recorded at a time to come counts as now, for one window."""
    key = create_user("early", rate_limit=1, rate_window_seconds=1.0)
    async with running_proxy(settings) as proxy:
        assert await status_of(proxy, key) == 200
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE llama_requests SET created_at = now() + interval '1 hour'")
    async with running_proxy(settings) as proxy:
        assert await status_of(proxy, key) == 429
        await until(lambda: admitted(proxy, key), "the window to be over", deadline_s=30)


async def admitted(proxy: RunningProxy, key: str) -> bool:
    return await status_of(proxy, key) == 200


async def test_a_long_history_is_read_once_for_all_that_wait(
    settings: ProxySettings, create_user: Callable[..., str], database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A hundred requests right after a restart pass, however long it takes to read."""
    monkeypatch.setattr("proxy.ratelimit.local.READ_TIMEOUT_S", 60.0)
    key = create_user("long", rate_limit=10**6, rate_window_seconds=3600)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO llama_requests (id, created_at, username, user_id, method, path, admitted)"
            " SELECT gen_random_uuid(), now() - n * interval '10 ms', username, u.id, 'POST', '/', true"
            " FROM llama_users u, generate_series(1, 200000) n"
        )
    async with running_proxy(replace(settings, user_queue_size=100)) as proxy:
        statuses = await asyncio.gather(*(status_of(proxy, key) for _ in range(100)))
        assert Counter(statuses) == {200: 100}
        async with proxy.request("GET", "/v1/models", key=key) as response:
            assert response.headers["x-ratelimit-remaining-requests"] == str(10**6 - 200_101)


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
    key = create_user("once", rate_limit=1, rate_window_seconds=600)
    async with openai.AsyncOpenAI(base_url=proxy.url + "/v1", api_key=key, max_retries=0) as client:
        await client.chat.completions.create(model="x", messages=messages)  # type: ignore[arg-type]
        with pytest.raises(openai.RateLimitError) as raised:
            await client.chat.completions.create(model="x", messages=messages)  # type: ignore[arg-type]
    assert raised.value.code == "rate_limit_exceeded"


async def ask(proxy: RunningProxy, key: str, **fields: Any) -> tuple[int, dict[str, Any], Any]:
    """Status, body and headers of a chat completion."""
    async with proxy.chat(key, **fields) as response:
        return response.status, await response.json(), response.headers


async def test_a_token_window_is_charged_with_what_the_engine_tells(
    settings: ProxySettings, create_user: Callable[..., str]
) -> None:
    """10 tokens a request: two fit in 15, the second over it; then a 429, across a restart too."""
    key = create_user("tokens", token_limit=15, rate_window_seconds=600)
    async with running_proxy(settings) as proxy:
        _, _, headers = await ask(proxy, key)
        assert headers["x-ratelimit-limit-tokens"] == "15"
        assert headers["x-ratelimit-remaining-tokens"] == "15"
        assert headers["x-ratelimit-reset-tokens"] == "0ms"
        status, _, headers = await ask(proxy, key)
        assert (status, headers["x-ratelimit-remaining-tokens"]) == (200, "5")
        assert headers["x-ratelimit-reset-tokens"].startswith(("9m", "10m"))
        status, body, headers = await ask(proxy, key)
        assert status == 429
        assert (body["error"]["type"], body["error"]["code"]) == ("tokens", "rate_limit_exceeded")
        assert "15 tokens per 600s" in body["error"]["message"]
        assert headers["x-ratelimit-remaining-tokens"] == "0"
        assert headers["x-ratelimit-remaining-requests"] == "58"
        assert 590 <= int(headers["retry-after"]) <= 600
        async with proxy.request("GET", "/v1/models", key=key) as response:
            assert response.status == 200, "what generates nothing is not held against it"
        await proxy.rows(4)
    async with running_proxy(settings) as proxy:
        assert (await ask(proxy, key))[0] == 429


async def test_tokens_used_up_while_a_request_waited_refuse_it(
    proxy: RunningProxy, upstream: FakeUpstream, create_user: Callable[..., str]
) -> None:
    """What runs may go over the limit, what waits may not; the place in the window is given back."""
    key = create_user("tokens", token_limit=5)
    upstream.behaviour = upstream.hold
    tasks = [asyncio.create_task(ask(proxy, key)) for _ in range(10)]
    await until(lambda: proxy.waiting() == 9, "nine to wait")
    upstream.go_on.set()
    answers = await asyncio.gather(*tasks)
    assert Counter(status for status, _, _ in answers) == {200: 1, 429: 9}
    assert len(upstream.received) == 1
    for _, body, headers in [answer for answer in answers if answer[0] == 429]:
        assert body["error"]["type"] == "tokens"
        assert headers["x-ratelimit-remaining-tokens"] == "0"
        assert int(headers["retry-after"]) > 0
    rows = await proxy.rows(10)
    assert Counter((row["status_code"], row["admitted"]) for row in rows) == {
        (200, True): 1,
        (429, False): 9,
    }


async def test_a_stream_whose_client_left_is_charged_an_estimate(
    settings: ProxySettings, upstream: FakeUpstream, create_user: Callable[..., str]
) -> None:
    """It told no usage: else leaving before the end would cost nothing. After a restart the same."""
    key = create_user("leaver", token_limit=10)
    upstream.behaviour = upstream.stream_and_stall
    async with running_proxy(settings) as proxy:
        async with proxy.chat(key, stream=True, padding="x" * 100) as response:
            await response.content.readline()
        await until(lambda: proxy.under_way() == 0, "the request to end")
        assert (await ask(proxy, key))[0] == 429
        row = (await proxy.rows(2))[0]
        assert row["completion_tokens"] is None
        estimate = row["request_bytes"] // 4 + row["response_bytes"] // 200
        assert row["tokens_charged"] == estimate
        assert estimate >= 30
    async with running_proxy(settings) as proxy:
        assert (await ask(proxy, key))[0] == 429


async def test_a_token_limit_set_later_knows_what_was_used_before(
    proxy: RunningProxy, create_user: Callable[..., str], database_url: str
) -> None:
    """Set, raised and taken back while in use: what was used in the window always counts."""
    key = create_user("late", rate_limit=10**6)
    assert (await ask(proxy, key))[0] == 200

    async def status_with(limit: int | None, wanted: int) -> None:
        with connect(database_url, application="tests") as connection:
            users.set_limits(connection, "late", token_limit=limit)

        async def is_so() -> bool:
            return (await ask(proxy, key))[0] == wanted

        await until(is_so, f"a {wanted} under a limit of {limit}", deadline_s=10)

    await status_with(5, 429)
    await status_with(10**6, 200)
    await status_with(None, 200)
    await status_with(20, 429)


async def test_a_window_made_longer_counts_what_the_shorter_one_forgot(
    proxy: RunningProxy, upstream: FakeUpstream, create_user: Callable[..., str], database_url: str
) -> None:
    """To the last: what has ended, what runs and what waits, admitted by this very process."""
    key = create_user("longer", rate_limit=10**6, rate_window_seconds=0.05)
    upstream.behaviour = upstream.hold
    tasks = [asyncio.create_task(ask(proxy, key)) for _ in range(2)]
    await until(lambda: (upstream.running, proxy.waiting()) == (1, 1), "one to run, one to wait")
    upstream.behaviour = None
    admitted = 2

    async def remaining(reset: str) -> int:
        """Of one more request, once the user's window is so long."""
        nonlocal admitted
        async with proxy.request("GET", "/v1/models", key=key) as response:
            admitted += 1
            is_so = response.headers["x-ratelimit-reset-requests"].startswith(reset)
            return int(response.headers["x-ratelimit-remaining-requests"]) if is_so else 0

    async def most_are_forgotten() -> bool:
        return await remaining("5") > 10**6 - admitted / 2 and admitted > 20

    await until(most_are_forgotten, "the short window to forget")
    with connect(database_url, application="tests") as connection:
        users.set_limits(connection, "longer", rate_window_seconds=600)
    assert await until(lambda: remaining("10m"), "the long window") == 10**6 - admitted
    upstream.go_on.set()
    assert [(await task)[0] for task in tasks] == [200, 200]


async def test_kill_9_frees_nobody_s_limit(
    directory: Path, upstream: FakeUpstream, create_user: Callable[..., str], database_url: str
) -> None:
    """What had ended and what was running when the proxy was killed counts in the next one."""
    key = create_user("killed", rate_limit=3, rate_window_seconds=600)
    configuration = {
        "LLAMA_SERVER_DATABASE_URL": database_url,
        "LLAMA_SERVER_BACKEND_URL": upstream.url,
    }
    headers = {"Authorization": f"Bearer {key}"}

    async def status(client: aiohttp.ClientSession, proxy: ProxyProcess) -> int:
        url = proxy.url + "/v1/completions"
        async with client.post(url, headers=headers, json={}) as response:
            return response.status

    async with aiohttp.ClientSession() as client:
        async with ProxyProcess(directory, **configuration) as proxy:
            assert await status(client, proxy) == 200
            upstream.behaviour = upstream.stall
            running = asyncio.ensure_future(status(client, proxy))
            await until(lambda: upstream.running, "the second to run")
            proxy.signal(signal.SIGKILL)
            await proxy.wait()
            with pytest.raises(aiohttp.ClientError):
                await running
        upstream.behaviour = None
        async with ProxyProcess(directory, **configuration) as proxy:
            assert [await status(client, proxy) for _ in range(3)] == [200, 429, 429]
