"""Rate windows across restarts and kill -9, with the real spool and a real PostgreSQL, against a model.

The clocks are the test's own; what dies and what is left behind is real.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from psycopg_pool import AsyncConnectionPool

from proxy.database import schema
from proxy.database.pool import connect
from proxy.identity.principal import Principal
from proxy.ratelimit.local import LocalAdmission
from proxy.records.record import RequestRecord
from proxy.records.request_log import RequestLog
from proxy.records.spool import Spool
from proxy.settings import ProxySettings
from tests.support.postgres import Postgres
from tests.support.proxy import settings_for

EPOCH = 1_800_000_000.0
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def url(postgres: Postgres) -> str:
    """A database for all examples; each has a user of its own."""
    url = postgres.fresh_database()
    with connect(url, application="tests") as connection:
        schema.migrate(connection)
    return url


@dataclass
class Machine:
    """One machine: its clocks go on while the proxy on it starts, stops and is killed."""

    pool: AsyncConnectionPool
    settings: ProxySettings
    principal: Principal
    now: float = 1000.0
    """Monotonic."""
    set_back_s: float = 0.0
    """How far the wall clock has been set back."""
    admitted: list[float] = field(default_factory=list)
    running: list[RequestRecord] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return EPOCH + self.now - self.set_back_s

    async def start(self) -> None:
        """A proxy begins: what an earlier one left in the spool is loaded."""
        self.log = RequestLog(self.pool, Spool(self.settings.spool_dir), clock=self.wall)
        self.admitter = LocalAdmission(
            settings=self.settings, request_log=self.log, clock=self.monotonic
        )
        await self.log._delivery.recover()
        self.log.recovered.set()

    async def stop(self) -> None:
        for record in self.running:
            self.log.ended(record)
        self.running.clear()
        await self.log.close()

    def kill(self) -> None:
        """What kill -9 leaves: the spool's files, and no lock on them."""
        self.log._spool.close()
        self.running.clear()

    async def send(self, looked_up_s: float) -> bool:
        """A request arrives, its key is looked up, it is admitted or not."""
        record = RequestRecord(
            created_at=self.wall(),
            username=self.principal.username,
            user_id=self.principal.user_id,
            key_id=1,
            method="POST",
            path="/v1/completions",
        )
        self.now += looked_up_s
        admission = await self.admitter.admit(self.principal, generates=True)
        if admission.entry is None:
            return False
        record.admitted, record.admitted_at = True, self.wall()
        self.log.admitted(record)
        self.admitted.append(self.now)
        self.running.append(record)
        return True

    def end_one(self) -> None:
        if self.running:
            record = self.running.pop(0)
            record.status_code, record.latency_ms = 200, 1.0
            self.log.ended(record)

    def used(self) -> int:
        """By the definition: the admissions in the WINDOW seconds before now."""
        window_s = self.principal.rate_window_s or 0
        return sum(t + window_s > self.now for t in self.admitted)


# Multiples of an eighth: exact in every form that a time takes on its way.
eighths = st.integers(0, 24).map(lambda n: n / 8)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.sampled_from([0.0, 0.125, 1.0, 2.0])),
        st.tuples(st.just("send"), st.just(0.0)),
        st.tuples(st.just("wait"), eighths),
        st.tuples(st.just("end"), st.just(0.0)),
        st.tuples(st.just("load"), st.just(0.0)),
        st.tuples(st.just("limit"), st.integers(1, 5)),
        st.tuples(st.just("window"), st.sampled_from([0.5, 2.0, 4.0])),
        st.tuples(st.sampled_from(["restart", "kill"]), st.just(0.0)),
    ),
    min_size=5,
    max_size=40,
)


async def run(url: str, steps: list[tuple[str, float]], *, set_back_s: float = 0.0) -> int:
    """Go through the steps; every decision is held against the definition. How many were sent."""
    sent = 0
    with tempfile.TemporaryDirectory() as directory:
        async with AsyncConnectionPool(url, min_size=1, kwargs={"autocommit": True}) as pool:
            number = next(numbers)
            machine = Machine(
                pool=pool,
                settings=settings_for(database_url=url, backend_url="", directory=Path(directory)),
                principal=Principal(
                    public_id="p",
                    key_id=1,
                    user_id=number,
                    username=f"user{number}",
                    is_active=True,
                    revoked=False,
                    expires_at=None,
                    rate_limit=3,
                    rate_window_s=2.0,
                ),
            )
            await machine.start()
            for what, value in steps:
                machine.now += 0.125  # two things never happen at the same moment
                match what:
                    case "send":
                        sent += 1
                        passed = await machine.send(value)
                        used = machine.used() - passed
                        limit = machine.principal.rate_limit or 0
                        if machine.set_back_s:
                            assert not passed or used < limit
                        else:
                            assert passed == (used < limit), (used, limit)
                    case "wait":
                        machine.now += value
                    case "end":
                        machine.end_one()
                    case "load":
                        await machine.log._delivery.load_all()
                    case "limit":
                        machine.principal = replace(machine.principal, rate_limit=int(value))
                    case "window":
                        machine.principal = replace(machine.principal, rate_window_s=value)
                    case "restart":
                        await machine.stop()
                        machine.set_back_s += set_back_s
                        await machine.start()
                    case "kill":
                        machine.kill()
                        machine.set_back_s += set_back_s
                        await machine.start()
            await machine.stop()
    return sent


LENGTHENED: list[tuple[str, float]] = [
    ("window", 0.5),
    ("limit", 2),
    ("wait", 5.0),
    ("send", 0.0),
    ("wait", 1.0),
    ("send", 0.0),
    ("window", 4.0),
    ("send", 0.0),
]
"""What the short window has forgotten, long after the process began; chance is slow to find it."""


@given(steps=steps)
@example(steps=LENGTHENED)
@settings(max_examples=100)
def test_at_most_limit_in_any_window_whatever_becomes_of_the_process(
    url: str, steps: list[tuple[str, float]]
) -> None:
    """Exactly, over restarts and kill -9 with requests running, and changes of limit and window."""
    asyncio.run(run(url, steps))


@given(steps=steps, set_back_s=st.sampled_from([0.5, 3.0, 3600.0]))
@settings(max_examples=30)
def test_a_clock_that_is_set_back_lets_no_more_through(
    url: str, steps: list[tuple[str, float]], set_back_s: float
) -> None:
    """Set back at each restart: what was recorded counts as now, so more may be refused, never less."""
    asyncio.run(run(url, steps, set_back_s=set_back_s))
