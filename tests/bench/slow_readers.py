"""How long the next user waits while clients take their responses slowly.

    runtime/.venv/bin/python -m tests.bench.slow_readers [--rounds 5]

The real proxy with one slot, in front of a fake engine that has its responses ready at once, so that all
of the wait is the slow client's doing. For each kind of response and each rate: the longest and the
median wait of another user's chat request, the longest of a GET /v1/models, and what the proxy holds in
memory for the slow clients. It takes about a minute, starts a PostgreSQL of its own and leaves nothing
behind.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from aiohttp import web

from proxy.database import schema
from proxy.database.pool import connect
from proxy.identity import users
from tests.bench.report import short
from tests.support.postgres import Postgres
from tests.support.proxy import RunningProxy, running_proxy, settings_for
from tests.support.slow_reader import slow_reader
from tests.support.upstream import FakeUpstream, events, fake_upstream
from tests.support.wait import until

RATES = (1024, 16_384, 0)
"""Bytes a second; 0: the client takes nothing."""
READERS = 16
WHOLE_BYTES = 560_000
"""As large as 500 tokens with `top_logprobs: 20`."""
EVENTS = 2048
SEND_BUFFER_BYTES = 4096
NEVER_S = 30.0
"""A wait that took longer is given up; it would end with the client, or with a time-out."""


async def whole(_: web.Request) -> web.StreamResponse:
    """A whole response."""
    return web.Response(body=b"x" * WHOLE_BYTES, content_type="application/json")


async def stream(request: web.Request) -> web.StreamResponse:
    """A stream of 2 MiB."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for event in events(*["x" * 1024] * EVENTS):
        await response.write(event)
    return response


KINDS: dict[str, tuple[str, int, Callable[[web.Request], Awaitable[web.StreamResponse]]]] = {
    "one whole response, 560 KB": ("/v1/chat/completions", 1, whole),
    "one stream, 2 MiB": ("/v1/chat/completions", 1, stream),
    f"{READERS} of /extras/detokenize": ("/extras/detokenize", READERS, whole),
}


async def _timed(proxy: RunningProxy, method: str, path: str, key: str) -> float:
    """How long a request took, in seconds; infinite if it did not end."""
    began = time.perf_counter()
    try:
        async with asyncio.timeout(NEVER_S):
            async with proxy.request(method, path, key=key) as response:
                await response.read()
    except TimeoutError:
        return float("inf")
    return time.perf_counter() - began if response.status == 200 else float("inf")


async def show(
    proxy: RunningProxy,
    upstream: FakeUpstream,
    keys: dict[str, str],
    *,
    kind: str,
    rate: int,
    rounds: int,
) -> None:
    """One line for a kind of response and a rate."""
    path, readers, behaviour = KINDS[kind]
    chats, lists, held = [], [], 0
    port = int(proxy.url.rsplit(":", 1)[1])
    for _ in range(rounds):
        upstream.received.clear()
        upstream.behaviour = behaviour
        async with AsyncExitStack() as stack:
            for _ in range(readers):
                reader = slow_reader(port, keys["slow"], path=path, bytes_per_s=rate)
                await stack.enter_async_context(reader)
            await until(lambda: bool(upstream.received), "the engine to have a slow client's request")
            upstream.behaviour = None
            chats.append(await _timed(proxy, "POST", "/v1/chat/completions", keys["next"]))
            lists.append(await _timed(proxy, "GET", "/v1/models", keys["next"]))
            proxy.app.slow_clients.look()
            held = max(held, proxy.app.slow_clients.held_bytes)
        await until(lambda: not proxy.under_way(), "the slow clients to have gone")
    print(
        f"  {kind:28} {rate:7} B/s   chat {short(statistics.median(chats))} s (median), "
        f"{short(max(chats))} s (longest); models {short(max(lists))} s; {held / 1024:.0f} KiB held",
        flush=True,
    )


async def run(url: str, keys: dict[str, str], rounds: int) -> None:
    """All kinds at all rates."""
    with tempfile.TemporaryDirectory() as directory:
        async with fake_upstream() as upstream:
            settings = settings_for(
                database_url=url,
                backend_url=upstream.url,
                directory=Path(directory),
                rate_limit=10**6,
            )
            async with running_proxy(settings, send_buffer=SEND_BUFFER_BYTES) as proxy:
                for kind in KINDS:
                    for rate in RATES:
                        await show(proxy, upstream, keys, kind=kind, rate=rate, rounds=rounds)


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args(arguments).rounds
    print(f"{platform.system()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    with Postgres() as postgres:
        url = postgres.fresh_database()
        with connect(url, application="bench") as connection:
            schema.migrate(connection)
            keys = {name: users.create_user(connection, username=name).key for name in ("slow", "next")}
        asyncio.run(run(url, keys, rounds))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
