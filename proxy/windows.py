"""Rate windows: at most LIMIT admissions in any WINDOW seconds, per user.

A sliding log of admissions, so that a user cannot get two bursts through at a window's edge. The log
is exact up to `MAX_ENTRIES` admissions in the window; beyond, neighbours share an entry that leaves
with the last of them: memory stays bounded whatever the limit, and the error is towards refusing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

MAX_ENTRIES = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What the window said: counts of requests, times in seconds from now."""

    admitted: bool
    limit: int
    remaining: int
    retry_after_s: float
    """Until one more would be admitted; 0 when it would be now."""
    reset_s: float
    """Until the whole limit is free again."""


class SlidingWindow:
    """The admissions of one user. Times are monotonic seconds and never go back."""

    __slots__ = ("_entries", "_used", "empty_at")

    def __init__(self) -> None:
        self.empty_at = 0.0
        # [time of the first admission of the entry, of the last one, how many]
        self._entries: deque[list[float]] = deque()
        self._used = 0

    def admit(self, *, limit: int, window_s: float, now: float) -> Decision:
        """Take a place in the window if one is free; a refusal uses up nothing."""
        self._forget(window_s=window_s, now=now)
        admitted = self._used < limit
        if admitted:
            self._add(now, 1, merge_s=window_s / MAX_ENTRIES)
        self.empty_at = self._entries[-1][1] + window_s if self._entries else now
        return Decision(
            admitted=admitted,
            limit=limit,
            remaining=max(0, limit - self._used),
            retry_after_s=self._wait(limit=limit, window_s=window_s, now=now),
            reset_s=self.empty_at - now,
        )

    def seed(self, admissions: Iterable[tuple[float, int]], *, before: float) -> None:
        """Put in what was admitted before the time `before`: (time, how many), oldest first.

        It takes the place of what an earlier call put in.
        """
        newer = [entry for entry in self._entries if entry[0] > before]
        self._entries.clear()
        for time, count in admissions:
            self._add(min(time, before), count, merge_s=0.0)
        self._entries.extend(newer)
        self._used = sum(int(count) for _, _, count in self._entries)

    def _add(self, time: float, count: int, *, merge_s: float) -> None:
        self._used += count
        entries = self._entries
        if len(entries) >= MAX_ENTRIES and time - entries[-1][0] < merge_s:
            entries[-1][1] = time
            entries[-1][2] += count
        else:
            entries.append([time, time, count])

    def _forget(self, *, window_s: float, now: float) -> None:
        entries = self._entries
        # The sum, as in _wait: the difference can round to the other side.
        while entries and entries[0][1] + window_s <= now:
            self._used -= int(entries.popleft()[2])

    def _wait(self, *, limit: int, window_s: float, now: float) -> float:
        excess = self._used - limit
        for _, last, count in self._entries:
            if excess < 0:
                break
            excess -= int(count)
            if excess < 0:
                return last + window_s - now
        return 0.0


class Windows:
    """The windows of all users of this process.

    A user's history from before the process began must be given with `seed` before the first
    `admit`, as long as `needs_history` says so.
    """

    SWEEP_EVERY = 10_000

    def __init__(self, *, started: float) -> None:
        self._started = started
        self._windows: dict[int, SlidingWindow] = {}
        self._seeded: dict[int, float] = {}
        """The window, in seconds, that each user's history was read for."""
        self._calls = 0

    def needs_history(self, user_id: int, *, window_s: float, now: float) -> bool:
        """Whether admissions of an earlier process may still be within this user's window."""
        return now - self._started < window_s and self._seeded.get(user_id, 0.0) < window_s

    def seed(self, user_id: int, admissions: Iterable[tuple[float, int]], *, window_s: float) -> None:
        """Give the admissions of earlier processes: (monotonic time, how many), oldest first."""
        self._seeded[user_id] = window_s
        window = self._windows.setdefault(user_id, SlidingWindow())
        window.seed(admissions, before=self._started)

    def admit(self, user_id: int, *, limit: int, window_s: float, now: float) -> Decision:
        """Take a place in the user's window if one is free."""
        self._calls += 1
        if self._calls % self.SWEEP_EVERY == 0:
            self._sweep(now)
        window = self._windows.get(user_id)
        if window is None:
            window = self._windows[user_id] = SlidingWindow()
        return window.admit(limit=limit, window_s=window_s, now=now)

    def _sweep(self, now: float) -> None:
        for user_id in [u for u, window in self._windows.items() if window.empty_at <= now]:
            del self._windows[user_id]
