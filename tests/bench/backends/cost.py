"""What several engines cost the proxy: its processor time, and the time, for a small chat request.

In front of 1, 3 and 100 engines, all of which are one mock engine; health is asked of each every second,
so the time of a proxy without requests is told too. The proxy's own thread is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import uvloop

from proxy.database.pool import connect
from proxy.database.schema import migrate
from proxy.identity import users
from proxy.settings import BackendSettings, ProxySettings
from tests.bench.gateway.targets import asked_in_turn
from tests.support.engine import API_KEY
from tests.support.mock_engine import mock_engine
from tests.support.postgres import Postgres
from tests.support.proxy import running_proxy, settings_for
from tests.support.wait import until

SIZES = (1, 3, 100)
WARM_UP = 200
IDLE_S = 3.0


def _ask(port: int, key: str, count: int) -> None:
    """One small request after the other on one connection."""
    for _ in asked_in_turn(port, key, count):
        pass


def _backends(*urls: str) -> tuple[BackendSettings, ...]:
    return tuple(BackendSettings(url=url, key=API_KEY, slots=4) for url in urls)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of a request, and of the proxy without requests."""

    cpu_us: float
    time_us: float
    idle_share: float


async def cost(settings: ProxySettings, key: str, engine: str, count: int, requests: int) -> Cost:
    """In front of so many backends."""
    if count > 1:
        settings = replace(settings, backends=_backends(*[f"{engine}/{n}" for n in range(count)]))
    async with running_proxy(settings) as proxy:
        turns = proxy.app.turns
        await until(lambda: sum(one.usable for one in turns.backends) == count, "all to be known")
        port = int(proxy.url.rsplit(":", 1)[1])
        await asyncio.to_thread(_ask, port, key, WARM_UP)
        began_s, cpu_s = time.monotonic(), time.thread_time()
        await asyncio.to_thread(_ask, port, key, requests)
        time_us = (time.monotonic() - began_s) / requests * 1e6
        cpu_us = (time.thread_time() - cpu_s) / requests * 1e6
        cpu_s = time.thread_time()
        await asyncio.sleep(IDLE_S)
        idle_share = (time.thread_time() - cpu_s) / IDLE_S
        return Cost(cpu_us=cpu_us, time_us=time_us, idle_share=idle_share)


def measure(arguments: argparse.Namespace) -> None:
    """Measure, and print."""
    uvloop.run(_measure(arguments.requests, arguments.rounds))


async def _measure(requests: int, rounds: int) -> None:
    with Postgres() as postgres, tempfile.TemporaryDirectory() as folder, mock_engine() as engine:
        url = postgres.fresh_database()
        with connect(url, application="bench") as connection:
            migrate(connection)
            key = users.create_user(connection, username="alice", rate_limit=10**9).key
        settings = settings_for(database_url=url, backend_url=engine, directory=Path(folder))
        found: dict[int, list[Cost]] = {count: [] for count in SIZES}
        for _ in range(rounds):
            for count, each in found.items():
                each.append(await cost(settings, key, engine, count, requests))
        for count, each in found.items():
            print(
                f"{count:3} engine(s): {median(one.cpu_us for one in each):.0f} µs of the proxy's"
                f" processor for a request, {median(one.time_us for one in each):.0f} µs in all;"
                f" {median(one.idle_share for one in each):.1%} of a core without requests"
            )
