"""What several proxies agree on by the database: their parts of the engines' slots, and drained engines.

A proxy renews its leases four times a second, and more often while requests wait. It keeps within them:
what it gives up it stops using before the database says so, and what it takes it uses afterwards. A
lease ends by itself TTL_S after its last renewal, so the slots of a proxy that died are used again then;
a proxy that cannot reach the database gives no turns from then on, while requests that run go on.
"""

from __future__ import annotations

import asyncio
import logging
import math
import uuid
from collections.abc import Callable, Mapping
from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from proxy.database.pool import deadline
from proxy.database.schema import DATABASE_ERRORS
from proxy.scheduling.backend_state import BackendState
from proxy.scheduling.shares import Decision, Lease, decide
from proxy.scheduling.turns import Turns
from proxy.settings import ProxySettings

logger = logging.getLogger(__name__)

TTL_S = 4.0
"""How long a lease lasts without a renewal."""
RENEW_EVERY_S = 0.25
RENEW_WHILE_WAITING_S = 0.1
DRAINED_EVERY_S = 1.0
"""How often a proxy without leases reads which engines are drained."""
ROTATION_S = 2.0
"""How often slots that cannot be divided go to another proxy."""
QUERY_TIMEOUT_S = 2.0

_DRAINED = "SELECT url FROM llama_backends WHERE drained_at IS NOT NULL"
_RENEW = "SELECT llama_renew_proxy(%s, %s)"
_LEASES = "SELECT proxy::text, backend, slots, demand FROM llama_leases WHERE proxy <> %s"
_PROXIES = "SELECT count(*) FROM llama_proxies"
_HOLD = """
    INSERT INTO llama_leases (proxy, backend, slots, demand)
    SELECT %s, * FROM unnest(%s::text[], %s::int[], %s::int[])
    ON CONFLICT (proxy, backend) DO UPDATE SET slots = excluded.slots, demand = excluded.demand
    WHERE (llama_leases.slots, llama_leases.demand) <> (excluded.slots, excluded.demand)
"""
_LEAVE = "DELETE FROM llama_proxies WHERE id = %s"


class Coordination:
    """Keeps this proxy's leases and what is drained. `run` must be running as a task.

    Args:
        settings: whether there are other proxies, and whether engines may be drained, which only those
            of LLAMA_SERVER_BACKENDS may.
        clock: gives monotonic seconds.
    """

    def __init__(
        self,
        turns: Turns,
        pool: AsyncConnectionPool,
        settings: ProxySettings,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._turns = turns
        self._pool = pool
        self._shared = settings.shared
        self._drains = bool(settings.backends)
        self._clock = clock
        self._id = str(uuid.uuid4())
        self._expiry: asyncio.TimerHandle | None = None
        self._held: dict[str, Lease] = {}
        """What the database has of this proxy."""
        if self._shared:
            self._give_up()

    async def run(self) -> None:
        """Renew until cancelled."""
        failing = False
        while True:
            try:
                await self._renew()
                failing = False
            except DATABASE_ERRORS as error:
                if not failing:
                    logger.warning(
                        "the engines' slots cannot be agreed on with other proxies: %s", error
                    )
                failing = True
            await asyncio.sleep(self._pause_s())

    async def close(self) -> None:
        """Give the leases back."""
        if self._expiry is not None:
            self._expiry.cancel()
        if self._shared:
            try:
                async with self._pool.connection(timeout=QUERY_TIMEOUT_S) as connection:
                    with deadline(connection, QUERY_TIMEOUT_S):
                        await connection.execute(_LEAVE, [self._id])
            except DATABASE_ERRORS as error:
                logger.info("the leases are left to end by themselves: %s", error)

    def _pause_s(self) -> float:
        if not self._shared:
            return DRAINED_EVERY_S
        waits = self._turns.queues["generate"].waiting
        return RENEW_WHILE_WAITING_S if waits else RENEW_EVERY_S

    def _give_up(self) -> None:
        """Use nothing: others may have the slots."""
        for backend in self._turns.backends:
            backend.leased = 0
        self._turns.backends_changed()

    async def _renew(self) -> None:
        async with self._pool.connection(timeout=QUERY_TIMEOUT_S) as connection:
            with deadline(connection, QUERY_TIMEOUT_S):
                if self._drains:
                    self._note_drained({url for (url,) in await _rows(connection, _DRAINED)})
                if self._shared:
                    decisions = await self._lease(connection)
                    self._apply(decisions)

    def _note_drained(self, drained: set[str]) -> None:
        changed = False
        for backend in self._turns.backends:
            is_drained = backend.url in drained
            if is_drained != backend.drained:
                backend.drained, changed = is_drained, True
                logger.warning(
                    "the engine %s %s", backend.url, "is drained" if is_drained else "is used again"
                )
        if changed:
            self._turns.backends_changed()

    async def _lease(self, connection: AsyncConnection) -> Mapping[str, Decision]:
        """Renew this proxy's leases; returns what may be used from the end of the transaction on."""
        asked_at = self._clock()
        async with connection.transaction():
            ((now_s,),) = await _rows(connection, _RENEW, [self._id, TTL_S])
            others: dict[str, dict[str, Lease]] = {}
            for proxy, backend, slots, demand in await _rows(connection, _LEASES, [self._id]):
                others.setdefault(backend, {})[proxy] = Lease(slots, demand)
            ((proxies,),) = await _rows(connection, _PROXIES)
            decisions, wanted = self._decide(others, int(now_s / ROTATION_S), proxies)
            # What is given up is not used from here on; nothing has been granted since `busy` was read.
            self._apply(
                {
                    backend.url: decisions[backend.url]._replace(
                        usable=min(decisions[backend.url].usable, backend.leased or 0)
                    )
                    for backend in self._turns.backends
                }
            )
            changed = {url: lease for url, lease in wanted.items() if self._held.get(url) != lease}
            if changed:
                self._held.clear()
                await connection.execute(
                    _HOLD,
                    [
                        self._id,
                        list(wanted),
                        [lease.slots for lease in wanted.values()],
                        [lease.demand for lease in wanted.values()],
                    ],
                )
        self._held = wanted
        if self._expiry is not None:
            self._expiry.cancel()
        left_s = TTL_S - (self._clock() - asked_at)
        self._expiry = asyncio.get_running_loop().call_later(left_s, self._give_up)
        return decisions

    def _decide(
        self, others: Mapping[str, Mapping[str, Lease]], rotation: int, proxies: int
    ) -> tuple[dict[str, Decision], dict[str, Lease]]:
        turns = self._turns
        waiting = turns.queues["generate"].waiting
        total = sum(backend.total_slots for backend in turns.backends if backend.usable) or 1
        decisions, wanted = {}, {}
        for backend in turns.backends:
            backend.proxies = max(proxies, 1)
            busy = turns.busy(backend.index)
            waits = math.ceil(waiting * backend.total_slots / total) if backend.usable else 0
            decision = decide(
                backend.total_slots,
                others.get(backend.url, {}),
                self._id,
                busy=busy,
                demand=busy + waits,
                rotation=rotation + backend.index,
            )
            decisions[backend.url] = decision
            wanted[backend.url] = Lease(decision.held, busy + waits)
        return decisions, wanted

    def _apply(self, decisions: Mapping[str, Decision]) -> None:
        changed: list[BackendState] = []
        for backend in self._turns.backends:
            usable = decisions[backend.url].usable
            if backend.leased != usable:
                backend.leased = usable
                changed.append(backend)
        if changed:
            self._turns.backends_changed()


async def _rows(
    connection: AsyncConnection, statement: LiteralString, values: list[object] | None = None
) -> list[tuple[Any, ...]]:
    return await (await connection.execute(statement, values)).fetchall()
