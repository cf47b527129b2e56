"""What fair turns and exact windows bring the users, and what they cost each request.

    runtime/.venv/bin/python -m tests.bench.fairness [turns] [restart] [restart-proxy] [cost]

Without arguments, all of them. `turns`: a light user beside a heavy one, through the proxy and, in
the same run, at the bare engine. `restart`: `console.sh restart server` under load; `restart-proxy`: six
times that of the proxy. `cost`: the gate, the windows, and the windows in PostgreSQL, in microseconds a
request. It takes about two minutes, starts what it needs on free ports of 127.0.0.1 and leaves nothing
behind. Figures of a busy machine are high.
"""

from __future__ import annotations

import asyncio
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from psycopg_pool import AsyncConnectionPool

from proxy.database import schema
from proxy.database.pool import connect
from proxy.identity import users
from proxy.identity.principal import Principal
from proxy.ratelimit.local import LocalAdmission
from proxy.ratelimit.shared import SharedAdmission
from proxy.records.request_log import RequestLog
from proxy.records.spool import Spool
from proxy.scheduling.fair_queue import FairQueue
from tests.support.appliance import Appliance
from tests.support.gguf import SLOW, build_model
from tests.support.load import (
    HeavyAndLight,
    heavy_and_light,
    restart_proxy_under_load,
    restart_under_load,
)
from tests.support.postgres import Postgres
from tests.support.proxy import settings_for

ROUNDS = 5
LIMIT = 10**9


@contextmanager
def running_appliance() -> Iterator[tuple[Appliance, dict[str, str]]]:
    """An appliance with a slow model, and the keys of two users."""
    settings = {"LLAMA_SERVER_N_THREADS": "1", "LLAMA_PROXY_RATE_LIMIT": "10000"}
    with Appliance(model=False, **settings) as appliance:
        build_model(appliance.root / "models" / "slow.gguf", shape=SLOW)
        appliance.start()
        names = ("heavy", "light")
        yield (
            appliance,
            {name: appliance.cli("create-user", "--username", name, "--quiet") for name in names},
        )


async def show_turns(appliance: Appliance, keys: dict[str, str]) -> None:
    """Measure how many of the heavy user's requests go before the light user's."""
    fair = await heavy_and_light(appliance.proxy_url, keys["heavy"], keys["light"])
    engine_key = appliance.server_key
    bare = await heavy_and_light(appliance.server_url, engine_key, engine_key)
    print("One user has 33 requests under way; at the first answer another user sends one.")
    for name, seen in (("through the proxy", fair), ("at the bare engine", bare)):
        print(f"  {name:18}  {_wait_text(seen)}")


def _wait_text(seen: HeavyAndLight) -> str:
    failed = sum(one.status != 200 for one in [*seen.heavy, seen.light])
    return (
        f"waited {seen.light.seconds:6.2f} s, {seen.overtaken_by():2d} of the other's answered before "
        f"it (one takes {seen.service_s() * 1000:.0f} ms; {failed} failed)"
    )


async def show_restart(appliance: Appliance, keys: dict[str, str]) -> None:
    """Measure how a restart of the model server delays waiting requests."""
    seen = await restart_under_load(appliance, keys)
    print("24 at a time of two users, half of them streams; `console.sh restart server` meanwhile.")
    took_s = seen.done_at - seen.begun_at
    print(f"  the restart took {took_s:.1f} s, {len(seen.lost())} of {len(seen.sent)} lost an answer")
    print(f"  {seen.answered_after()} were answered by the new server")
    print(f"  the longest wait for a turn was {max(seen.queue_ms) / 1000:.1f} s (by the records)")


async def show_restart_of_the_proxy(appliance: Appliance, keys: dict[str, str]) -> None:
    """Measure what a restart of the proxy does to new connections and streams."""
    seen = await restart_proxy_under_load(appliance, keys["heavy"], restarts=6)
    print("4 streams and 4 new connections at a time; 6 × `console.sh restart proxy` meanwhile.")
    for name, sent in (("streams", seen.streams), ("new connections", seen.fresh)):
        longest = max(one.seconds for one in sent)
        print(f"  {len(sent):5d} {name:15}  the longest took {longest:.1f} s")
    print(f"  {len(seen.lost())} got no whole answer")
    for one in seen.lost():
        print(f"    {one.status} {one.body[:200]!r}")


def microseconds(work: Callable[[int], object], count: int) -> float:
    """The time of one call, from the best of several rounds of `count` calls."""
    rounds = []
    for number in range(ROUNDS):
        begun = time.perf_counter()
        for index in range(number * count, (number + 1) * count):
            work(index)
        rounds.append((time.perf_counter() - begun) / count)
    return min(rounds) * 1e6


async def microseconds_async(work: Callable[[], Awaitable[object]], count: int) -> float:
    """The time of one awaited call, from the best of several rounds."""
    rounds = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        for _ in range(count):
            await work()
        rounds.append((time.perf_counter() - begun) / count)
    return min(rounds) * 1e6


def principal(user_id: int, *, token_limit: int | None = None) -> Principal:
    """A user with a limit too high to be hit."""
    return Principal(
        public_id="p",
        key_id=1,
        user_id=user_id,
        username="bench",
        is_active=True,
        revoked=False,
        expires_at=None,
        rate_limit=LIMIT,
        rate_window_s=60.0,
        token_limit=token_limit,
    )


def show_gate() -> None:
    """Measure taking a turn with a free slot, and with others waiting."""
    gate = FairQueue(limit=1, queue_size=256, user_queue_size=64, clock=time.monotonic)
    free = microseconds(lambda user: gate.leave(gate.enter(user % 50)), 50_000)
    held = gate.enter(-1)
    waiting = [gate.enter(user % 50) for user in range(200)]

    def turn(user: int) -> None:
        nonlocal held
        gate.leave(held)
        held = next(place for place in waiting if place.running)
        waiting.remove(held)
        waiting.append(gate.enter(user % 50))

    busy = microseconds(turn, 5_000)
    print(f"  the gate, a slot free                    {free:8.2f} µs")
    print(f"  the gate, 200 of 50 users waiting        {busy:8.2f} µs")


async def show_windows(url: str) -> None:
    """Measure admission in memory and in the database."""
    with tempfile.TemporaryDirectory() as directory:
        settings = settings_for(database_url=url, backend_url="", directory=Path(directory))
        async with AsyncConnectionPool(url, min_size=4, kwargs={"autocommit": True}) as pool:
            log = RequestLog(pool, Spool(settings.spool_dir))
            log.recovered.set()
            local = LocalAdmission(settings=settings, request_log=log, clock=time.monotonic)
            for name, token_limit in (("requests", None), ("requests and tokens", LIMIT)):
                user = principal(1, token_limit=token_limit)
                await local.admit(user, generates=True)
                admit = partial(local.admit, user, generates=True)
                cost = await microseconds_async(admit, 20_000)
                print(f"  windows in memory, {name:20}  {cost:8.2f} µs")
            shared = SharedAdmission(settings=settings, pool=pool, request_log=log)
            await show_shared(shared)
            await shared.close()
            await log.close()


async def show_shared(shared: SharedAdmission) -> None:
    """Measure requests one by one and many at once; CPU time is of this process only."""
    for name, user in (
        ("alone", principal(2)),
        ("alone, tokens too", principal(3, token_limit=LIMIT)),
    ):
        await shared.admit(user, generates=True)
        waits = []
        cpu = time.process_time()
        for _ in range(500):
            begun = time.perf_counter()
            await shared.admit(user, generates=True)
            waits.append((time.perf_counter() - begun) * 1e6)
        cpu = (time.process_time() - cpu) / 500 * 1e6
        print(
            f"  windows in PostgreSQL, {name:17} {statistics.median(waits):8.0f} µs to wait (median), "
            f"{cpu:.0f} µs of CPU"
        )
    crowd, begun, cpu = 2000, time.perf_counter(), time.process_time()
    await asyncio.gather(*(shared.admit(principal(4), generates=True) for _ in range(crowd)))
    each = (time.perf_counter() - begun) / crowd * 1e6
    cpu = (time.process_time() - cpu) / crowd * 1e6
    print(f"  windows in PostgreSQL, 2000 at once      {each:8.0f} µs for each, {cpu:.0f} µs of CPU")


def show_cost() -> None:
    """Measure all costs of a request."""
    print("Cost of one request, on one core:")
    show_gate()
    with Postgres() as postgres:
        url = postgres.fresh_database()
        with connect(url, application="bench") as connection:
            schema.migrate(connection)
            users.create_user(connection, username="bench")
        asyncio.run(show_windows(url))


def main(arguments: list[str]) -> int:
    """Run the named measurements, or all."""
    known = ("turns", "restart", "restart-proxy", "cost")
    if not set(arguments) <= set(known):
        print(__doc__, file=sys.stderr)
        return 2
    wanted = arguments or list(known)
    print(f"{platform.system()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    if set(wanted) - {"cost"}:
        with running_appliance() as (appliance, keys):
            if "turns" in wanted:
                asyncio.run(show_turns(appliance, keys))
            if "restart" in wanted:
                asyncio.run(show_restart(appliance, keys))
            if "restart-proxy" in wanted:
                asyncio.run(show_restart_of_the_proxy(appliance, keys))
    if "cost" in wanted:
        show_cost()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
