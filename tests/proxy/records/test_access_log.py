"""The log's line of a request: JSON whatever a client sends, and only ASCII."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.log_format import JsonFormatter
from proxy.records.access_log import MOST_LINES, AccessLog
from proxy.records.record import RequestRecord
from tests.support.records import record


def ended(path: str = "/v1/models", **fields: object) -> RequestRecord:
    """A request's record."""
    return record(
        created_at=1_764_120_000.5,
        method="GET",
        path=path,
        latency_ms=1.23456,
        response_bytes=7,
        **fields,
    )


class Written(logging.Handler):
    """Keeps what is written, in the log's form."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Each line of it."""
        self.lines += self.format(record).split("\n")


@pytest.fixture
def written() -> Written:
    return Written()


def lines_of(written: Written, *noted: tuple[RequestRecord, str, str | None]) -> list[dict[str, object]]:
    logger = logging.getLogger("proxy.requests")
    logger.addHandler(written)
    logger.setLevel(logging.INFO)

    async def note() -> None:
        log = AccessLog()
        for one in noted:
            log.note(*one)
        log.flush()

    try:
        asyncio.run(note())
    finally:
        logger.removeHandler(written)
        logger.setLevel(logging.NOTSET)
    return [json.loads(line) for line in written.lines]


def test_a_line_has_what_is_known_of_the_request(written: Written) -> None:
    """As every line of the log: time, level, logger, message; then the request's own."""
    one = ended(error="unknown_url", status_code=404, queue_ms=2.0)
    assert lines_of(written, (one, "::1", "mine")) == [
        {
            "time": "2025-11-26T01:20:00.501+00:00",
            "level": "info",
            "logger": "proxy.requests",
            "message": "request",
            "request_id": f"req_{one.id}",
            "client": "::1",
            "user": "alice",
            "method": "GET",
            "path": "/v1/models",
            "status": 404,
            "latency_ms": 1.235,
            "queue_ms": 2.0,
            "response_bytes": 7,
            "error": "unknown_url",
            "client_request_id": "mine",
        }
    ]


@example('"\\\x7f\x9b\x1b[2J\n', 'fe80::1%"', "\ud800")
@given(st.text(), st.text(), st.text())
def test_nothing_that_a_client_sends_breaks_a_line(path: str, client: str, own_id: str) -> None:
    """Quotes, line ends, escape sequences and halves of surrogates."""
    written = Written()
    (line,) = lines_of(written, (ended(path), client, own_id))
    assert (line["path"], line["client"]) == (path, client)
    assert line.get("client_request_id", "") == own_id[:128]
    assert all(text.isascii() and text.isprintable() for text in written.lines)


def test_many_lines_do_not_wait(written: Written) -> None:
    """They are written before the time has come."""

    async def note() -> None:
        log = AccessLog()
        for _ in range(MOST_LINES):
            log.note(ended(), "::1", None)

    logger = logging.getLogger("proxy.requests")
    logger.addHandler(written)
    logger.setLevel(logging.INFO)
    try:
        asyncio.run(note())
    finally:
        logger.removeHandler(written)
        logger.setLevel(logging.NOTSET)
    assert len(written.lines) == MOST_LINES
