"""Asks the engine for its status: whether it answers, and how many slots it has."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import orjson

from proxy.edge.write_batching import WriteBatcher
from proxy.upstream.connection import UpstreamConnection, UpstreamError
from proxy.upstream.pool import UpstreamPool

CHECK_TIMEOUT_S = 2.0
"""How long the engine, or the database, has to answer a check."""
MAX_BODY_BYTES = 65_536
MAX_SLOTS = 100_000
_SERVER_ERROR = 500
"""From this status on the engine says that it cannot answer."""


class EngineStatus(NamedTuple):
    """The result of GET /health."""

    ready: bool
    slots: int | None = None
    """How many requests the engine answers at a time; None if the engine is not ours."""
    embedding_slots: int | None = None
    """How many requests for embeddings beside those; None if the engine has no model for them alone."""


async def engine_status(backend_url: str) -> EngineStatus:
    """Ask the engine. One that has no /health is ready if it answers at all."""
    upstream = UpstreamPool(
        backend_url,
        writes=WriteBatcher(),
        connect_timeout_s=CHECK_TIMEOUT_S,
        idle_timeout_s=CHECK_TIMEOUT_S,
    )
    head = b"GET %b/health HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % (
        upstream.base_path, upstream.host_header.encode(),
    )  # fmt: skip
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            connection = await upstream.send(head, b"")
            ready = connection.parser.status < _SERVER_ERROR
            return await _read(connection) if ready else EngineStatus(ready=False)
    except (UpstreamError, TimeoutError):
        return EngineStatus(ready=False)
    finally:
        await upstream.close()


async def _read(connection: UpstreamConnection) -> EngineStatus:
    """The status of an engine that is ready."""
    try:
        fields = orjson.loads(await connection.read_all(MAX_BODY_BYTES))
    except (ValueError, UpstreamError):
        return EngineStatus(ready=True)
    if not isinstance(fields, dict):
        return EngineStatus(ready=True)
    slots, embedding_slots = _number(fields.get("slots")), _number(fields.get("embedding_slots"))
    return EngineStatus(ready=True, slots=slots, embedding_slots=embedding_slots)


def _number(slots: object) -> int | None:
    return slots if type(slots) is int and 1 <= slots <= MAX_SLOTS else None
