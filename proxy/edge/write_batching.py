"""Writes of one turn of the event loop are sent together at its end.

A write to a peer on the same machine wakes that process; if each request is written alone, it goes back
to sleep in between. The same holds for records: the spool gets one write with the lines of all requests
of the turn. Records are written first: nothing is sent to the engine or to a client before its record is
in the spool.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

logger = logging.getLogger(__name__)

AT_ONCE_BYTES = 65_536
"""More than this for one peer is sent at once, so that its transport notices a slow peer."""


class Writer(Protocol):
    """A connection that has bytes to send."""

    def send_out(self) -> None:
        """Send them."""


class Records(Protocol):
    """Writes the records of requests (`proxy/records/record_writer.py`)."""

    def write_at_end_of_turn(self, schedule: Callable[[], None]) -> None:
        """Call `schedule` for each record instead of writing it."""

    def write_out(self) -> None:
        """Write the records. It must be cheap."""


class WriteBatcher:
    """Collects the writers of one turn of the running event loop.

    `records`: written at the end of the turn before any bytes are sent. None: what is sent has none.
    """

    def __init__(self, records: Records | None = None) -> None:
        self._write_records: Callable[[], None] = lambda: None
        if records is not None:
            records.write_at_end_of_turn(self.schedule)
            self._write_records = records.write_out
        self._waiting: list[Writer] = []
        self._scheduled = False

    def add(self, writer: Writer) -> None:
        """Call `writer.send_out` at the end of this turn."""
        self._waiting.append(writer)
        if not self._scheduled:
            self.schedule()

    def schedule(self) -> None:
        """Write the records at the end of this turn, whether anything is sent or not."""
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._end_turn)

    def record(self) -> None:
        """Write the records now: bytes are about to be sent without waiting for the turn to end."""
        try:
            self._write_records()
        except Exception:
            logger.exception("the records cannot be written")

    def _end_turn(self) -> None:
        self._scheduled = False
        waiting, self._waiting = self._waiting, []
        try:
            self._write_records()
        except Exception:
            logger.exception("the records cannot be written")
        for writer in waiting:
            try:
                writer.send_out()
            except Exception:
                logger.exception("bytes cannot be sent")
