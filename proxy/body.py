"""A request's body: read whole, up to a limit, before the engine sees any of it.

A slow upload must not hold the engine, and a request that must wait or go to the engine a second time
has all that it needs.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import aiohttp
from aiohttp import HttpVersion11, web

from proxy import errors

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
        self._of_user: Counter[int] = Counter()
        self.held_bytes = 0

    @contextmanager
    def share(self, user_id: int) -> Iterator[Callable[[int], None]]:
        """Room for one body of a user, as long as the context lasts: `take(bytes)` says how large it is.

        `take` raises ApiError, 503, where there is no room for so much; what it was given before counts.
        """
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            more = size - taken
            if more <= 0:
                return
            if self.held_bytes + more > self._limit or self._of_user[user_id] + more > self._user_limit:
                raise errors.body_memory_full(RETRY_S)
            taken = size
            self.held_bytes += more
            self._of_user[user_id] += more

        try:
            yield take
        finally:
            self.held_bytes -= taken
            self._of_user[user_id] -= taken
            if not self._of_user[user_id]:
                del self._of_user[user_id]


def check_body(request: web.Request, limit_bytes: int) -> None:
    """Refuse a body that its headers say will not do.

    Raises:
        ApiError: 400 for one where none is meant, 413 over the limit, 415 for a compressed body.
    """
    if request.method in ("GET", "HEAD") and request.body_exists:
        raise errors.body_on_get(request.method)
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        raise errors.unsupported_encoding(encoding)
    if (request.content_length or 0) > limit_bytes:
        raise errors.body_too_large(limit_bytes)


async def read_body(request: web.Request, limit_bytes: int, take: Callable[[int], None]) -> bytes:
    """The request's body. `take` is told its size as soon as that is known, and may refuse it.

    Raises:
        ApiError: 413 over the limit, 400 for one that breaks off, 408 for one that stops coming or
            comes too slowly.
    """
    take(request.content_length or 0)
    await _continue(request)
    body = bytearray()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    try:
        async with asyncio.timeout(IDLE_S) as patience:
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > limit_bytes:
                    raise errors.body_too_large(limit_bytes)
                take(len(body))
                slowest = begun + IDLE_S + len(body) / MIN_BYTES_PER_S
                patience.reschedule(min(loop.time() + IDLE_S, slowest))
    except TimeoutError as error:
        if loop.time() < begun + IDLE_S + len(body) / MIN_BYTES_PER_S:
            raise errors.body_timeout(IDLE_S) from error
        raise errors.body_too_slow(MIN_BYTES_PER_S) from error
    except (aiohttp.http_exceptions.HttpProcessingError, aiohttp.ClientPayloadError) as error:
        raise errors.bad_request("The request body broke off or is not valid HTTP.") from error
    return bytes(body)


async def _continue(request: web.Request) -> None:
    """Ask for the body, if the client waits to be asked (RFC 9110, section 10.1.1)."""
    expects = request.headers.get("Expect", "").lower() == "100-continue"
    if expects and request.version == HttpVersion11 and not request.content.is_eof():
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun


async def wants_stream(body: bytes) -> bool:
    """Whether the client asks for server-sent events. For a request that waits, not for every one."""
    if not _STREAM.search(body):
        return False
    # Off the event loop: it may be megabytes, and others are being served.
    return await asyncio.to_thread(_stream_is_true, body)


def _stream_is_true(body: bytes) -> bool:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(fields, dict) and fields.get("stream") is True
