"""The log's line for each request. The lines of a tenth of a second are written at once.

One at a time they would cost a request more than its row does. What a death of the process takes with
it is a tenth of a second of the log; the rows in `llama_requests` are safe.
"""

from __future__ import annotations

import asyncio
import logging

from proxy.ids import public_form
from proxy.record import RequestRecord

logger = logging.getLogger("proxy.requests")

FLUSH_S = 0.1


class AccessLog:
    """Lines on their way to the log, in the form that `JsonFormatter` takes. Needs a running loop."""

    def __init__(self) -> None:
        self._batch: list[tuple[RequestRecord, str, str | None]] = []
        self._timer: asyncio.TimerHandle | None = None

    def note(self, record: RequestRecord, client: str, client_request_id: str | None) -> None:
        """Add a line for a request that has ended, from its record."""
        self._batch.append((record, client, client_request_id))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)

    def flush(self) -> None:
        """Write what is there."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._batch = self._batch, []
        if batch and logger.isEnabledFor(logging.INFO):
            logger.info("request", extra={"batch": [_line(*noted) for noted in batch]})


def _line(
    record: RequestRecord, client: str, client_request_id: str | None
) -> tuple[float, dict[str, object]]:
    latency_ms = record.latency_ms or 0.0
    fields: dict[str, object] = {
        "request_id": public_form(record.id),
        "client": client,
        "user": record.username,
        "method": record.method,
        "path": record.path,
        "status": record.status_code,
        "latency_ms": round(latency_ms, 3),
        "queue_ms": round(record.queue_ms or 0.0, 3),
        "response_bytes": record.response_bytes,
    }
    if client_request_id:
        fields["client_request_id"] = client_request_id[:128]
    if record.error is not None:
        fields["error"] = record.error
    return record.created_at + latency_ms / 1000, fields
