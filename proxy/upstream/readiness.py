"""Whether the engine answers."""

from __future__ import annotations

import asyncio

from proxy.edge.write_batching import WriteBatcher
from proxy.upstream.connection import UpstreamError
from proxy.upstream.pool import UpstreamPool

CHECK_TIMEOUT_S = 2.0
_ITS_FAULT = 500
"""From this status on it is the engine that says that it cannot."""


async def engine_ready(backend_url: str) -> bool:
    """Whether the engine answers; one that has no /health is judged by answering at all."""
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
    except (UpstreamError, TimeoutError):
        return False
    finally:
        await upstream.close()
    return connection.answer.status < _ITS_FAULT
