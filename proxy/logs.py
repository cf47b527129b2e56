"""The log: one JSON object a line, on standard error."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

import orjson
from aiohttp.http_exceptions import HttpProcessingError


class JsonFormatter(logging.Formatter):
    """Time (UTC), level, logger, message; `extra={"fields": {…}}` adds members, None left out.

    `extra={"batch": [(time, {…}), …]}` is many in one, each with its Unix time and members.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line of JSON."""
        batch: list[tuple[float, dict[str, object]]] | None = getattr(record, "batch", None)
        if batch is not None:
            said = _said(record)
            return "\n".join([_line(at, said, fields) for at, fields in batch])
        fields: dict[str, object] = getattr(record, "fields", {})
        members = {name: value for name, value in fields.items() if value is not None}
        if record.exc_info:
            members["exception"] = self.formatException(record.exc_info)
        return _line(record.created, _said(record), members)


def _said(record: logging.LogRecord) -> dict[str, str]:
    return {
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
    }


def _line(at: float, said: dict[str, str], members: dict[str, object]) -> str:
    time = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    line = {"time": time, **said, **members}
    try:
        text = orjson.dumps(line, default=str)
    except TypeError:  # a half of a surrogate pair: bytes of a path that are no UTF-8
        text = b"\xff"
    # The log holds ASCII only, so that no client can steer the terminal of whoever reads it.
    return text.decode() if text.isascii() else json.dumps(line, default=str)


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
