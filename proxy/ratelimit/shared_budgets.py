"""The budgets of several proxies on one database, which counts them (migration 0007).

A charge is sent at once. One that is lost with its proxy counts when the request's record is loaded.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from psycopg_pool import AsyncConnectionPool

from proxy import errors
from proxy.database.schema import DATABASE_ERRORS
from proxy.identity.principal import Principal
from proxy.ratelimit.budgets import BudgetState, budgets_of, check_left
from proxy.ratelimit.queries import QUERY_TIMEOUT_S, carry_out, fetch
from proxy.records.record import RequestRecord
from proxy.records.request_log import RequestLog

logger = logging.getLogger(__name__)

_USED = "SELECT used, reset_s FROM llama_budget_used(%s, %s, %s)"
_CHARGE = "SELECT llama_budget_charge(%s, %s, %s)"


class SharedBudgets:
    """As Budgets has it. Close it when the last request has ended."""

    def __init__(self, pool: AsyncConnectionPool, log: RequestLog) -> None:
        self._pool = pool
        self._log = log
        self._charges: dict[int, set[asyncio.Task[None]]] = {}
        """Under way, by subject."""

    async def check(self, principal: Principal) -> None:
        """As Budgets has it."""
        for state in await self.look(principal):
            check_left(state)

    async def look(self, principal: Principal) -> list[BudgetState]:
        """As Budgets has it."""
        states = []
        for budget in budgets_of(principal):
            try:
                async with asyncio.timeout(QUERY_TIMEOUT_S):
                    await self._log.recovered.wait()
                if charges := self._charges.get(budget.subject):
                    await asyncio.wait(set(charges), timeout=QUERY_TIMEOUT_S)
                used, reset_s = await fetch(
                    self._pool, _USED, (budget.subject, budget.username, budget.period)
                )
            except DATABASE_ERRORS as error:
                logger.warning("the shared budgets are out of reach: %s", error)
                raise errors.windows_unavailable() from error
            states.append(BudgetState(budget, int(used), reset_s))
        return states

    def charge(self, principal: Principal, record: RequestRecord) -> None:
        """As Budgets has it."""
        if (tokens := record.count_tokens()) <= 0:
            return
        for budget in budgets_of(principal):
            charges = self._charges.setdefault(budget.subject, set())
            values = (record.id, budget.subject, tokens)
            task = asyncio.create_task(carry_out(self._pool, _CHARGE, values))
            charges.add(task)
            task.add_done_callback(partial(self._charged, budget.subject))

    def _charged(self, subject: int, task: asyncio.Task[None]) -> None:
        charges = self._charges[subject]
        charges.discard(task)
        if not charges:
            del self._charges[subject]

    async def close(self) -> None:
        """Wait until pending charges have reached the database, a few seconds at most."""
        tasks = {task for charges in self._charges.values() for task in charges}
        if tasks:
            await asyncio.wait(tasks, timeout=QUERY_TIMEOUT_S)
