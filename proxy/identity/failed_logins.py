"""How many wrong keys a client address may try: a flood of guesses must cost next to nothing.

Failures count for an address, and for an address and a public id. So wrong secrets for one key, and keys
that nobody has, say nothing about the other users behind that address.
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
    every `60 / per_minute` seconds. An address counts as its network where that is one client's.
    """

    def __init__(self, per_minute: int, *, clock: Callable[[], float]) -> None:
        """`per_minute` 0: no limit. `clock` gives monotonic seconds."""
        self._interval_s = PERIOD_S / per_minute if per_minute else 0.0
        self._clock = clock
        self._warned_at = -WARN_EVERY_S
        self._clear_at: OrderedDict[tuple[str, str], float] = OrderedDict()
        """When the failures of each will no longer count; the least recent failure first."""

    def __len__(self) -> int:
        return len(self._clear_at)

    def wait_s(self, address: str, public_id: str = "") -> float:
        """How many seconds a further failure is too early; 0.0 when it is allowed now."""
        if not self._clear_at:
            return 0.0
        return self._wait_s((client_network(address), public_id))

    def _wait_s(self, counted: tuple[str, str]) -> float:
        clear_at = self._clear_at.get(counted, 0.0)
        wait_s = clear_at + self._interval_s - self._clock() - PERIOD_S
        # Sums of floats are a little off.
        return wait_s if wait_s > 1e-6 else 0.0

    def note(self, address: str, public_id: str = "") -> float:
        """Count a wrong key, unless it came too early. Returns what `wait_s` said just before."""
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
