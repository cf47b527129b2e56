"""Engines on machines of their own, with shares of the processor, and proxies in front of them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from proxy.database.pool import connect
from proxy.database.schema import migrate
from proxy.identity import users
from tests.support.engine import API_KEY, Engine
from tests.support.gguf import SLOW, build_model
from tests.support.namespaces import Namespace, engine_on, namespaces
from tests.support.postgres import Postgres
from tests.support.process import ProxyProcess
from tests.support.wait import wait_until

SHARE = 0.4
"""Of a core, for each engine."""
SLOTS = 2
"""Of each engine."""
PERIOD_US = 20_000
"""The kernel gives an engine its share anew so often."""
_OLD, _NEW = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")


@contextmanager
def share_of(pid: int, cores: float) -> Iterator[None]:
    """Hold a process, and what it starts, to so much of the processor.

    Raises:
        OSError: this user or machine cannot make control groups.
    """
    parent = _OLD if (_OLD / "cpu.cfs_quota_us").exists() else _NEW
    group = parent / f"llamaserve-bench-{pid}"
    group.mkdir()
    try:
        quota = round(PERIOD_US * cores)
        if parent is _OLD:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (group / "cpu.max").write_text(f"{quota} {PERIOD_US}")
        (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text(), "the group to be empty")
        group.rmdir()


@dataclass(frozen=True, kw_only=True)
class Machines:
    """Engines that run, and a PostgreSQL."""

    engines: Sequence[Engine]
    places: Sequence[Namespace]
    postgres: Postgres
    folder: Path

    @property
    def urls(self) -> list[str]:
        return [engine.url for engine in self.engines]


@contextmanager
def machines(count: int) -> Iterator[Machines]:
    """Start so many engines.

    Raises:
        NoNamespacesError, OSError: not on this machine, or not by this user.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        model = folder / "slow.gguf"
        build_model(model, shape=SLOW)
        postgres = stack.enter_context(Postgres())
        places = stack.enter_context(namespaces(count))
        engines = []
        for number, place in enumerate(places):
            engine = engine_on(place, folder / f"engine{number}", model, slots=SLOTS)
            engine.spawn()
            stack.enter_context(share_of(engine.pid, SHARE))
            engines.append(stack.enter_context(engine))
        for engine in engines:
            wait_until(lambda e=engine: e.health() == 200, "the engine", deadline_s=120)  # type: ignore[misc]
        print(f"{count} engines with {SLOTS} slots and {SHARE} cores each, of {os.cpu_count()} cores")
        yield Machines(engines=engines, places=places, postgres=postgres, folder=folder)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two proxies on one database, and an administrator's key."""

    proxies: Sequence[ProxyProcess]
    key: str
    database_url: str


@asynccontextmanager
async def pair(postgres: Postgres, folder: Path, urls: Sequence[str]) -> AsyncIterator[Pair]:
    """Start two proxies in front of these engines, with a database of their own."""
    database_url = postgres.fresh_database()
    with connect(database_url, application="bench") as connection:
        migrate(connection)
        key = users.create_user(connection, username="bench", rate_limit=10**9).key
        users.set_admin(connection, "bench", admin=True)
    configuration = {
        "LLAMA_SERVER_DATABASE_URL": database_url,
        "LLAMA_SERVER_BACKENDS": ",".join(urls),
        "LLAMA_SERVER_API_KEY": API_KEY,
        "LLAMA_PROXY_SHARED": "1",
    }
    async with AsyncExitStack() as stack:
        proxies = []
        for _ in range(2):
            place = Path(tempfile.mkdtemp(dir=folder))
            proxies.append(await stack.enter_async_context(ProxyProcess(place, **configuration)))
        yield Pair(proxies=proxies, key=key, database_url=database_url)
