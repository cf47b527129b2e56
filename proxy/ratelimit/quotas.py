"""Adds budgets, and the limits that a group's members share, to each user's own windows.

To the windows a group is one more user, whose id is the group's as a negative number. A request needs
room in the user's windows and in the group's; one that is refused counts in neither. A group without
limits has windows all the same: they are exact as soon as it is given some.
"""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from proxy.identity.principal import Membership, Principal
from proxy.ratelimit.admission import Admission, Admitter, effective_limits, limit_error, tokens_refused
from proxy.ratelimit.budgets import Budgets
from proxy.ratelimit.sliding_window import Decision
from proxy.records.record import RequestRecord
from proxy.settings import ProxySettings

UNLIMITED = 2**53


class Quotas:
    """An Admitter on top of another one, which keeps the windows."""

    def __init__(self, windows: Admitter, budgets: Budgets, settings: ProxySettings) -> None:
        self._windows = windows
        self._budgets = budgets
        self._settings = settings

    def admit(self, principal: Principal, *, generates: bool) -> Coroutine[Any, Any, Admission]:
        """As Admitter has it.

        Raises:
            ApiError: 429, the budget or the group has no room; 503.
        """
        if principal.group is None and principal.token_budget is None:
            return self._windows.admit(principal, generates=generates)
        return self._admit(principal, generates=generates)

    async def _admit(self, principal: Principal, *, generates: bool) -> Admission:
        if generates:
            await self._budgets.check(principal)
        admission = await self._windows.admit(principal, generates=generates)
        if admission.entry is None or principal.group is None:
            return admission
        members = self._as_user(principal, principal.group)
        try:
            shared = await self._windows.admit(members, generates=generates)
            if shared.entry is None:
                raise limit_error(shared, effective_limits(members, self._settings), of_group=True)
        except BaseException:
            self._windows.give_back(principal, admission)
            raise
        admission.of_group = shared
        return admission

    async def tokens_left(self, principal: Principal) -> Decision | None:
        """As Admitter has it.

        Raises:
            ApiError: 429, the budget or the group has no tokens left; 503.
        """
        if principal.group is not None or principal.token_budget is not None:
            await self._budgets.check(principal)
            group = principal.group
            if group is not None and group.token_limit is not None:
                members = self._as_user(principal, group)
                left = await self._windows.tokens_left(members)
                if left is not None and not left.admitted:
                    limits = effective_limits(members, self._settings)
                    raise tokens_refused(left, limits, of_group=True)
        return await self._windows.tokens_left(principal)

    async def check_budgets(self, principal: Principal) -> None:
        """Refuse a line of a batch, which counts in no window, for which no tokens are left.

        Raises:
            ApiError: 429, the budget of the user or the group is used up; 503.
        """
        await self._budgets.check(principal)

    def give_back(self, principal: Principal, admission: Admission) -> None:
        """As Admitter has it."""
        self._windows.give_back(principal, admission)
        shared, group = admission.of_group, principal.group
        if shared is not None and group is not None:
            self._windows.give_back(self._as_user(principal, group), shared)

    def charge(self, principal: Principal, record: RequestRecord, *, again: bool = False) -> bool:
        """As Admitter has it."""
        if not again:
            self._budgets.charge(principal, record)
        if record.batch_id is not None:  # its tokens count in no window
            return True
        is_settled = self._windows.charge(principal, record, again=again)
        if principal.group is not None:
            members = self._as_user(principal, principal.group)
            is_settled = self._windows.charge(members, record, again=again) and is_settled
        return is_settled

    async def look(self, principal: Principal) -> Admission:
        """As Admitter has it."""
        state = await self._windows.look(principal)
        state.budgets = await self._budgets.look(principal)
        group = principal.group
        if group is not None and (group.rate_limit is not None or group.token_limit is not None):
            state.of_group = await self._windows.look(self._as_user(principal, group))
        return state

    def _as_user(self, principal: Principal, group: Membership) -> Principal:
        """The user's group as a user of the windows."""
        # The default is for users, not for groups.
        any_number = UNLIMITED if self._settings.token_limit is not None else None
        return replace(
            principal,
            user_id=-group.group_id,
            username="",
            rate_limit=group.rate_limit or UNLIMITED,
            rate_window_s=group.rate_window_s,
            token_limit=group.token_limit or any_number,
            group=None,
            token_budget=None,
        )
