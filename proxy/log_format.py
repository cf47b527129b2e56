"""The log: one JSON object a line, on standard error."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from aiohttp.http_exceptions import HttpProcessingError


class JsonFormatter(logging.Formatter):
    """Time (UTC), level, logger, message; `extra={"fields": {…}}` adds members, None left out.

    `extra={"lines": […]}` is many records in one, each a line of this form.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line of JSON."""
        lines: list[str] | None = getattr(record, "lines", None)
        if lines is not None:
            return "\n".join(lines)
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields: dict[str, object] = getattr(record, "fields", {})
        line |= {name: value for name, value in fields.items() if value is not None}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, separators=(",", ":"))


def _without_request_text(record: logging.LogRecord) -> bool:
    """Take out what aiohttp quotes of a request that is not valid HTTP: a key may be in it."""
    if record.exc_info and isinstance(record.exc_info[1], HttpProcessingError):
        record.exc_info = None
        record.msg += ": not valid HTTP"
    return True


def configure(level: str) -> None:
    """Send all logging to standard error in this form."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    handler.addFilter(_without_request_text)
    # It tells of every reconnection attempt; what matters is told by whoever needed the connection.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)


class LineLimit:
    """Bounds the lines about what anybody may send in any number. `clock` gives monotonic seconds."""

    def __init__(self, per_second: int, *, clock: Callable[[], float]) -> None:
        self._per_second = per_second
        self._clock = clock
        self._second = -1
        self._written = 0
        self._left_out = 0

    def take(self) -> int | None:
        """Count an event. None: it gets no line; else how many before it have got none."""
        second = int(self._clock())
        if second != self._second:
            self._second, self._written = second, 0
        if self._written >= self._per_second:
            self._left_out += 1
            return None
        self._written += 1
        left_out, self._left_out = self._left_out, 0
        return left_out
