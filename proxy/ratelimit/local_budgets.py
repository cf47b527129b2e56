"""The budgets of a proxy that stands alone: in memory, and exact across its restarts.

What was used of the present period before is read from the records once. The database says when periods
begin, some of them ahead, so that a new one begins here without asking.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from proxy import errors
from proxy.database.schema import DATABASE_ERRORS
from proxy.identity.principal import Principal
from proxy.ratelimit.budgets import Budget, BudgetState, budgets_of, check_left
from proxy.records.history import BudgetHistory, Moment
from proxy.records.record import RequestRecord
from proxy.records.request_log import RequestLog

logger = logging.getLogger(__name__)

READ_TIMEOUT_S = 3.0
"""How long a request waits for its budget. The query itself goes on."""


class _Counter:
    """Tokens used of a budget in the present period. Times are Unix seconds."""

    def __init__(self, period: str) -> None:
        self.period = period
        self.used = 0
        self._starts: list[float] = []
        """When the present period and the next ones begin."""
        self._charges: list[tuple[float, int]] | None = []
        """Charges that came while the records were read."""

    def open(self, history: BudgetHistory) -> None:
        """Take over what was used before this counter was made."""
        self.used, self._starts = history.used, list(history.starts)
        charges, self._charges = self._charges or [], None
        for now, tokens in charges:
            self.charge(tokens, now)

    def charge(self, tokens: int, now: float) -> None:
        """Count tokens."""
        if self._charges is not None:
            self._charges.append((now, tokens))
            return
        self.left_s(now)
        self.used += tokens

    def left_s(self, now: float) -> float:
        """Seconds until the next period, after beginning it if it is time; 0 if it is not known."""
        while len(self._starts) > 1 and now >= self._starts[1]:
            del self._starts[0]
            self.used = 0
        return self._starts[1] - now if len(self._starts) > 1 else 0.0


class LocalBudgets:
    """As Budgets has it. `clock` gives Unix time."""

    def __init__(self, log: RequestLog, clock: Callable[[], float]) -> None:
        self._log = log
        self._clock = clock
        self._counters: dict[int, _Counter] = {}
        self._readings: dict[int, tuple[_Counter, asyncio.Task[None]]] = {}

    async def check(self, principal: Principal) -> None:
        """As Budgets has it; suspends only to read the records."""
        for state in await self.look(principal):
            check_left(state)

    async def look(self, principal: Principal) -> list[BudgetState]:
        """As Budgets has it."""
        states = []
        for budget in budgets_of(principal):
            counter = self._counters.get(budget.subject)
            while (
                counter is None or counter.period != budget.period or counter.left_s(self._clock()) <= 0
            ):
                counter = await self._read_once(budget)
            states.append(BudgetState(budget, counter.used, counter.left_s(self._clock())))
        return states

    def charge(self, principal: Principal, record: RequestRecord) -> None:
        """As Budgets has it."""
        if not (self._counters or self._readings):
            return
        tokens, group = record.count_tokens(), principal.group
        if tokens <= 0:
            return
        now = self._clock()
        for subject in (principal.user_id, 0 if group is None else -group.group_id):
            if (counter := self._counters.get(subject)) is not None:
                counter.charge(tokens, now)
            reading = self._readings.get(subject)
            if reading is not None and reading[0] is not counter:
                reading[0].charge(tokens, now)

    async def _read_once(self, budget: Budget) -> _Counter:
        """Read a budget's use; one reading serves all that wait for it."""
        reading = self._readings.get(budget.subject)
        if reading is None or reading[0].period != budget.period:
            counter = _Counter(budget.period)
            # Now, not when the task begins: from here on the counter has what is charged.
            moment = self._log.moment(budget.subject)
            task = asyncio.create_task(self._read(counter, budget, moment))
            reading = self._readings[budget.subject] = counter, task
            task.add_done_callback(lambda done: self._end_reading(budget, counter, done))
        counter, task = reading
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                await asyncio.shield(task)
        except DATABASE_ERRORS as error:
            raise errors.windows_unavailable() from error
        return counter

    async def _read(self, counter: _Counter, budget: Budget, moment: Moment) -> None:
        history = await self._log.budget_history(moment, username=budget.username, period=budget.period)
        counter.open(history)
        self._counters[budget.subject] = counter

    def _end_reading(self, budget: Budget, counter: _Counter, task: asyncio.Task[None]) -> None:
        if self._readings.get(budget.subject, (None,))[0] is counter:
            del self._readings[budget.subject]
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("a budget cannot be read: %s", error)
