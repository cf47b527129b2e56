"""How many wrong keys a client address may try: a flood of guesses is to cost nearly nothing.

Known keys are not concerned: users behind the same address go on.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

logger = logging.getLogger(__name__)

MAX_ADDRESSES = 10_000
PERIOD_S = 60.0
WARN_EVERY_S = 10.0


class AuthFailures:
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

    def begin(self, address: str) -> float:
        """Count an attempt as a failure, unless there were too many: then return seconds to wait.

        It is counted beforehand, since any number may be under way at a time; see `forgive`.
        """
        if not self._interval_s:
            return 0.0
        of, now = _group(address), self._clock()
        due = max(now, self._due.get(of, 0.0))
        # A hair's breadth for the sums of floats.
        wait_s = due + self._interval_s - now - PERIOD_S
        if wait_s > 1e-6:
            return wait_s
        self._due[of] = due + self._interval_s
        self._due.move_to_end(of)
        self._forget(now)
        if wait_s > -self._interval_s and now - self._warned_at >= WARN_EVERY_S:
            self._warned_at = now
            logger.warning("%s sends many wrong keys: further ones are refused for a while", of)
        return 0.0

    def forgive(self, address: str) -> None:
        """The attempt was no failure after all."""
        of = _group(address)
        if of in self._due:
            self._due[of] -= self._interval_s

    def _forget(self, now: float) -> None:
        while self._due:
            oldest = next(iter(self._due))
            if self._due[oldest] > now and len(self._due) <= MAX_ADDRESSES:
                return
            del self._due[oldest]


def _group(address: str) -> str:
    """An IPv6 client has a whole /64 to itself (RFC 6177): that counts as one address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return str(IPv6Address(int(parsed) >> 64 << 64)) + "/64"
    return address
