"""Many at once through the whole appliance: proxy, keys, windows, records and database included.

Beside llama.cpp's own `llama-server --parallel 8` without anything in front, where that is on the PATH.
Each user has a key. Also how long a light user waits who comes while a heavy one has more requests than
there are slots.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench.batching import CONTEXT, LARGE, RESPONSE, SLOTS, crowd_of
from tests.bench.client import Client
from tests.bench.report import Table
from tests.bench.servers import Fleet, Server, cpu_s, described, in_turn
from tests.support.appliance import MODEL, Appliance
from tests.support.load import heavy_and_light

SETTINGS = {
    "LLAMA_SERVER_PARALLEL": str(SLOTS),
    "LLAMA_SERVER_N_CTX": str(CONTEXT),
    "LLAMA_PROXY_RATE_LIMIT": "1000000",
}
HEAVY_REQUESTS = 33


def measure(rounds: int, model: Path | None) -> list[Table]:
    """Measure both in turn."""
    with ExitStack() as stack:
        fleet = stack.enter_context(Fleet(threads=0))
        path = model or fleet.model("large", LARGE, quantized=True)
        appliance, server = stack.enter_context(appliance_of(path))
        servers = [server]
        arguments = ["--parallel", str(SLOTS), "--ctx-size", str(SLOTS * CONTEXT), "--no-webui"]
        theirs = fleet.llama_server(path, *arguments)
        if theirs is not None:
            servers.append(theirs)
        table = Table(
            title=f"Through the appliance: streams of {RESPONSE} tokens, {SLOTS} slots",
            columns=[one.name for one in servers],
            ratios=[(server.name, one.name) for one in servers[1:]],
            notes=[] if theirs else ["llama-server is not on the PATH"],
        )
        for number in range(rounds):
            for users in (SLOTS, 1):
                for one in in_turn(servers, number):
                    before = cpu_s(appliance.pid("proxy"))
                    crowd_of(users)(table, one, number)
                    after = cpu_s(appliance.pid("proxy"))
                    if one is server and before is not None and after is not None:
                        label = f"{users} users" if users > 1 else "1 user"
                        cpu_ms = (after - before) * 1e3 / (users * RESPONSE)
                        table.add(f"{label}: CPU ms a token, proxy alone", one.name, cpu_ms)
        light = _heavy_and_light(appliance, rounds)
        table.notes.append(described(path))
        return [table, light]


@contextmanager
def appliance_of(model: Path) -> Iterator[tuple[Appliance, Server]]:
    """A running appliance, and its users as clients. The process of `Server` is the engine's."""
    with Appliance(model=False, **SETTINGS) as appliance:
        shutil.copy2(model, appliance.root / "models" / MODEL)
        appliance.start()
        port = urlsplit(appliance.proxy_url).port
        assert port is not None
        clients = tuple(
            Client(port, {"Authorization": f"Bearer {_key(appliance, f'user{number}')}"})
            for number in range(SLOTS)
        )
        for client in clients:  # each key's first request is slower: it is looked up and verified
            client.whole({"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4})
        yield appliance, Server(name="appliance", clients=clients, pid=appliance.pid("server"))


def _key(appliance: Appliance, name: str) -> str:
    return appliance.cli("create-user", "--username", name, "--quiet")


def _heavy_and_light(appliance: Appliance, rounds: int) -> Table:
    """A light user's one request, sent when the heavy user's first is answered."""
    table = Table(
        title=f"A light user beside a heavy one with {HEAVY_REQUESTS} requests, {SLOTS} slots",
        columns=["appliance"],
    )
    keys = [_key(appliance, name) for name in ("heavy", "light")]
    for _ in range(rounds):
        both = asyncio.run(
            heavy_and_light(appliance.proxy_url, *keys, count=HEAVY_REQUESTS, max_tokens=64)
        )
        assert {one.status for one in [*both.heavy, both.light]} == {200}
        heavy_s = sorted(one.seconds for one in both.heavy)
        table.add("light user's request, s", "appliance", both.light.seconds)
        table.add("heavy user's quickest request, s", "appliance", heavy_s[0])
        table.add("heavy user's slowest request, s", "appliance", heavy_s[-1])
    return table
