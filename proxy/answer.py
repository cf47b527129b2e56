"""The answer on its way to the client: how far it has come, and the writing of it.

A client that takes nothing of its answer holds the engine, and so all who wait: after a while it is
cut off. Leaves what is written to the relay and the handler.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import HttpVersion11, web

from proxy.usage import AnswerScanner

_EVENT_STREAM = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx would hold the comments back
}


class ClientStalledError(ConnectionError):
    """The client is there and takes nothing."""


@dataclass(kw_only=True, slots=True)
class Answer:
    """How far an answer has come. Times are monotonic seconds."""

    status_code: int | None = None
    first_byte_at: float | None = None
    """The engine's first byte; what a waiting stream is told does not count."""
    response_bytes: int = 0
    stream: bool = False
    scanner: AnswerScanner = field(default_factory=AnswerScanner)
    response: web.StreamResponse | None = None
    """What goes to the client; None until the engine, or a long wait, has begun the answer."""

    @property
    def begun(self) -> bool:
        """Whether the client has its status: no other can be given any more."""
        return self.response is not None and self.response.prepared

    async def begin(self, request: web.Request, response: web.StreamResponse) -> None:
        """Send the head of the answer."""
        if request.version >= HttpVersion11 and response.content_length is None:
            response.enable_chunked_encoding()
        self.response = response
        await response.prepare(request)

    async def begin_events(self, request: web.Request, headers: Mapping[str, str]) -> None:
        """Send the head of a stream before the engine has said anything."""
        self.stream = True
        await self.begin(request, web.StreamResponse(headers={**_EVENT_STREAM, **headers}))

    async def write(self, request: web.Request, chunk: bytes, *, stall_timeout_s: float) -> None:
        """Count a piece of the body and send it.

        Raises:
            ClientStalledError: nothing of what was sent before has been taken for so long.
            ConnectionError: the client has gone.
        """
        self.response_bytes += len(chunk)
        await self.send(request, chunk, stall_timeout_s=stall_timeout_s)

    async def send(self, request: web.Request, chunk: bytes, *, stall_timeout_s: float) -> None:
        """Send what has been counted."""
        assert self.response is not None
        if _is_taken(request):
            await self.response.write(chunk)
        else:
            async with _cut_off_after(request, stall_timeout_s):
                await self.response.write(chunk)

    async def end(self, request: web.Request, *, stall_timeout_s: float) -> web.StreamResponse:
        """Send what says that the answer is whole."""
        assert self.response is not None
        if _is_taken(request):
            await self.response.write_eof()
        else:
            async with _cut_off_after(request, stall_timeout_s):
                await self.response.write_eof()
        return self.response


def _is_taken(request: web.Request) -> bool:
    """Whether the client has all so far. Most have, and a timer costs more than the writing."""
    transport = request.transport
    return transport is None or not transport.get_write_buffer_size()


@asynccontextmanager
async def _cut_off_after(request: web.Request, seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        if request.transport is not None:
            request.transport.abort()
        raise ClientStalledError("the client takes nothing of its answer") from error
