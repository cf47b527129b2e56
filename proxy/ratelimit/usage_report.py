"""What a user is told of their limits: the body of `GET /v1/usage`."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import orjson

from proxy.identity.principal import Principal
from proxy.ratelimit.admission import Admission, Admitter
from proxy.ratelimit.budgets import BudgetState
from proxy.ratelimit.quotas import UNLIMITED
from proxy.ratelimit.sliding_window import Decision
from proxy.settings import ProxySettings

READINGS_AT_ONCE = 2
"""For all users together. In shared mode a reading holds a connection to the database."""


class UsageReports:
    """Reads users' limits for them: a user's requests at the same time share one reading.

    Nothing limits how often a user asks, so that what it takes must not grow with it.
    """

    def __init__(self, admitter: Admitter, settings: ProxySettings) -> None:
        self._admitter = admitter
        self._settings = settings
        self._at_once = asyncio.Semaphore(READINGS_AT_ONCE)
        self._readings: dict[int, asyncio.Task[tuple[Admission, bytes]]] = {}

    async def read(self, principal: Principal) -> tuple[Admission, bytes]:
        """The state of a user's limits, and the report of it as JSON.

        Raises:
            ApiError: 503, the windows cannot be read.
        """
        user_id = principal.user_id
        reading = self._readings.get(user_id)
        if reading is None:
            reading = self._readings[user_id] = asyncio.create_task(self._read(principal))
            reading.add_done_callback(lambda done: self._end(user_id, done))
        return await asyncio.shield(reading)

    async def _read(self, principal: Principal) -> tuple[Admission, bytes]:
        async with self._at_once:
            state = await self._admitter.look(principal)
        return state, usage_report(principal, state, self._settings)

    def _end(self, user_id: int, reading: asyncio.Task[tuple[Admission, bytes]]) -> None:
        del self._readings[user_id]
        if not reading.cancelled():
            reading.exception()  # all who waited for it may have left


def usage_report(principal: Principal, state: Admission, settings: ProxySettings) -> bytes:
    """The report as JSON. What is not limited is left out."""
    window_s = principal.rate_window_s or settings.rate_window_s
    windows = _windows("user", state, window_s)
    if principal.group is not None and state.of_group is not None:
        group_s = principal.group.rate_window_s or settings.rate_window_s
        windows += _windows("group", state.of_group, group_s)
    report = {
        "object": "usage",
        "user": principal.username,
        "windows": windows,
        "budgets": [_budget(budget) for budget in state.budgets],
    }
    return orjson.dumps(report)


def _windows(subject: str, state: Admission, window_s: float) -> list[dict[str, Any]]:
    found = {"requests": state.requests, "tokens": state.tokens}
    return [
        {"of": subject, "kind": kind, "window_seconds": window_s, **_window(decision)}
        for kind, decision in found.items()
        if decision is not None and decision.limit < UNLIMITED
    ]


def _window(state: Decision) -> dict[str, Any]:
    """`resets_at`: when the whole limit is free again; `next_at`: when one more is, if none is now.

    Tokens are charged when a request ends: more may be used than the limit, which `used` says then.
    """
    return {
        "limit": state.limit,
        "used": state.limit - state.remaining,
        "remaining": state.remaining,
        "resets_at": _at(state.reset_s),
        "next_at": None if state.remaining else _at(state.retry_after_s),
    }


def _budget(state: BudgetState) -> dict[str, Any]:
    budget, used, reset_s = state
    return {
        "of": "group" if budget.subject < 0 else "user",
        "kind": "tokens",
        "period": budget.period,
        "limit": budget.tokens,
        "used": used,
        "remaining": max(0, budget.tokens - used),
        "resets_at": _at(reset_s),
    }


def _at(seconds: float) -> str | None:
    """The time in so many seconds, in UTC (RFC 3339); None for now."""
    if seconds <= 0:
        return None
    return datetime.fromtimestamp(time.time() + seconds, UTC).isoformat(timespec="seconds")
