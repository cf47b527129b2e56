"""Warns the operator while records are in danger: the spool nearly full, or not writable."""

from __future__ import annotations

import logging
import time

from proxy.records.record_writer import RecordWriter
from proxy.records.spool import Spool

logger = logging.getLogger(__name__)

WARN_EVERY_S = 60.0
WARN_AT = 0.8
"""Used part of the spool's limit."""


class SpoolWarnings:
    """Logs an error once a minute for as long as the danger lasts."""

    def __init__(self, spool: Spool, writer: RecordWriter) -> None:
        self._spool = spool
        self._writer = writer
        self._warned_at = -WARN_EVERY_S

    def check(self) -> None:
        """Log an error if there is reason to, and none has been logged within WARN_EVERY_S."""
        if time.monotonic() - self._warned_at < WARN_EVERY_S:
            return
        used, limit, backlog = self._spool.used_bytes, self._spool.limit_bytes, self._writer.backlog
        if backlog:
            logger.error(
                "request records wait in memory, where a crash would lose them: %d rows, %d requests"
                " lost so far; the spool cannot be written: %s",
                len(backlog),
                backlog.lost,
                self._writer.disk_error,
            )
        elif used > WARN_AT * limit:
            logger.error(
                "the spool of request records is nearly full: %d of %d bytes"
                " (LLAMA_PROXY_SPOOL_BYTES); then they wait in memory; is the database there?",
                used,
                limit,
            )
        else:
            return
        self._warned_at = time.monotonic()
