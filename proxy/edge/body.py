"""A request's body: read whole, up to a limit, before the engine sees any of it.

A slow upload must not hold the engine, and a request that must wait or go to the engine a second time
has all that it needs.
"""

from __future__ import annotations

import asyncio
import re

import aiohttp
import orjson
from aiohttp import HttpVersion11
from aiohttp.streams import EMPTY_PAYLOAD

from proxy import errors
from proxy.edge.request import Request

IDLE_S = 60.0
"""A client that sends nothing of its body for so long has given up."""
MIN_BYTES_PER_S = 8192
"""A body must come as fast as this on the average, after the first IDLE_S seconds: 16 MB may take 35
minutes, a byte now and then a little more than one."""
USER_SHARE = 2
"""One user's bodies may fill this part of the memory for all."""
RETRY_S = 2.0

_STREAM = re.compile(rb'"stream"\s*:\s*true\b')


class BodyMemory:
    """A bound on the sum of all request bodies that are being read or held.

    Args:
        limit_bytes: for all of them.
        body_limit_bytes: one body may be so large; the bounds are never less.
    """

    def __init__(self, limit_bytes: int, *, body_limit_bytes: int) -> None:
        self._limit = max(limit_bytes, body_limit_bytes)
        self._user_limit = max(self._limit // USER_SHARE, body_limit_bytes)
        self._of_user: dict[int, int] = {}
        self.held_bytes = 0

    def take(self, user_id: int, size: int) -> None:
        """Room for so many more bytes of a user's.

        Raises:
            ApiError: 503, there is no room for so much, and none has been taken.
        """
        of_user = self._of_user.get(user_id, 0) + size
        if self.held_bytes + size > self._limit or of_user > self._user_limit:
            raise errors.body_memory_full(RETRY_S)
        self.held_bytes += size
        self._of_user[user_id] = of_user

    def give_back(self, user_id: int, size: int) -> None:
        """What has been taken."""
        self.held_bytes -= size
        self._of_user[user_id] -= size
        if not self._of_user[user_id]:
            del self._of_user[user_id]


class Body:
    """A request's body, and the room that it has. `leave` must be called, whatever became of it."""

    __slots__ = ("_memory", "_taken", "_user_id", "content")

    def __init__(self, memory: BodyMemory, user_id: int) -> None:
        self._memory = memory
        self._user_id = user_id
        self._taken = 0
        self.content = b""

    async def read(self, request: Request, limit_bytes: int) -> None:
        """Read all of it, into `content`.

        Raises:
            ApiError: 413 over the limit, 400 for one that breaks off, 408 for one that stops coming or
                comes too slowly, 503 where there is no room for it.
        """
        payload, size = request.payload, request.content_length
        if size:
            self._memory.take(self._user_id, size)
            self._taken = size
        if payload.is_eof():
            self.content = data = payload.read_nowait()
            if len(data) > size:  # it came in chunks
                self._grows(len(data), limit_bytes)
        else:
            _continue(request)
            self.content = await self._read_slowly(request, limit_bytes)

    def leave(self) -> None:
        """Give back its room."""
        if self._taken:
            self._memory.give_back(self._user_id, self._taken)
            self._taken = 0

    def _take(self, size: int) -> None:
        if size > self._taken:
            self._memory.take(self._user_id, size - self._taken)
            self._taken = size

    def _grows(self, size: int, limit_bytes: int) -> None:
        if size > limit_bytes:
            raise errors.body_too_large(limit_bytes)
        self._take(size)

    async def _read_slowly(self, request: Request, limit_bytes: int) -> bytes:
        """Read what has not all come yet."""
        body = bytearray()
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            async with asyncio.timeout(IDLE_S) as patience:
                async for chunk in request.payload.iter_any():
                    body += chunk
                    self._grows(len(body), limit_bytes)
                    slowest = begun + IDLE_S + len(body) / MIN_BYTES_PER_S
                    patience.reschedule(min(loop.time() + IDLE_S, slowest))
        except TimeoutError as error:
            if loop.time() < begun + IDLE_S + len(body) / MIN_BYTES_PER_S:
                raise errors.body_timeout(IDLE_S) from error
            raise errors.body_too_slow(MIN_BYTES_PER_S) from error
        except (aiohttp.http_exceptions.HttpProcessingError, aiohttp.ClientPayloadError) as error:
            raise errors.bad_request("The request body broke off or is not valid HTTP.") from error
        return bytes(body)


def check_body(request: Request, limit_bytes: int) -> None:
    """Refuse a body that its headers say will not do.

    Raises:
        ApiError: 400 for one where none is meant, 413 over the limit, 415 for a compressed body.
    """
    if request.payload is not EMPTY_PAYLOAD and request.method in ("GET", "HEAD"):
        raise errors.body_on_get(request.method)
    encoding = request.headers.get("Content-Encoding")
    if encoding is not None and encoding.lower() != "identity":
        raise errors.unsupported_encoding(encoding)
    if request.content_length > limit_bytes:
        raise errors.body_too_large(limit_bytes)


def _continue(request: Request) -> None:
    """Ask for the body, if the client waits to be asked (RFC 9110, section 10.1.1)."""
    expects = request.headers.get("Expect", "").lower() == "100-continue"
    if expects and request.version == HttpVersion11:
        request.client.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def wants_stream(body: bytes) -> bool:
    """Whether the client asks for server-sent events. For a request that waits, not for every one."""
    if not _STREAM.search(body):
        return False
    # Off the event loop: it may be megabytes, and others are being served.
    return await asyncio.to_thread(_stream_is_true, body)


def _stream_is_true(body: bytes) -> bool:
    try:
        fields = orjson.loads(body)
    except ValueError:
        return False
    return isinstance(fields, dict) and fields.get("stream") is True
