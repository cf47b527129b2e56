"""Chooses the number of threads for each batch.

The threads of a batch meet several times for each layer. One whose core is busy with something else, be
it the model that generates, holds up all of them: beside such work, fewer are faster.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from runtime.engine.threads import INTERVAL_S, threads_beside


class BatchThreads:
    """The number of threads of one context.

    Args:
        most: on an idle machine; at least 1.
        is_generating: whether a response is being generated beside it, which leaves one thread.
        other_cores: how many cores other processes used since it was last called.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        *,
        most: int,
        is_generating: Callable[[], bool],
        other_cores: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = self._number = most
        self._is_generating = is_generating
        self._other_cores = other_cores
        self._clock = clock
        self._next_at = clock() + INTERVAL_S

    def number(self) -> int:
        """The number for the next batch."""
        if self._is_generating():
            return 1
        if (now := self._clock()) >= self._next_at:
            self._next_at = now + INTERVAL_S
            self._number = threads_beside(self._other_cores(), most=self._most, current=self._number)
        return self._number
