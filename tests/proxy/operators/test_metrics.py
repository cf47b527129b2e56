"""`GET /metrics`: who may read it, and what it says of real requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.database.pool import connect
from proxy.identity import users
from proxy.metrics.request_totals import RequestTotals
from proxy.settings import ProxySettings
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.records import record
from tests.support.upstream import FakeUpstream
from tests.support.wait import until


def values(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Samples by name and labels, as Prometheus's own parser reads them."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def scrape(proxy: RunningProxy, **arguments: Any) -> Any:
    async with proxy.request("GET", "/metrics", **arguments) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return values(await response.text())


async def test_requests_are_in_the_next_scrape(proxy: RunningProxy, key: str) -> None:
    """A request that has been answered is counted: by user, with tokens and times. No key is shown."""
    async with proxy.chat(key) as response:
        assert response.status == 200
    async with proxy.chat("wrong") as response:
        assert response.status == 401
    async with proxy.request("GET", "/nothing", key=key) as response:
        assert response.status == 404
    found = await scrape(proxy)
    assert found["llamaserve_requests_total", (("status", "200"), ("user", "alice"))] == 1
    assert found["llamaserve_requests_total", (("status", "401"), ("user", ""))] == 1
    assert found["llamaserve_tokens_total", (("kind", "prompt"), ("user", "alice"))] == 7
    assert found["llamaserve_tokens_total", (("kind", "completion"), ("user", "alice"))] == 3
    assert found["llamaserve_refusals_total", (("reason", "unknown_url"),)] == 1
    chats = (("path", "/v1/chat/completions"),)
    assert found["llamaserve_request_duration_seconds_count", chats] == 1
    assert found["llamaserve_queue_time_seconds_count", chats] == 1
    assert found["llamaserve_engine_up", ()] == 1
    assert found["llamaserve_client_connections", ()] >= 1
    async with proxy.request("GET", "/metrics") as response:
        assert key[4:16] not in await response.text()


async def test_the_state_is_the_present_one(
    proxy: RunningProxy, upstream: FakeUpstream, key: str
) -> None:
    """A request that runs and one that waits are in the gauges, and gone when they have ended."""
    upstream.behaviour = upstream.hold
    chats = [asyncio.create_task(_status(proxy, key)) for _ in range(2)]
    await until(lambda: proxy.waiting() == 1, "one waits")
    found = await scrape(proxy)
    generate = (("work", "generate"),)
    assert found["llamaserve_queue_running", generate] == 1
    assert found["llamaserve_queue_waiting", generate] == 1
    assert found["llamaserve_queue_slots", generate] == 1
    assert found["llamaserve_requests_open", ()] == 2
    upstream.go_on.set()
    assert await asyncio.gather(*chats) == [200, 200]
    assert (await scrape(proxy))["llamaserve_requests_open", ()] == 0


async def _status(proxy: RunningProxy, key: str) -> int:
    async with proxy.chat(key) as response:
        await response.read()
        return int(response.status)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "203.0.113.7"},
        {"Forwarded": "for=203.0.113.7"},
        {"Via": "1.1 proxy"},
        {"Host": "rebound.example.org"},
        {"Origin": "https://example.org"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_what_only_passes_through_this_machine_needs_a_key(
    proxy: RunningProxy, headers: dict[str, str]
) -> None:
    """Clients of a reverse proxy on this machine, and web pages in a browser on it, get a 401."""
    async with proxy.request("GET", "/metrics", headers=headers) as response:
        assert response.status == 401


async def test_pages_need_a_key_where_every_origin_is_allowed(settings: ProxySettings) -> None:
    """A page gets the error, not the metrics; somebody who opens the address in a browser gets them."""
    async with running_proxy(replace(settings, cors_origins=("*",))) as proxy:
        headers = {"Origin": "https://example.org", "Sec-Fetch-Site": "cross-site"}
        async with proxy.request("GET", "/metrics", headers=headers) as response:
            assert response.status == 401
            assert response.headers["Access-Control-Allow-Origin"]
        assert await scrape(proxy, headers={"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"})


async def test_elsewhere_an_administrators_key_is_needed(
    settings: ProxySettings, create_user: Callable[..., str], database_url: str
) -> None:
    """No key: 401; a user's: 403; an administrator's: the metrics, until it is one no longer."""
    alice, root = create_user("alice"), create_user("root")

    def set_admin(admin: bool) -> None:
        with connect(database_url, application="tests") as connection:
            users.set_admin(connection, "root", admin=admin)

    set_admin(True)
    async with running_proxy(replace(settings, metrics_on_loopback=False)) as proxy:
        async with proxy.request("GET", "/metrics") as response:
            assert response.status == 401
        async with proxy.request("GET", "/metrics", key=alice) as response:
            assert response.status == 403
            assert (await response.json())["error"]["code"] == "admin_required"
        assert await scrape(proxy, key=root)
        async with proxy.request("POST", "/metrics", key=root) as response:
            assert response.status == 405
        set_admin(False)
        await until(lambda: _refused(proxy, root), "the right is lost")


async def _refused(proxy: RunningProxy, key: str) -> bool:
    async with proxy.request("GET", "/metrics", key=key) as response:
        return bool(response.status == 403)


async def test_a_database_that_is_away_is_told(settings: ProxySettings) -> None:
    """The metrics are there without a database, and say so."""
    away = replace(settings, database_url="postgresql://nobody@127.0.0.1:1/none")
    async with running_proxy(away) as proxy:
        found = await scrape(proxy)
        assert found["llamaserve_database_up", ()] == 0
        assert found["llamaserve_spool_bytes", ()] == 0


async def test_a_scrape_of_300_users_takes_less_than_5_ms(proxy: RunningProxy) -> None:
    """The best of several, so that a busy machine does not matter."""
    totals: RequestTotals = proxy.app.operators.metrics.totals
    totals.add_all(
        record(
            username=f"user{user}", status_code=status, path=path, latency_ms=1e3, queue_ms=1.0,
            ttft_ms=1.0, stream=True, prompt_tokens=1, completion_tokens=1,
        )
        for user in range(300) for status in (200, 429) for path in ("/v1/completions", "/v1/models")
    )  # fmt: skip
    taken = []
    for _ in range(20):
        begun = time.perf_counter()
        text = proxy.app.operators.metrics.text()
        taken.append(time.perf_counter() - begun)
    assert len(values(text)) > 1200
    assert min(taken) < 0.005
    print(f"{min(taken) * 1e3:.2f} ms for {len(values(text))} samples")
