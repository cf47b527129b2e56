"""How a flood of wrong keys delays a known user.

    runtime/.venv/bin/python -m tests.bench.guesses [--rounds 5]

The proxy in front of a stand-in for the engine that answers at once. One user asks again and again:
alone; beside a flood over 16 connections as it is by default; and with
LLAMA_PROXY_AUTH_FAILURES_PER_MINUTE=0, where every key is looked up in the database. The flood sends as
fast as it is answered, and the machine's processors are shared by it, the user and the proxy.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import multiprocessing.synchronize
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import aiohttp

from proxy.database import schema
from proxy.database.pool import connect
from proxy.identity import keys, users
from tests.bench.report import Table, machine
from tests.support.postgres import Postgres
from tests.support.process import ProxyProcess
from tests.support.upstream import fake_upstream

PHASE_S = 3.0
CONNECTIONS = 16
DIFFERENT_KEYS = 2_000
COLUMNS = ("alone", "flood", "flood, no limit")
Context = multiprocessing.get_context("spawn")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    latencies = Table(
        title="A known user beside a flood of wrong keys: latency, ms",
        columns=COLUMNS,
        ratios=(("flood", "alone"), ("flood, no limit", "alone")),
    )
    flood = Table(title="The flood", columns=COLUMNS[1:])
    # The fake engine runs in a process of its own.
    receiver, sender = Context.Pipe(duplex=False)
    engine = Context.Process(target=_serve_engine, args=(sender,), daemon=True)
    engine.start()
    with Postgres(fsync=False) as postgres, tempfile.TemporaryDirectory() as folder:
        url = postgres.fresh_database()
        with connect(url, application="bench") as connection:
            schema.migrate(connection)
            key = users.create_user(connection, username="known", rate_limit=10**9).key
        asyncio.run(_measure(latencies, flood, rounds, url, key, receiver.recv(), Path(folder)))
    engine.kill()
    for name, value in machine().items():
        print(f"{name}: {value}")
    print()
    print(latencies.text())
    print(flood.text())
    return 0


async def _measure(
    table: Table, flood: Table, rounds: int, url: str, key: str, engine_url: str, folder: Path
) -> None:
    configuration = {
        "LLAMA_SERVER_DATABASE_URL": url,
        "LLAMA_SERVER_BACKEND_URL": engine_url,
        "LLAMA_PROXY_LOG_LEVEL": "info",
    }
    limited = ProxyProcess(folder, **configuration)
    unlimited = ProxyProcess(folder, **configuration, LLAMA_PROXY_AUTH_FAILURES_PER_MINUTE="0")
    async with limited, unlimited, aiohttp.ClientSession() as client:
        for proxy in (limited, unlimited):
            await _ask(client, proxy.url, key, 1.0)
        before = [_resident_mb(proxy) for proxy in (limited, unlimited)]
        for _ in range(rounds):
            _add(table, "alone", await _ask(client, limited.url, key, PHASE_S))
            for column, proxy in zip(COLUMNS[1:], (limited, unlimited), strict=True):
                asking = lambda proxy=proxy: _ask(client, proxy.url, key, PHASE_S)  # noqa: E731
                latencies, refused = await _beside_a_flood(proxy.port, asking)
                _add(table, column, latencies)
                flood.add("wrong keys answered/s", column, refused / PHASE_S)
        after = [_resident_mb(proxy) for proxy in (limited, unlimited)]
    for column, one, other in zip(COLUMNS[1:], before, after, strict=True):
        flood.add("proxy's memory before, MB", column, one)
        flood.add("proxy's memory after, MB", column, other)


def _add(table: Table, column: str, latencies_ms: list[float]) -> None:
    """Add a round of the user's latencies."""
    table.add("median", column, median(latencies_ms))
    table.add("95th percentile", column, quantiles(latencies_ms, n=20)[-1])


async def _ask(client: aiohttp.ClientSession, url: str, key: str, seconds: float) -> list[float]:
    """Send one request after the other for this long; the latency of each in milliseconds."""
    body = {"model": "bench-chat", "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"Authorization": f"Bearer {key}"}
    latencies = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        async with client.post(url + "/v1/chat/completions", json=body, headers=headers) as response:
            assert response.status == 200, await response.text()
            await response.read()
        latencies.append((time.monotonic() - began) * 1000)
    return latencies


async def _beside_a_flood(
    port: int, ask: Callable[[], Awaitable[list[float]]]
) -> tuple[list[float], int]:
    """The user's latencies, and how many wrong keys were answered meanwhile."""
    begun, over = Context.Event(), Context.Event()
    receiver, sender = Context.Pipe(duplex=False)
    flood = Context.Process(target=_flood, args=(port, begun, over, sender), daemon=True)
    flood.start()
    await asyncio.to_thread(begun.wait)
    latencies = await ask()
    over.set()
    refused = await asyncio.to_thread(receiver.recv)
    flood.join()
    return latencies, refused


def _flood(
    port: int,
    begun: multiprocessing.synchronize.Event,
    over: multiprocessing.synchronize.Event,
    count: Any,
) -> None:
    """Send wrong keys that are well-formed, each connection as fast as it is answered."""
    wrong = [keys.create_key().key for _ in range(DIFFERENT_KEYS)]
    requests = [
        f"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
        for key in wrong
    ]

    async def connection(number: int) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        sent = 0
        while not over.is_set():
            writer.write(requests[(number + sent * CONNECTIONS) % len(requests)])
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.split(b" ", 2)[1] in (b"401", b"429", b"503"), head
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            sent += 1
        writer.close()
        return sent

    async def all_connections() -> int:
        return sum(await asyncio.gather(*(connection(number) for number in range(CONNECTIONS))))

    begun.set()
    count.send(asyncio.run(all_connections()))


def _serve_engine(url: Any) -> None:
    async def serve() -> None:
        async with fake_upstream() as upstream:
            url.send(upstream.url)
            while True:
                await asyncio.sleep(1)
                upstream.received.clear()

    asyncio.run(serve())


def _resident_mb(proxy: ProxyProcess) -> float:
    assert proxy.process is not None
    text = Path(f"/proc/{proxy.process.pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


if __name__ == "__main__":
    sys.exit(main())
