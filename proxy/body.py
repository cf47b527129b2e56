"""A request's body: read whole, up to a limit, before the engine sees any of it.

A slow upload must not hold the engine, and a request that must wait or go to the engine a second time
has all that it needs.
"""

from __future__ import annotations

import asyncio
import json
import re

import aiohttp
from aiohttp import web

from proxy import errors

IDLE_S = 60.0
"""A client that sends nothing of its body for so long has given up."""

_STREAM = re.compile(rb'"stream"\s*:\s*true\b')


def check_body(request: web.Request, limit_bytes: int) -> None:
    """Refuse a body that its headers say will not do.

    Raises:
        ApiError: 413 over the limit, 415 for a compressed body.
    """
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        raise errors.unsupported_encoding(encoding)
    if (request.content_length or 0) > limit_bytes:
        raise errors.body_too_large(limit_bytes)


async def read_body(request: web.Request, limit_bytes: int) -> bytes:
    """The request's body.

    Raises:
        ApiError: 413 over the limit, 400 for one that breaks off, 408 for one that stops coming.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(IDLE_S) as patience:
            async for chunk in request.content.iter_any():
                patience.reschedule(asyncio.get_running_loop().time() + IDLE_S)
                body += chunk
                if len(body) > limit_bytes:
                    raise errors.body_too_large(limit_bytes)
    except TimeoutError as error:
        raise errors.body_timeout(IDLE_S) from error
    except (aiohttp.http_exceptions.HttpProcessingError, aiohttp.ClientPayloadError) as error:
        raise errors.bad_request("The request body broke off or is not valid HTTP.") from error
    return bytes(body)


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
