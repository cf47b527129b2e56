"""The access log: a line of JSON for each request. Lines are written together, every tenth of a second.

The same batches go to whoever counts requests (`metrics`): the ends of all requests come by here. A
process that is killed loses as much of the log; the rows in `llama_requests` are safe.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable

import orjson

from proxy.records.record import RequestRecord, timestamp

logger = logging.getLogger("proxy.requests")

FLUSH_S = 0.1
MOST_LINES = 256
"""This many lines are written without waiting."""


class AccessLog:
    """Collects lines for `JsonFormatter`, which writes them as they are. Needs a running loop.

    `on_batch` is called with the records of each batch.
    """

    def __init__(self, on_batch: Callable[[list[RequestRecord]], None] | None = None) -> None:
        self._on_batch = on_batch
        self._noted: list[tuple[RequestRecord, str, str | None]] = []
        self._timer: asyncio.TimerHandle | None = None

    def note(self, record: RequestRecord, client: str, client_request_id: str | None) -> None:
        """Add a line for a request that has ended: its record, its client's address and id for it."""
        self._noted.append((record, client, client_request_id))
        if len(self._noted) >= MOST_LINES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)

    def flush(self) -> None:
        """Write the lines that have been collected."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        noted, self._noted = self._noted, []
        if noted and self._on_batch is not None:
            self._on_batch([record for record, _, _ in noted])
        if noted and logger.isEnabledFor(logging.INFO):
            lines = [_line(*one) for one in noted]
            logger.info("%d requests", len(lines), extra={"lines": lines})


def _line(record: RequestRecord, client: str, client_request_id: str | None) -> str:
    """A line of JSON, with the members that `JsonFormatter` gives to every line.

    In ASCII, so that no client can steer the terminal of whoever reads the log.
    """
    latency_ms = record.latency_ms or 0.0
    milliseconds = timestamp(record.created_at + latency_ms / 1000)[:23]
    members: dict[str, object] = {
        "time": f"{milliseconds}+00:00",
        "level": "info",
        "logger": "proxy.requests",
        "message": "request",
        "request_id": f"req_{record.id}",
        "client": client,
        "user": record.username,
        "method": record.method,
        "path": record.path,
        "status": record.status_code,
        "latency_ms": round(latency_ms, 3),
        "queue_ms": round(record.queue_ms or 0.0, 3),
        "response_bytes": record.response_bytes,
    }
    if not record.username:
        del members["user"]
    if record.error is not None:
        members["error"] = record.error
    if client_request_id:
        members["client_request_id"] = client_request_id[:128]
    try:
        line = orjson.dumps(members)
    except orjson.JSONEncodeError:  # halves of surrogates
        line = b""
    if line and line.isascii() and b"\x7f" not in line:
        return line.decode()
    return json.dumps(members, separators=(",", ":")).replace("\x7f", "\\u007f")
