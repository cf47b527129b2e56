"""The log's line for each request. The lines of a tenth of a second are written at once.

One at a time they would cost a request more than its row does. What a death of the process takes with
it is a tenth of a second of the log; the rows in `llama_requests` are safe.
"""

from __future__ import annotations

import asyncio
import logging

logger = logging.getLogger("proxy.requests")

FLUSH_S = 0.1


class AccessLog:
    """Lines on their way to the log, in the form that `JsonFormatter` takes. Needs a running loop."""

    def __init__(self) -> None:
        self._batch: list[tuple[float, dict[str, object]]] = []
        self._timer: asyncio.TimerHandle | None = None

    def note(self, at: float, fields: dict[str, object]) -> None:
        """Add a line: Unix time and members; those that are None are left out."""
        self._batch.append((at, fields))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)

    def flush(self) -> None:
        """Write what is there."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._batch = self._batch, []
        if batch:
            logger.info("request", extra={"batch": batch})
