"""Chooses the number of threads for each step.

The threads of a step meet several times for each layer of the model. In a step that only generates, one
whose core is busy with something else holds up all of them, so beside other processes fewer threads are
faster (docs/performance.md has the figures). Steps that read prompts do more work between the meetings.
"""

from __future__ import annotations

import time
from collections.abc import Callable

READING_TOKENS = 64
"""A step of more tokens counts as one that reads prompts. For llama.cpp itself, every step of more than
one token is one, and so every step with more than one user."""
INTERVAL_S = 0.25
"""Time between two looks at the machine's load."""
_STALE_S = 4 * INTERVAL_S
"""A look this late averages over a time without steps, which says nothing of the load now."""
_SMOOTHING = 0.5
_DEAD_BAND = 0.65
"""Cores that must be missing or free before the number changes: at one half it would alternate."""


class StepThreads:
    """The numbers of threads of one context.

    Args:
        generating: threads of steps that generate, on an idle machine; at least 1.
        reading: threads of steps that read prompts; at least 1.
        apply: sets the number.
        other_cores: how many cores other processes used since it was last called; None: never adjust.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        *,
        generating: int,
        reading: int,
        apply: Callable[[int], None],
        other_cores: Callable[[], float] | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = self._generating = generating
        self._reading = reading
        self._apply = apply
        self._applied = 0
        self._other_cores = other_cores if generating > 1 else None
        self._clock = clock
        self._next_at = clock() + INTERVAL_S
        self._used_by_others = 0.0

    def set_for(self, n_tokens: int) -> None:
        """Set the number of threads for a step that evaluates so many tokens."""
        if self._other_cores is not None and (now := self._clock()) >= self._next_at:
            is_stale = now >= self._next_at + _STALE_S
            self._next_at = now + INTERVAL_S
            self._look(self._other_cores(), is_stale=is_stale)
        number = self._reading if n_tokens > READING_TOKENS else self._generating
        if number != self._applied:
            self._applied = number
            self._apply(number)

    def _look(self, other_cores: float, *, is_stale: bool) -> None:
        if is_stale:
            return
        self._used_by_others += _SMOOTHING * (other_cores - self._used_by_others)
        self._generating = threads_beside(
            self._used_by_others, most=self._most, current=self._generating
        )


def threads_beside(used_by_others: float, *, most: int, current: int) -> int:
    """The number of threads, from 1 to `most`, beside processes that use so many cores."""
    free = most - used_by_others
    return current if abs(free - current) < _DEAD_BAND else max(1, min(most, round(free)))
