"""Budgets: at most so many tokens in a period of the calendar, of a user and of a group.

Owns the rules; `local_budgets.py` counts in this process, `shared_budgets.py` in the database. As with
token windows, a request is admitted while something is left, and charged when it has ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from proxy import errors
from proxy.identity.limits import Period
from proxy.identity.principal import Principal
from proxy.records.record import RequestRecord


class Budget(NamedTuple):
    """One budget that a request needs room in."""

    subject: int
    """The user's id, or the group's as a negative number."""
    username: str
    """Empty for a group."""
    tokens: int
    period: Period


class BudgetState(NamedTuple):
    """What is known of a budget now. `reset_s`: seconds until it is renewed."""

    budget: Budget
    used: int
    reset_s: float


class Budgets(Protocol):
    """What has been used of budgets."""

    async def look(self, principal: Principal) -> list[BudgetState]:
        """State of the budgets of a user and of the user's group.

        Raises:
            ApiError: 503, it cannot be read.
        """

    async def check(self, principal: Principal) -> None:
        """Refuse a request for which no tokens are left.

        Raises:
            ApiError: 429, or 503 if that cannot be read.
        """

    def charge(self, principal: Principal, record: RequestRecord) -> None:
        """Count the tokens of a request that has ended."""


def budgets_of(principal: Principal) -> Iterator[Budget]:
    """The budgets of a user and of the user's group, as far as there are any."""
    if principal.token_budget is not None:
        yield Budget(
            principal.user_id, principal.username, principal.token_budget, principal.budget_period
        )
    group = principal.group
    if group is not None and group.token_budget is not None:
        yield Budget(-group.group_id, "", group.token_budget, group.budget_period)


def check_left(state: BudgetState) -> None:
    """Refuse a request if a budget is used up.

    Raises:
        ApiError: 429.
    """
    budget = state.budget
    if state.used >= budget.tokens:
        raise errors.insufficient_quota(
            budget=budget.tokens,
            period=budget.period,
            of_group=budget.subject < 0,
            reset_s=state.reset_s,
        )
