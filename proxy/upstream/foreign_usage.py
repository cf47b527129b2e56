"""Token usage of streams from engines that are not ours: asks for it in the client's place.

OpenAI's streams tell the usage in a chunk of its own before `[DONE]`, if `stream_options.include_usage`
asks for it. Records and token limits need it of every stream, so the proxy asks in the client's place,
and turns the chunk into the comment that our own engine sends, which clients skip.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import orjson

from proxy.edge.usage_scanner import parse_usage
from proxy.upstream.connection import UpstreamConnection

THREAD_FROM_BYTES = 262_144
"""A body from this size on is parsed in a thread: that takes a millisecond and more."""
MAX_EVENT_BYTES = 65_536
"""A longer event passes in parts, unseen. The chunk with the usage has some 300 bytes."""

_NO_CHOICES = re.compile(rb'"choices"\s*:\s*\[\s*\]')
_EVENT = re.compile(rb".*?(?:\r?\n){2}", re.DOTALL)


async def asking_for_usage(body: bytes) -> bytes | None:
    """The body of a request for a stream, changed so that it asks for the usage.

    Returns None if nothing is to be changed: the client asks for it itself or wants no stream, or the
    body is invalid, which the engine will say.
    """
    if len(body) < THREAD_FROM_BYTES:
        return _asking(body)
    return await asyncio.to_thread(_asking, body)


def _asking(body: bytes) -> bytes | None:
    try:
        fields = orjson.loads(body)
    except ValueError:
        return None
    if not isinstance(fields, dict) or fields.get("stream") is not True:
        return None
    options = fields.get("stream_options") or {}
    if "stream_options" not in fields:  # the client's bytes stay what they are
        return b'{"stream_options":{"include_usage":true},' + body.lstrip()[1:]
    if not isinstance(options, dict) or options.get("include_usage") is True:
        return None
    return orjson.dumps({**fields, "stream_options": {**options, "include_usage": True}})


def without_usage(connection: UpstreamConnection) -> Callable[[], bytes]:
    """The function `take` of a stream, but for the chunk with the usage."""
    chunks, parser = UsageChunks(), connection.parser

    def take() -> bytes:
        return chunks.feed(connection.take(), last=parser.complete)

    return take


class UsageChunks:
    """Turns the chunk with the usage of one stream into the comment `: usage {…}`."""

    def __init__(self) -> None:
        self._rest = b""
        """An event that has not arrived whole."""

    def feed(self, piece: bytes, *, last: bool) -> bytes:
        """Return what goes to the client: whole events, and with the `last` piece everything.

        It may return nothing. An event that never arrives whole is not returned, unless it is long.
        """
        data = self._rest + piece
        end = max(data.rfind(b"\n\n") + 2, data.rfind(b"\n\r\n") + 3)
        if last or len(data) - end > MAX_EVENT_BYTES:
            end = len(data)
        elif end < 3:  # no event has ended
            end = 0
        events, self._rest = data[:end], data[end:]
        if _NO_CHOICES.search(events) is None:
            return events
        return _EVENT.sub(_hidden, events)


def _hidden(event: re.Match[bytes]) -> bytes:
    """The event, or the comment in its place if it is the chunk that tells the usage alone."""
    whole = event[0]
    if not whole.startswith(b"data:") or _NO_CHOICES.search(whole) is None:
        return whole
    try:
        chunk = orjson.loads(whole.removeprefix(b"data:"))
    except ValueError:
        return whole
    told = chunk.get("usage") if isinstance(chunk, dict) and chunk.get("choices") == [] else None
    usage = None if told is None else parse_usage(orjson.dumps(told))
    if usage is None:
        return whole
    return b": usage %b\n\n" % orjson.dumps({"prompt_tokens": usage[0], "completion_tokens": usage[1]})
