"""One engine behind the proxy: its address, its connections, and the heads of requests to it."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from proxy import errors
from proxy.edge.request import Request
from proxy.edge.write_batching import WriteBatcher
from proxy.settings import BackendSettings
from proxy.upstream.headers import TO_ENGINE, RequestHeaders, passed_lines
from proxy.upstream.pool import UpstreamPool

MAX_REPLY_BYTES = 65_536
"""Limit for what the engine replies to a question of the proxy's own."""
_METHODS_WITHOUT_BODY = ("GET", "HEAD")


class Reply(NamedTuple):
    """What an engine replies to a question of the proxy's own."""

    status: int
    text: bytes


class Backend:
    """One engine. `close` closes its connections."""

    def __init__(
        self,
        settings: BackendSettings,
        *,
        writes: WriteBatcher,
        connect_timeout_s: float,
        idle_timeout_s: float,
    ) -> None:
        self.url = settings.url
        self.pool = UpstreamPool(
            settings.url,
            writes=writes,
            connect_timeout_s=connect_timeout_s,
            idle_timeout_s=idle_timeout_s,
        )
        self._headers = RequestHeaders(self.pool.host_header, settings.key)

    async def close(self) -> None:
        """Close all connections."""
        await self.pool.close()

    async def ask(self, method: str, path: str, body: bytes | None = None, *, timeout_s: float) -> Reply:
        """Send a request of the proxy's own.

        Raises:
            UpstreamError, TimeoutError: there is no reply within `timeout_s`, or it is too long.
        """
        length = b"" if body is None else b"\r\nContent-Length: %d" % len(body)
        head = b"%b %b%b HTTP/1.1\r\n%b%b\r\n\r\n" % (
            method.encode(), self.pool.base_path, path.encode(), self._headers.fixed, length,
        )  # fmt: skip
        async with asyncio.timeout(timeout_s):
            connection = await self.pool.send(head, body or b"")
            try:
                text = await connection.read_all(MAX_REPLY_BYTES)
            finally:
                self.pool.release(connection)
        return Reply(connection.parser.status, text)

    def request_head(
        self,
        request: Request,
        body_bytes: int,
        request_id: str,
        user_id: int,
        weight: float,
        *,
        is_batch: bool = False,
    ) -> bytes:
        """The head of a user's request: the client's own bytes, but for what the proxy sets.

        Raises:
            ApiError: 400, the request holds what would be more than one header line.
        """
        # A fragment is no part of a request (RFC 9112, section 3.2), but aiohttp lets one pass.
        path = request.target.encode("utf-8", "surrogateescape").partition(b"#")[0]
        target = self.pool.base_path + path
        lines = [
            b"%b %b HTTP/1.1" % (request.method.encode(), target),
            self._headers.for_user(user_id, weight),
        ]
        lines += passed_lines(request.raw_headers, TO_ENGINE)
        identifier = request_id.encode()
        lines += [b"X-Request-ID: %b" % identifier, b"X-Llamaserve-Request: %b" % identifier]
        if is_batch:
            lines.append(b"X-Llamaserve-Batch: 1")
        if body_bytes or request.method not in _METHODS_WITHOUT_BODY:
            lines.append(b"Content-Length: %d" % body_bytes)
        head = b"\r\n".join(lines)
        ends = len(lines) - 1 + self._headers.line_ends
        if not head.count(b"\r") == head.count(b"\n") == ends or b"\0" in head or b" " in target:
            raise errors.bad_request(
                "The request holds a line end, NUL or blank where there can be none."
            )
        return head + b"\r\n\r\n"
