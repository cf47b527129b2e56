"""The log's line for each request. Many are written at once, after a tenth of a second.

One at a time they would cost a request more than its row does. What a death of the process takes with
it is that much of the log; the rows in `llama_requests` are safe.
"""

from __future__ import annotations

import asyncio
import json
import logging
from functools import lru_cache

from proxy.records.record import RequestRecord
from proxy.records.timestamps import timestamp

logger = logging.getLogger("proxy.requests")

FLUSH_S = 0.1
MOST_LINES = 256
"""So many are written without waiting."""


class AccessLog:
    """Lines on their way to the log, which `JsonFormatter` takes as they are. Needs a running loop."""

    def __init__(self) -> None:
        self._noted: list[tuple[RequestRecord, str, str | None]] = []
        self._timer: asyncio.TimerHandle | None = None

    def note(self, record: RequestRecord, client: str, client_request_id: str | None) -> None:
        """Add a line for a request that has ended, from its record."""
        self._noted.append((record, client, client_request_id))
        if len(self._noted) >= MOST_LINES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)

    def flush(self) -> None:
        """Write what is there."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        noted, self._noted = self._noted, []
        if noted and logger.isEnabledFor(logging.INFO):
            lines = [_line(*one) for one in noted]
            logger.info("%d requests", len(lines), extra={"lines": lines})


def _line(record: RequestRecord, client: str, client_request_id: str | None) -> str:
    """A line of JSON, with the members that `JsonFormatter` gives to every line."""
    latency_ms, queue_ms, error = record.latency_ms or 0.0, record.queue_ms or 0.0, record.error
    user = f',"user":{_json(record.username)}' if record.username else ""
    more = "" if error is None else f',"error":{_json(error)}'
    if client_request_id:
        more += f',"client_request_id":{_json(client_request_id[:128])}'
    at = timestamp(record.created_at + latency_ms / 1000)[:23]  # to the millisecond
    return (
        f'{{"time":"{at}+00:00","level":"info"'
        f',"logger":"proxy.requests","message":"request","request_id":"req_{record.id}"'
        f',"client":{_json(client)}{user},"method":"{record.method}"'
        f',"path":{_json(record.path)},"status":{record.status_code or "null"}'
        f',"latency_ms":{latency_ms:.3f},"queue_ms":{queue_ms:.3f},"response_bytes":{record.response_bytes}{more}}}'
    )


@lru_cache(maxsize=1024)  # a few users, addresses and paths come again and again
def _json(text: str) -> str:
    """In ASCII, so that no client can steer the terminal of whoever reads the log."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return json.dumps(text).replace("\x7f", "\\u007f")
