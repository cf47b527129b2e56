"""What is written in one turn of the event loop, written together at its end.

A write to a peer on the same machine wakes it up; if it is woken for each request alone it sleeps again
before the next one. So too with the records: one write to the spool has the lines of all requests of
the turn, and what formats them stays in the processor's caches. It comes first: nothing leaves for the
engine or a client before the record of it is certain.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

logger = logging.getLogger(__name__)

AT_ONCE_BYTES = 65_536
"""So much for one peer is not gathered: it is written at once, so that a slow peer shows."""


class Writer(Protocol):
    """Something that has bytes to write."""

    def send_out(self) -> None:
        """Write them."""


class WriteBatcher:
    """Those who have something to write in this turn of the running event loop."""

    def __init__(self) -> None:
        self.record: Callable[[], None] = lambda: None
        """Makes certain what is to be certain before anything is written; has to be cheap."""
        self._waiting: list[Writer] = []
        self._scheduled = False

    def add(self, writer: Writer) -> None:
        """Have `send_out` called at the end of this turn."""
        self._waiting.append(writer)
        if not self._scheduled:
            self.schedule()

    def schedule(self) -> None:
        """Have `record` called at the end of this turn, whether anything is written or not."""
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._scheduled = False
        waiting, self._waiting = self._waiting, []
        try:
            self.record()
        except Exception:
            logger.exception("records cannot be written")
        for writer in waiting:
            try:
                writer.send_out()
            except Exception:
                logger.exception("bytes cannot be written")
