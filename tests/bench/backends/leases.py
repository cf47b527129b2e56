"""A proxy is killed while it uses every slot: seconds until the other proxy uses them all."""

from __future__ import annotations

import argparse
import asyncio
import signal
import time
from statistics import median

import aiohttp

from tests.bench.backends.machines import SLOTS, Machines, Pair, machines, pair
from tests.support.wait import until

ENGINES = 2
LONG = 2_000
"""Tokens of an answer that lasts longer than the measurement."""


def measure(arguments: argparse.Namespace) -> None:
    """Measure, and print."""
    with machines(ENGINES) as found:
        seconds = asyncio.run(_measure(found, arguments.rounds))
    each = ", ".join(f"{one:.1f}" for one in seconds)
    print(f"all slots of a killed proxy were used again after {median(seconds):.1f} s ({each})")


async def _measure(found: Machines, rounds: int) -> list[float]:
    return [await _round(found) for _ in range(rounds)]


async def _round(found: Machines) -> float:
    total = ENGINES * SLOTS
    async with pair(found.postgres, found.folder, found.urls) as proxies:
        headers = {"Authorization": f"Bearer {proxies.key}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            tasks = _ask(session, proxies, 0, total)
            await until(lambda: _running(session, proxies, 0, total), "one to use all slots")
            tasks += _ask(session, proxies, 1, total)
            await asyncio.sleep(1)  # its requests wait
            proxies.proxies[0].signal(signal.SIGKILL)
            killed_at = time.monotonic()
            await until(lambda: _running(session, proxies, 1, total), "the other to use all slots")
            seconds = time.monotonic() - killed_at
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await until(lambda: _running(session, proxies, 1, 0), "the engines to be free")
    return seconds


def _ask(
    session: aiohttp.ClientSession, proxies: Pair, proxy: int, count: int
) -> list[asyncio.Task[None]]:
    async def one(number: int) -> None:
        body = {"prompt": f"{number}", "max_tokens": LONG, "stream": True}
        url = proxies.proxies[proxy].url + "/v1/completions"
        async with session.post(url, json=body) as response:
            await response.read()

    return [asyncio.create_task(one(number)) for number in range(count)]


async def _running(session: aiohttp.ClientSession, proxies: Pair, proxy: int, wanted: int) -> bool:
    async with session.get(proxies.proxies[proxy].url + "/admin/v1/backends") as response:
        shown = (await response.json())["data"]
    return bool(sum(one["running"] for one in shown) == wanted)
