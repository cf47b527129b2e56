"""Rate windows: at most LIMIT in any WINDOW seconds, per user, in this process's memory.

A sliding log, so that a user cannot get two bursts through at a window's edge. The log is exact up to
`MAX_ENTRIES` entries in the window; beyond, neighbours share an entry that leaves with the last of
them: memory stays bounded whatever the limit, and the error is towards refusing. A window counts
requests, which are admitted or not, or tokens, which are charged when they are known.

`needs_history` tells when a window is incomplete: it reaches back to before this process, or it was made
longer than what had been kept. Leaves to `local.py` where the history comes from.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

MAX_ENTRIES = 4096

Entry = list[float]
"""[time of its first request or charge, time of its last, number]"""


@dataclass(slots=True)  # not frozen: that would double what making one costs
class Decision:
    """State of a window: counts of requests or tokens, times in seconds from now."""

    admitted: bool
    limit: int
    remaining: int
    retry_after_s: float
    """Seconds until one more would be admitted; 0 if it would be now."""
    reset_s: float
    """Seconds until the whole limit is free again."""


class SlidingWindow:
    """One user's window. Times are monotonic seconds and never go back."""

    __slots__ = ("_entries", "_used", "complete_from", "empty_at")

    def __init__(self, *, complete_from: float) -> None:
        self.complete_from = complete_from
        """All that was admitted or charged after this time is known."""
        self.empty_at = 0.0
        self._entries: deque[Entry] = deque()
        self._used = 0

    def look(self, *, limit: int, window_s: float, now: float) -> Decision:
        """State of the window; changes nothing."""
        self._forget(window_s=window_s, now=now)
        return self._decision(self._used < limit, limit=limit, window_s=window_s, now=now)

    def _decision(self, admitted: bool, *, limit: int, window_s: float, now: float) -> Decision:
        self.empty_at = self._entries[-1][1] + window_s if self._entries else now
        return Decision(
            admitted=admitted,
            limit=limit,
            remaining=max(0, limit - self._used),
            retry_after_s=self._wait(limit=limit, window_s=window_s, now=now),
            reset_s=self.empty_at - now,
        )

    def admit(self, *, limit: int, window_s: float, now: float) -> tuple[Decision, Entry | None]:
        """Count one more if there is room; the entry is for `give_back`. A refusal does not count."""
        entries = self._entries
        if entries and entries[0][1] + window_s <= now:
            self._forget(window_s=window_s, now=now)
        free = limit - self._used - 1
        if free < 0:
            return self._decision(False, limit=limit, window_s=window_s, now=now), None
        entry = self._add(now, 1, merge_s=window_s / MAX_ENTRIES)
        self.empty_at = now + window_s
        retry_after_s = 0.0 if free else self._wait(limit=limit, window_s=window_s, now=now)
        return Decision(True, limit, free, retry_after_s, window_s), entry

    def charge(self, count: int, *, window_s: float, now: float) -> None:
        """Count what was used, over the limit or not."""
        self._forget(window_s=window_s, now=now)
        self._add(now, count, merge_s=window_s / MAX_ENTRIES)
        self.empty_at = now + window_s

    def give_back(self, entry: Entry) -> None:
        """Undo an admission, if it still is within the window."""
        if entry[2] > 0:
            entry[2] -= 1
            self._used -= 1

    def seed(self, history: Iterable[tuple[float, int]], *, now: float, complete_from: float) -> None:
        """Know by history what was between `complete_from` and `now`: (time, how many), oldest first."""
        newer = [entry for entry in self._entries if entry[0] > now]
        for entry in self._entries:
            if entry[0] <= now:
                entry[2] = 0  # whoever holds it has nothing to give back any more
        self._entries.clear()
        for time, count in history:
            self._add(min(time, now), count, merge_s=0.0)
        self._entries.extend(newer)
        self._used = sum(int(count) for _, _, count in self._entries)
        self.complete_from = complete_from
        self.empty_at = now + (now - complete_from)

    def last_known(self) -> float:
        """The time after which nothing is lost when this window is."""
        return self._entries[-1][1] if self._entries else self.complete_from

    def _add(self, time: float, count: int, *, merge_s: float) -> Entry:
        self._used += count
        entries = self._entries
        if len(entries) >= MAX_ENTRIES and time - entries[-1][0] < merge_s:
            entry = entries[-1]
            entry[1] = time
            entry[2] += count
        else:
            entry = [time, time, count]
            entries.append(entry)
        return entry

    def _forget(self, *, window_s: float, now: float) -> None:
        entries = self._entries
        # The sum, as in _wait: the difference can round to the other side.
        while entries and entries[0][1] + window_s <= now:
            entry = entries.popleft()
            self._used -= int(entry[2])
            entry[2] = 0
            self.complete_from = max(self.complete_from, entry[1])

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

    As long as `needs_history` says so, a user's history must be given with `seed` before the window
    is used.
    """

    SWEEP_EVERY = 10_000

    def __init__(self, *, started: float) -> None:
        self._known_from = started
        """A user without a window has had no entries since this time: none has been dropped since."""
        self._windows: dict[int, SlidingWindow] = {}
        self._calls = 0

    def needs_history(self, user_id: int, window_s: float, now: float) -> bool:
        """True if the window reaches back to a time that this process does not know completely."""
        window = self._windows.get(user_id)
        known_from = self._known_from if window is None else window.complete_from
        return known_from + window_s > now

    def seed(
        self, user_id: int, history: Iterable[tuple[float, int]], *, window_s: float, now: float
    ) -> None:
        """Give what the window held at the time `now`: (monotonic time, how many), oldest first."""
        self._window(user_id, now).seed(history, now=now, complete_from=now - window_s)

    def admit(
        self, user_id: int, *, limit: int, window_s: float, now: float
    ) -> tuple[Decision, Entry | None]:
        """Count one more in the user's window if there is room."""
        return self._window(user_id, now).admit(limit=limit, window_s=window_s, now=now)

    def look(self, user_id: int, *, limit: int, window_s: float, now: float) -> Decision:
        """State of the user's window; changes nothing."""
        return self._window(user_id, now).look(limit=limit, window_s=window_s, now=now)

    def charge(self, user_id: int, count: int, *, window_s: float, now: float) -> None:
        """Count what the user used."""
        self._window(user_id, now).charge(count, window_s=window_s, now=now)

    def give_back(self, user_id: int, entry: Entry) -> None:
        """Undo an admission."""
        if (window := self._windows.get(user_id)) is not None:
            window.give_back(entry)

    def drop(self, user_id: int) -> None:
        """Forget a user's window; history must be given before it is used again."""
        if (window := self._windows.pop(user_id, None)) is not None:
            self._known_from = max(self._known_from, window.last_known())

    def _window(self, user_id: int, now: float) -> SlidingWindow:
        self._calls += 1
        if self._calls >= self.SWEEP_EVERY:
            self._calls = 0
            self._sweep(now)
        window = self._windows.get(user_id)
        if window is None:
            window = self._windows[user_id] = SlidingWindow(complete_from=self._known_from)
        return window

    def _sweep(self, now: float) -> None:
        for user_id, window in list(self._windows.items()):
            if window.empty_at <= now:
                self.drop(user_id)
