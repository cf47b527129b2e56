"""Tokens a second of three engines and of one, each behind two proxies, in turn."""

from __future__ import annotations

import argparse
import asyncio
import time
from statistics import median

from tests.bench.backends.load import clients, texts_between
from tests.bench.backends.machines import SLOTS, Machines, Pair, machines, pair

ENGINES = 3
RAMP_S, MEASURED_S = 3.0, 10.0


def measure(arguments: argparse.Namespace) -> None:
    """Measure, and print."""
    with machines(ENGINES) as found:
        asyncio.run(_measure(found, arguments.rounds))


async def _measure(found: Machines, rounds: int) -> None:
    async with (
        pair(found.postgres, found.folder, found.urls[:1]) as one,
        pair(found.postgres, found.folder, found.urls) as three,
    ):
        speeds: dict[int, list[float]] = {1: [], ENGINES: []}
        for _ in range(rounds):
            for count, proxies in ((1, one), (ENGINES, three)):
                speeds[count].append(await _tokens_a_second(proxies, clients_of=count))
        for count, each in speeds.items():
            print(f"{count} engine(s): {median(each):.0f} tokens/s ({min(each):.0f} to {max(each):.0f})")
        ratios = [b / a for a, b in zip(speeds[1], speeds[ENGINES], strict=True)]
        print(f"{ENGINES} engines answer {median(ratios):.2f} times as fast as one")


async def _tokens_a_second(proxies: Pair, *, clients_of: int) -> float:
    """With two clients for each slot, so that some always wait."""
    async with clients(proxies, 2 * SLOTS * clients_of) as load:
        await asyncio.sleep(RAMP_S)
        began = time.monotonic()
        await asyncio.sleep(MEASURED_S)
        ended = time.monotonic()
        load.stop()
        return texts_between(load.requests, began, ended) / (ended - began)
