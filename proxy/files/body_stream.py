"""A request's body piece by piece, for what is too large for memory.

A client that sends nothing for IDLE_S seconds, or less than MIN_BYTES_PER_S on the average, is refused,
as with bodies that are read whole (`body.py`).
"""

from __future__ import annotations

import asyncio

from aiohttp.http import HttpProcessingError

from proxy import errors
from proxy.edge.body import IDLE_S, MIN_BYTES_PER_S, send_continue
from proxy.edge.request import Request
from proxy.errors import ApiError


class BodyStream:
    """The body of one request. It is asked for when the first piece is.

    Args:
        too_large: raised where more than `limit_bytes` come.
    """

    def __init__(self, request: Request, *, limit_bytes: int, too_large: ApiError) -> None:
        self._payload = request.payload
        self._request = request
        self._limit = limit_bytes
        self._too_large = too_large
        self._loop = asyncio.get_running_loop()
        self._begun: float | None = None
        self.arrived = 0
        """Bytes so far."""

    async def read(self) -> bytes:
        """What has arrived since the last call, at least a byte; nothing at the end.

        Raises:
            ApiError: 400 for a body that breaks off, 408 for one that stops or is too slow, `too_large`.
        """
        if self._begun is None:
            self._begun = self._loop.time()
            if not self._payload.is_eof():
                send_continue(self._request)
        slowest = self._begun + IDLE_S + self.arrived / MIN_BYTES_PER_S
        try:
            async with asyncio.timeout_at(min(self._loop.time() + IDLE_S, slowest)):
                piece = await self._payload.readany()
        except TimeoutError as error:
            if self._loop.time() < slowest:
                raise errors.body_timeout(IDLE_S) from error
            raise errors.body_too_slow(MIN_BYTES_PER_S) from error
        except HttpProcessingError as error:
            raise errors.bad_request("The request body broke off or is not valid HTTP.") from error
        self.arrived += len(piece)
        if self.arrived > self._limit:
            raise self._too_large
        return piece
