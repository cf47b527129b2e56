"""Limits how many wrong keys a client address may try, so that a flood of guesses stays cheap.

Failures are counted for each pair of address and public id; unknown public ids count as an empty one. So
wrong secrets for one key, or for keys that do not exist, do not lock out other users behind the address.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable

from proxy.addresses import client_network

logger = logging.getLogger(__name__)

MAX_COUNTED = 10_000
PERIOD_S = 60.0
WARN_EVERY_S = 10.0


class FailedLogins:
    """Recent failures, by the generic cell rate algorithm (ITU-T I.371).

    Each address, and each address with a public id, may fail `per_minute` times at once, and then again
    every `60 / per_minute` seconds. An IPv6 address counts as its /64 network, which is one client's.
    """

    def __init__(self, per_minute: int, *, clock: Callable[[], float]) -> None:
        """`per_minute` 0: no limit. `clock` gives monotonic seconds."""
        self._interval_s = PERIOD_S / per_minute if per_minute else 0.0
        self._clock = clock
        self._warned_at = -WARN_EVERY_S
        self._clear_at: OrderedDict[tuple[str, str], float] = OrderedDict()
        """When the failures of an (address, public id) no longer count; the oldest failure first."""

    def __len__(self) -> int:
        return len(self._clear_at)

    def wait_s(self, address: str, public_id: str = "") -> float:
        """Seconds until a further failure is allowed; 0.0 if it is allowed now."""
        if not self._clear_at:
            return 0.0
        return self._wait_s((client_network(address), public_id))

    def _wait_s(self, counted: tuple[str, str]) -> float:
        clear_at = self._clear_at.get(counted, 0.0)
        wait_s = clear_at + self._interval_s - self._clock() - PERIOD_S
        # Ignore the rounding error of the sum.
        return wait_s if wait_s > 1e-6 else 0.0

    def note(self, address: str, public_id: str = "") -> float:
        """Count a wrong key, unless it came too early. Returns the value of `wait_s` before that."""
        if not self._interval_s:
            return 0.0
        counted, now = (client_network(address), public_id), self._clock()
        if (wait_s := self._wait_s(counted)) > 0:
            return wait_s
        clear_at = max(now, self._clear_at.get(counted, 0.0)) + self._interval_s
        self._clear_at[counted] = clear_at
        self._clear_at.move_to_end(counted)
        self._forget(now)
        if clear_at + self._interval_s - now > PERIOD_S and now - self._warned_at >= WARN_EVERY_S:
            self._warned_at = now
            logger.warning("%s sends many wrong keys: further ones are refused for a while", counted[0])
        return 0.0

    def _forget(self, now: float) -> None:
        while self._clear_at:
            oldest = next(iter(self._clear_at))
            if self._clear_at[oldest] > now and len(self._clear_at) <= MAX_COUNTED:
                return
            del self._clear_at[oldest]
