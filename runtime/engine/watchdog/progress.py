"""Tracks the model's progress; a watchdog ends the process if there is none for too long.

The supervisor then starts a new process.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import time
from collections.abc import Callable, Sequence
from typing import IO

logger = logging.getLogger(__name__)

TICK_S = 0.5
GRACE_S = 2.0
"""The time between a bad /health and the end of the process, in which the bad state can be observed."""


class Progress:
    """Records when the model last made a step."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: float | None = None

    def step(self) -> None:
        """A step has been made, or work has begun."""
        self._last = self._clock()

    def rest(self) -> None:
        """The model is idle: no step is expected."""
        self._last = None

    def stalled_s(self) -> float:
        """Seconds without a step; 0 while there is nothing to do."""
        last = self._last
        return 0.0 if last is None else self._clock() - last


class Watchdog:
    """Looks after the models and the event loop.

    A model that makes no step for `hang_s` seconds turns `stuck` on, and soon the process ends. An
    event loop that does not come round for as long, or an interpreter whose lock is never given back,
    is ended by faulthandler's thread, which needs neither.

    Args:
        progress: each model's; the list may grow.
        hang_s: seconds.
        log: where the stacks are written when it ends the process.
        exit_process: ends the process with a status.
    """

    def __init__(
        self,
        progress: Sequence[Progress],
        *,
        hang_s: float,
        log: IO[str],
        exit_process: Callable[[int], object] = os._exit,
    ) -> None:
        self._progress = progress
        self._hang_s = hang_s
        self._log = log
        self._exit = exit_process

    @property
    def stuck(self) -> bool:
        return self._stalled_s() > self._hang_s

    def _stalled_s(self) -> float:
        return max(progress.stalled_s() for progress in self._progress)

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            while True:
                faulthandler.dump_traceback_later(
                    self._hang_s + GRACE_S + TICK_S, exit=True, file=self._log
                )
                self._check()
                await asyncio.sleep(TICK_S)
        finally:
            faulthandler.cancel_dump_traceback_later()

    def _check(self) -> None:
        stalled_s = self._stalled_s()
        if stalled_s > self._hang_s + GRACE_S:
            logger.critical(
                "the model has made no progress for %.0f s (LLAMA_SERVER_HANG_SECONDS=%g): the process "
                "ends itself, to be replaced",
                stalled_s,
                self._hang_s,
            )
            faulthandler.dump_traceback(file=self._log)
            self._exit(1)
