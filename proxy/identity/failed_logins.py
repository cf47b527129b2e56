"""How many wrong keys a client address may try: a flood of guesses is to cost nearly nothing.

Known keys are not concerned: users behind the same address go on.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable

from proxy.addresses import client_network

logger = logging.getLogger(__name__)

MAX_ADDRESSES = 10_000
PERIOD_S = 60.0
WARN_EVERY_S = 10.0


class FailedLogins:
    """The failures of each address lately, by the generic cell rate algorithm (ITU-T I.371).

    An address may fail `per_minute` times at once, and then again every `60 / per_minute` seconds.
    """

    def __init__(self, per_minute: int, *, clock: Callable[[], float]) -> None:
        """`per_minute` 0: no limit. `clock` gives monotonic seconds."""
        self._interval_s = PERIOD_S / per_minute if per_minute else 0.0
        self._clock = clock
        self._warned_at = -WARN_EVERY_S
        self._due: OrderedDict[str, float] = OrderedDict()
        """When each address will have made good for its failures, least recent first."""

    def __len__(self) -> int:
        return len(self._due)

    def wait_s(self, address: str) -> float:
        """For how many seconds a key from there is to be refused; 0.0: not at all."""
        due = self._due.get(client_network(address), 0.0) if self._due else 0.0
        wait_s = due + self._interval_s - self._clock() - PERIOD_S
        # A hair's breadth for the sums of floats.
        return wait_s if wait_s > 1e-6 else 0.0

    def note(self, address: str) -> None:
        """A key from there was wrong."""
        if not self._interval_s:
            return
        of, now = client_network(address), self._clock()
        self._due[of] = due = max(now, self._due.get(of, 0.0)) + self._interval_s
        self._due.move_to_end(of)
        self._forget(now)
        if due + self._interval_s - now > PERIOD_S and now - self._warned_at >= WARN_EVERY_S:
            self._warned_at = now
            logger.warning("%s sends many wrong keys: further ones are refused for a while", of)

    def _forget(self, now: float) -> None:
        while self._due:
            oldest = next(iter(self._due))
            if self._due[oldest] > now and len(self._due) <= MAX_ADDRESSES:
                return
            del self._due[oldest]
