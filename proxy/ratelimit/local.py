"""The rate windows of a proxy that stands alone: in memory, and exact across its restarts.

What a window held before this process, or had forgotten when it was made longer, is read from the
records first, once for all requests that wait for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from math import inf

from proxy import errors
from proxy.database.schema import DATABASE_ERRORS
from proxy.identity.principal import Principal
from proxy.ratelimit.admission import Admission, effective_limits
from proxy.ratelimit.sliding_window import Decision, Windows
from proxy.records.record import RequestRecord
from proxy.records.request_log import RequestLog
from proxy.settings import ProxySettings

logger = logging.getLogger(__name__)

READ_TIMEOUT_S = 3.0
"""How long a request waits for its user's history. The query itself goes on."""


class LocalAdmission:
    """An Admitter. `clock` gives monotonic seconds."""

    def __init__(
        self, *, settings: ProxySettings, request_log: RequestLog, clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._log = request_log
        self._clock = clock
        self._requests = Windows(started=clock())
        # Users without a token limit are not charged: if one gets a limit, the records are read.
        self._tokens = Windows(started=inf)
        self._readings: dict[tuple[str, int], asyncio.Task[None]] = {}

    async def admit(self, principal: Principal, *, generates: bool) -> Admission:
        """As Admitter has it; suspends only for a user whose history must be read."""
        user_id, settings = principal.user_id, self._settings
        limit = principal.rate_limit or settings.rate_limit
        window_s = principal.rate_window_s or settings.rate_window_s
        token_limit = (principal.token_limit or settings.token_limit) if generates else None
        now = self._clock()
        # Both windows must be complete at once: one may become incomplete while the other is read.
        while True:
            if self._requests.needs_history(user_id, window_s, now):
                await self._read_once("requests", principal, window_s)
            elif token_limit is not None and self._tokens.needs_history(user_id, window_s, now):
                await self._read_once("tokens", principal, window_s)
            else:
                break
            now = self._clock()
        tokens = None
        if token_limit is not None:
            tokens = self._tokens.look(user_id, limit=token_limit, window_s=window_s, now=now)
            if not tokens.admitted:
                requests = self._requests.look(user_id, limit=limit, window_s=window_s, now=now)
                return Admission(requests, tokens)
        requests, entry = self._requests.admit(user_id, limit=limit, window_s=window_s, now=now)
        return Admission(requests, tokens, entry)

    async def tokens_left(self, principal: Principal) -> Decision | None:
        """As Admitter has it."""
        _, token_limit, window_s = effective_limits(principal, self._settings)
        if token_limit is None:
            return None
        while self._tokens.needs_history(principal.user_id, window_s, self._clock()):
            await self._read_once("tokens", principal, window_s)
        now = self._clock()
        return self._tokens.look(principal.user_id, limit=token_limit, window_s=window_s, now=now)

    def give_back(self, principal: Principal, admission: Admission) -> None:
        """As Admitter has it."""
        if isinstance(admission.entry, list):
            self._requests.give_back(principal.user_id, admission.entry)

    def charge(self, principal: Principal, record: RequestRecord, *, again: bool = False) -> bool:
        """As Admitter has it."""
        if principal.token_limit is None and self._settings.token_limit is None:
            self._tokens.drop(principal.user_id)
            return False
        if not again and (used := record.count_tokens()) > 0:
            now, window_s = self._clock(), effective_limits(principal, self._settings).window_s
            self._tokens.charge(principal.user_id, used, window_s=window_s, now=now)
        return True

    async def look(self, principal: Principal) -> Admission:
        """As Admitter has it."""
        limit, _, window_s = effective_limits(principal, self._settings)
        tokens = await self.tokens_left(principal)
        while self._requests.needs_history(principal.user_id, window_s, self._clock()):
            await self._read_once("requests", principal, window_s)
        now = self._clock()
        requests = self._requests.look(principal.user_id, limit=limit, window_s=window_s, now=now)
        return Admission(requests, tokens)

    async def _read_once(self, kind: str, principal: Principal, window_s: float) -> None:
        """Read a window's history; one reading serves all that wait for it."""
        key = (kind, principal.user_id)
        reading = self._readings.get(key)
        if reading is None:
            reading = asyncio.create_task(self._read(kind, principal, window_s))
            self._readings[key] = reading
            reading.add_done_callback(lambda done: self._end_reading(key, done))
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                await asyncio.shield(reading)
        except DATABASE_ERRORS as error:
            raise errors.windows_unavailable() from error

    def _end_reading(self, key: tuple[str, int], reading: asyncio.Task[None]) -> None:
        # The error is logged here, since all requests that waited may have left.
        del self._readings[key]
        if not reading.cancelled() and (error := reading.exception()) is not None:
            logger.warning("a user's window cannot be rebuilt: %s", error)

    async def _read(self, kind: str, principal: Principal, window_s: float) -> None:
        now = self._clock()
        ages = await self._log.history(
            kind, username=principal.username, user_id=principal.user_id, window_s=window_s
        )
        history = [(now - age, count) for age, count in ages]
        windows = self._requests if kind == "requests" else self._tokens
        windows.seed(principal.user_id, history, window_s=window_s, now=now)
