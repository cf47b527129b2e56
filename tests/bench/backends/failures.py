"""One engine is killed and one cut off under load: what clients saw, and when both were used again."""

from __future__ import annotations

import argparse
import asyncio
import signal
import time
from collections import Counter
from contextlib import ExitStack
from statistics import median

import aiohttp
import psycopg

from tests.bench.backends.load import Load, clients, texts_between
from tests.bench.backends.machines import SHARE, SLOTS, Machines, Pair, machines, pair, share_of
from tests.support.wait import until

ENGINES = 3
CLIENTS = 4 * ENGINES * SLOTS
CALM_S, AWAY_S, AFTER_S = 10.0, 20.0, 5.0
SPEED_S = 8.0


def measure(_: argparse.Namespace) -> None:
    """Measure, and print."""
    with machines(ENGINES) as found:
        asyncio.run(_measure(found))


async def _measure(found: Machines) -> None:
    killed, cut_off = found.engines[0], found.places[1]
    async with pair(found.postgres, found.folder, found.urls) as proxies:
        with ExitStack() as stack:
            async with clients(proxies, CLIENTS) as load:
                await asyncio.sleep(CALM_S)
                failed_at = time.monotonic()
                killed.process.send_signal(signal.SIGKILL)  # type: ignore[union-attr]
                cut_off.connect(up=False)
                await asyncio.sleep(AWAY_S)
                back_at = time.monotonic()
                cut_off.connect(up=True)
                killed.spawn()
                stack.enter_context(share_of(killed.pid, SHARE))
                stack.callback(killed.stop)
                for what, url in (("cut off", found.urls[1]), ("killed and started again", killed.url)):
                    await _ready(proxies, url)
                    print(f"the one {what} was used {time.monotonic() - back_at:.1f} s later")
                await asyncio.sleep(AFTER_S)
        _report(load, failed_at, back_at)
        await _lost(proxies)


async def _ready(proxies: Pair, url: str) -> None:
    """Wait until both proxies use an engine."""
    headers = {"Authorization": f"Bearer {proxies.key}"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def ready() -> bool:
            for proxy in proxies.proxies:
                async with session.get(proxy.url + "/admin/v1/backends") as response:
                    states = {one["url"]: one["state"] for one in (await response.json())["data"]}
                if states[url] != "ready":
                    return False
            return True

        await until(ready, f"{url} to be used", deadline_s=60)


def _report(load: Load, failed_at: float, back_at: float) -> None:
    sent = load.requests
    parts = {
        "ended before": [one for one in sent if one.ended_at < failed_at],
        "under way when they failed": [one for one in sent if one.sent_at < failed_at <= one.ended_at],
        "sent while they were away": [one for one in sent if failed_at <= one.sent_at < back_at],
        "sent later": [one for one in sent if back_at <= one.sent_at],
    }
    for name, requests in parts.items():
        ends = Counter(one.outcome for one in requests).most_common()
        outcomes = ", ".join(f"{count} {how}" for how, count in ends)
        waits = sorted(one.texts_at[0] - one.sent_at for one in requests if one.texts_at)
        wait = f"median {median(waits):.1f} s, longest {waits[-1]:.1f} s" if waits else "never"
        print(f"{name}: {outcomes}; first token: {wait}")
    for name, end in (("before", failed_at), ("with one engine", back_at)):
        speed = texts_between(sent, end - SPEED_S, end) / SPEED_S
        print(f"tokens/s {name}: {speed:.0f}")


async def _lost(proxies: Pair) -> None:
    """What the records say of requests with an error: whether they had begun to be answered."""
    query = (
        "SELECT count(*) FILTER (WHERE error IS NOT NULL AND ttft_ms IS NULL),"
        " count(*) FILTER (WHERE error IS NOT NULL AND ttft_ms IS NOT NULL), count(*)"
        " FROM llama_requests"
    )
    await asyncio.sleep(2)  # records are loaded each second
    with psycopg.connect(proxies.database_url) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    print(f"of {row[2]} requests {row[1]} broke off while answered, {row[0]} were lost that only waited")
