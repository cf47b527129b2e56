"""Measures how much of the machine's processors other processes use."""

from __future__ import annotations

import time

import psutil


class OtherLoad:
    """The processor time that other processes take, averaged from one call to the next."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._before = self._totals()

    def cores(self) -> float:
        """The number of cores that others kept busy since the last call; 0.0 or more."""
        before, self._before = self._before, self._totals()
        elapsed, all_busy, own = (now - then for now, then in zip(self._before, before, strict=True))
        return max(0.0, (all_busy - own) / elapsed) if elapsed > 0 else 0.0

    def _totals(self) -> tuple[float, float, float]:
        """Seconds: on the clock, of all processors that were busy, of this process."""
        times = psutil.cpu_times()
        waiting = times.idle + getattr(times, "iowait", 0.0)
        # Linux counts guests in `user` and `nice` too.
        guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
        own = self._process.cpu_times()
        return time.monotonic(), sum(times) - waiting - guests, own.user + own.system
